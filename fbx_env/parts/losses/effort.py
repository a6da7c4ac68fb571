"""The cost of effort."""

from __future__ import annotations

from typing import Any, ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from fbx_env.parts.component import Scalar, SignalScalar, number
from fbx_env.parts.losses.loss import LossTerm, rounded, weight
from fbx_env.parts.losses.transition import Transition


class EffortCost(LossTerm):
    """Squared control that acted, each number with a share of its own: for muscles, by muscle.

    Attributes:
        weight: of the cost, in 1 by the square of the controls' unit.
        share: what the square of each control is multiplied with, one for all or one for each, at
            least 0; such as the muscles' volumes.

    Raises:
        TypeError, ValueError: for a number that is not allowed; by ``ReachParams``, if the plant
            has another number of controls.
    """

    name: ClassVar[str] = "effort"

    weight: Scalar = weight(1e-5)
    share: SignalScalar = number(
        "share of each control in the effort",
        default=1.0,
        at_least=0,
        shape=None,
        keyword="effort_share",
    )

    def __check_params__(self, params: Any) -> None:
        shape, n_controls = jnp.shape(self.share), len(params.plant.controls)
        if shape not in ((), (n_controls,)):
            raise ValueError(
                f"share must have one number, or one for each of the {n_controls} controls of "
                f"{type(params.plant).__name__}, got shape {shape}"
            )

    def cost(self, transition: Transition) -> Float[Array, ""]:
        return jnp.sum(rounded(self.share * jnp.square(transition.control)))
