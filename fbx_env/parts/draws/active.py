"""Numbers that are there on some trials only."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from fbx_env.parts.component import Scalar, number
from fbx_env.parts.draws.draw import Draw, check_support


class ActiveDraw(Draw):
    """The number of the params with a probability, and zero otherwise: catch and probe trials.

    Attributes:
        probability: with which the number is what the params say, from 0 to 1.

    Raises:
        ValueError: by ``ReachParams``, if the number may not be 0.

    Example:
        >>> field = {"loads": (CurlField(13.0),)}
        >>> env, params = fbx_env.make(draws=(ActiveDraw("loads.curl.strength", 0.8),), **field)
    """

    probability: Scalar = number(
        "probability that the number is not zero", default=0.5, at_least=0, at_most=1
    )

    def __check_params__(self, params: Any) -> None:
        check_support(self, params, 0.0, 0.0)

    def sample(self, key: PRNGKeyArray, default: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        return jnp.where(jax.random.bernoulli(key, self.probability), default, 0.0)
