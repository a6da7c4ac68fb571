"""The cost of leaving the target."""

from __future__ import annotations

from typing import ClassVar

from jaxtyping import Array, Float

from fbx_env.parts.component import Scalar
from fbx_env.parts.losses.loss import LossTerm, squared_norm, weight
from fbx_env.parts.losses.transition import Transition


class FixationCost(LossTerm):
    """Squared distance to the target [m^2], the same at all times: for epochs of holding still."""

    name: ClassVar[str] = "fixation"

    weight: Scalar = weight(1.0)

    def cost(self, transition: Transition) -> Float[Array, ""]:
        return squared_norm(transition.after.pos - transition.target.pos)
