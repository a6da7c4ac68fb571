"""The cost of commanding."""

from __future__ import annotations

from typing import ClassVar

from jaxtyping import Array, Float

from fbx_env.parts.component import Scalar
from fbx_env.parts.losses.loss import LossTerm, squared_norm, weight
from fbx_env.parts.losses.transition import Transition


class CommandCost(LossTerm):
    """Squared command, in the square of its unit.

    It is the command as asked for, and not what acts, which is within the bounds: to ask for more
    than there is has its price.
    """

    name: ClassVar[str] = "command"

    weight: Scalar = weight(1e-5)

    def cost(self, transition: Transition) -> Float[Array, ""]:
        return squared_norm(transition.command)
