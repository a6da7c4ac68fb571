"""Uniform draws."""

from __future__ import annotations

from typing import Any

import jax
from jaxtyping import Array, Float, PRNGKeyArray

from fbx_env import checks
from fbx_env.parts.component import Scalar, number
from fbx_env.parts.draws.draw import Draw, check_support


class UniformDraw(Draw):
    """A number that is uniform in an interval.

    Attributes:
        low, high: of the interval, in the unit of the number.

    Raises:
        ValueError: if ``low`` is above ``high``; by ``ReachParams``, if the number may not be as
            low or as high.

    Example:
        >>> env, params = fbx_env.make(draws=(UniformDraw("plant.mass", 0.5, 2.0, told=True),))
    """

    low: Scalar = number("lowest value of the draw", default=0.0)
    high: Scalar = number("highest value of the draw", default=1.0)

    def __check_init__(self) -> None:
        checks.ordered("low", self.low, "high", self.high)

    def __check_params__(self, params: Any) -> None:
        check_support(self, params, self.low, self.high)

    def sample(self, key: PRNGKeyArray, default: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        return jax.random.uniform(
            key, default.shape, default.dtype, minval=self.low, maxval=self.high
        )
