"""Normal draws."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from fbx_env.parts.component import Scalar, number
from fbx_env.parts.draws.draw import Draw, check_support


class NormalDraw(Draw):
    """A number from a normal distribution, which may be cut off at a number of deviations.

    Attributes:
        mean: in the unit of the number.
        std: standard deviation before it is cut off, likewise, at least 0.
        cut_off: standard deviations from the mean beyond which nothing is drawn; ``None`` for no
            limit.

    Raises:
        ValueError: by ``ReachParams``, if the number may not be as low or as high.
    """

    mean: Scalar = number("mean of the draw", default=0.0)
    std: Scalar = number("standard deviation of the draw", default=1.0, at_least=0)
    cut_off: Scalar | None = number(
        "standard deviations beyond which nothing is drawn", default=None, above=0, optional=True
    )

    def __check_params__(self, params: Any) -> None:
        width = jnp.inf if self.cut_off is None else self.cut_off * self.std
        check_support(self, params, self.mean - width, self.mean + width)

    def sample(self, key: PRNGKeyArray, default: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        limit = jnp.inf if self.cut_off is None else self.cut_off
        normal = jax.random.truncated_normal(key, -limit, limit, default.shape, default.dtype)
        return self.mean + self.std * normal
