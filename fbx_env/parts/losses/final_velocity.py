"""The cost of still moving at the end."""

from __future__ import annotations

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from fbx_env.parts.component import Scalar
from fbx_env.parts.losses.loss import LossTerm, squared_norm, weight
from fbx_env.parts.losses.transition import Transition


class FinalVelocityCost(LossTerm):
    """Squared difference to the target's velocity [m^2/s^2] after the last step of a trial."""

    name: ClassVar[str] = "final_velocity"

    weight: Scalar = weight(1.0)

    def cost(self, transition: Transition) -> Float[Array, ""]:
        error = transition.after.vel - transition.target.vel
        return jnp.where(transition.clock.is_last, squared_norm(error), 0.0)
