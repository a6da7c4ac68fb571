"""The force channel."""

from __future__ import annotations

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from fbx_env.parts.clock import Clock
from fbx_env.parts.component import Scalar, number
from fbx_env.parts.loads.curl_field import left_of
from fbx_env.parts.loads.load import Load
from fbx_env.parts.plants.plant import Effector
from fbx_env.parts.tasks.trial import Trial


class ForceChannel(Load):
    """Stiff walls on both sides of the straight line from start to goal.

        F = -(stiffness (x - start).e + damping v.e) e,   e to the left of the line

    The force that holds the effector in the channel shows what the controller expects of the world
    (Scheidt and others, J. Neurophysiol. 84:853, 2000). There is no channel where the goal is the
    start.

    Attributes:
        stiffness: [N/m], greater than 0.
        damping: [N s/m], at least 0.
    """

    name: ClassVar[str] = "channel"

    stiffness: Scalar = number(
        "stiffness of the channel's walls",
        default=2000.0,
        unit="N/m",
        above=0,
        keyword="channel_stiffness",
    )
    damping: Scalar = number(
        "damping of the channel's walls",
        default=50.0,
        unit="N s/m",
        at_least=0,
        keyword="channel_damping",
    )

    def force_on(self, effector: Effector, trial: Trial, clock: Clock) -> Float[Array, "2"]:
        across = left_of(reach_direction(trial))
        off, speed = (effector.pos - trial.start) @ across, effector.vel @ across
        return -(self.stiffness * off + self.damping * speed) * across


def reach_direction(trial: Trial) -> Float[Array, "2"]:
    """The unit vector from start to goal; zero where these are one point."""
    way = trial.goal - trial.start
    squared = way @ way
    # The inner choice keeps the gradient of the root finite where the outer one does not take it.
    length = jnp.sqrt(jnp.where(squared > 0, squared, 1.0))
    return jnp.where(squared > 0, way / length, 0.0)
