"""The cost of being away from the target."""

from __future__ import annotations

from typing import ClassVar

from jaxtyping import Array, Float

from fbx_env.parts.component import Scalar, number
from fbx_env.parts.losses.loss import LossTerm, squared_norm, weight
from fbx_env.parts.losses.transition import Transition


class PositionCost(LossTerm):
    """Squared distance to the target [m^2], which counts more as the trial goes on.

    The weight in time is ``((t + 1) / N) ** exponent`` at step t of N, so that there is time to
    move and none to be late. If the term has epochs, t + 1 counts steps from their start, and
    N is how many they have.

    Attributes:
        weight: [1/m^2].
        exponent: at least 0; 0 lets every step count the same.
    """

    name: ClassVar[str] = "position"

    weight: Scalar = weight(1.0)
    exponent: Scalar = number(
        "how steeply the weight of the distance rises within a trial",
        default=6.0,
        at_least=0,
        keyword="time_exponent",
    )

    def cost(self, transition: Transition) -> Float[Array, ""]:
        error = transition.after.pos - transition.target.pos
        progress = transition.clock.progress_in(self.epochs)
        return progress**self.exponent * squared_norm(error)
