"""The cost of moving otherwise than the target."""

from __future__ import annotations

from typing import ClassVar

from jaxtyping import Array, Float

from fbx_env.parts.component import Scalar
from fbx_env.parts.losses.loss import LossTerm, squared_norm, weight
from fbx_env.parts.losses.transition import Transition


class VelocityCost(LossTerm):
    """Squared difference to the target's velocity [m^2/s^2], which is zero for one at rest."""

    name: ClassVar[str] = "velocity"

    weight: Scalar = weight(1.0)

    def cost(self, transition: Transition) -> Float[Array, ""]:
        return squared_norm(transition.after.vel - transition.target.vel)
