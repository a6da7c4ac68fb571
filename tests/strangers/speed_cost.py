"""A loss term of a stranger, on the plant's state."""

from typing import ClassVar

from fbx_env import LossTerm, Scalar, number, squared_norm


class SpeedCost(LossTerm):
    """Squared speed of a point mass [m^2/s^2], at every step."""

    name: ClassVar[str] = "speed"

    weight: Scalar = number(
        "weight of the speed cost", default=1e-3, at_least=0, keyword="speed_weight"
    )

    def cost(self, transition):
        return squared_norm(transition.plant_after.vel)
