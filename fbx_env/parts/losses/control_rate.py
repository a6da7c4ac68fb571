"""The cost of changing the control."""

from __future__ import annotations

from typing import ClassVar

from jaxtyping import Array, Float

from fbx_env.parts.component import Scalar
from fbx_env.parts.losses.loss import LossTerm, squared_norm, weight
from fbx_env.parts.losses.transition import Transition


class ControlRateCost(LossTerm):
    """Squared rate of change of what acted, in the square of its unit per second.

    For a mass that is moved by forces, this is the cost of jerk. Before the first step, nothing
    acted.
    """

    name: ClassVar[str] = "control_rate"

    weight: Scalar = weight(1e-7)

    def cost(self, transition: Transition) -> Float[Array, ""]:
        change = transition.control - transition.previous_control
        return squared_norm(change / transition.clock.dt)
