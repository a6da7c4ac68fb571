"""Draws from a list."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from fbx_env import checks
from fbx_env.parts.component import SignalScalar, number
from fbx_env.parts.draws.draw import Draw, check_support


class ChoiceDraw(Draw):
    """One of several numbers, each with its probability.

    Attributes:
        values: to choose from, ``(n,)``.
        probabilities: of each, ``(n,)``, which add up to 1; ``None`` for equal ones.

    Raises:
        ValueError: if the probabilities are not one for each value, or no probabilities; by
            ``ReachParams``, if the number may not be one of the values.
    """

    values: SignalScalar = number("values to choose from", default=(0.0, 1.0), shape=None)
    probabilities: SignalScalar | None = number(
        "probability of each value; equal ones if not given",
        default=None,
        at_least=0,
        at_most=1,
        shape=None,
        optional=True,
    )

    def __check_init__(self) -> None:
        if self.probabilities is None:
            return
        values, probabilities = jnp.asarray(self.values), jnp.asarray(self.probabilities)
        if values.shape != probabilities.shape or values.ndim == 0:
            raise ValueError(
                f"probabilities must be one for each of {values.shape} values, got "
                f"{probabilities.shape}"
            )
        checks.close("the sum of probabilities", jnp.sum(probabilities, axis=-1), 1.0)

    def __check_params__(self, params: Any) -> None:
        values = jnp.asarray(self.values)
        check_support(self, params, values.min(), values.max())

    def sample(self, key: PRNGKeyArray, default: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        chances = None if self.probabilities is None else jnp.asarray(self.probabilities)
        return jax.random.choice(key, jnp.asarray(self.values), default.shape, p=chances)
