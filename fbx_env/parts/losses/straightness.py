"""The cost of leaving the straight line."""

from __future__ import annotations

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from fbx_env.parts.component import Scalar
from fbx_env.parts.loads.curl_field import left_of
from fbx_env.parts.loads.force_channel import reach_direction
from fbx_env.parts.losses.loss import LossTerm, weight
from fbx_env.parts.losses.transition import Transition


class StraightnessCost(LossTerm):
    """Squared distance to the straight line through start and goal [m^2].

    There is no line, and no cost, where the goal is the start.
    """

    name: ClassVar[str] = "straightness"

    weight: Scalar = weight(1.0)

    def cost(self, transition: Transition) -> Float[Array, ""]:
        across = left_of(reach_direction(transition.trial))
        return jnp.square((transition.after.pos - transition.trial.start) @ across)
