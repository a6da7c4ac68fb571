"""The base of every draw."""

from __future__ import annotations

import abc
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from fbx_env.parts.component import Component, flag, static


class Draw(Component, abc.ABC):
    """A number of a part that is drawn anew for each trial. A new distribution is a new subclass.

    Attributes:
        number: where the number is, as ``"plant.mass"``; ``fbx_env.describe`` lists the names.
        told: whether the agent observes it, as a part of the observation of that name.

    Example:
        >>> class CoinDraw(Draw):
        ...     def sample(self, key, default):
        ...         return jnp.where(jax.random.bernoulli(key), default, 2 * default)
        >>> env, params = fbx_env.make(draws=(CoinDraw("plant.mass"),))
    """

    number: str = static()
    told: bool = flag(
        "whether the agent observes the number that is drawn", default=False, kw_only=True
    )

    def __check_params__(self, params: Any) -> None:
        if params.number(self.number).declaration.is_static:
            raise ValueError(
                f"a draw must be of a number that may differ between trials, {self.number} is part "
                "of the structure"
            )

    @abc.abstractmethod
    def sample(self, key: PRNGKeyArray, default: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """The number of a trial.

        Args:
            key: for this trial and draw alone.
            default: the number in the params, which says its shape.
        """


def check_support(draw: Draw, params: Any, low: Any, high: Any) -> None:
    """Raise ``ValueError`` if the number that is drawn may not be all that the draw gives."""
    number = params.number(draw.number)
    for end in (low, high):
        if isinstance(end, jax.core.Tracer):
            return
        lowest = -np.inf if number.declaration.at_least is None else number.declaration.at_least
        lowest = lowest if number.declaration.above is None else number.declaration.above
        highest = np.inf if number.declaration.at_most is None else number.declaration.at_most
        strict = number.declaration.above is not None
        if np.any(end < lowest) or np.any(end > highest) or (strict and np.any(end <= lowest)):
            raise ValueError(
                f"a draw of {number.name} must be {number.declaration.bounds}, "
                f"{type(draw).__name__} goes from {np.min(low):g} to {np.max(high):g}"
            )
