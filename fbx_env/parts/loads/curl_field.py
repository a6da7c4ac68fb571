"""The curl field."""

from __future__ import annotations

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from fbx_env.parts.clock import Clock
from fbx_env.parts.component import Scalar, number
from fbx_env.parts.loads.load import Load
from fbx_env.parts.plants.plant import Effector
from fbx_env.parts.tasks.trial import Trial


class CurlField(Load):
    """A force across the motion, in proportion to the speed.

        F = strength (-vy, vx)

    Attributes:
        strength: [N s/m]; positive pushes to the left of the motion. In experiments with people 13
            is usual, and goes with the arms here, which reach 0.1 m in 0.6 s. The default point
            mass, which has 5 s for 0.5 m, is bent about as much by 1.

    Example:
        >>> env, params = fbx_env.make("TwoLinkArmReach-v0", loads=(CurlField(13.0),))
    """

    name: ClassVar[str] = "curl"

    strength: Scalar = number(
        "strength of the curl field, positive to the left of the motion",
        default=1.0,
        unit="N s/m",
    )

    def force_on(self, effector: Effector, trial: Trial, clock: Clock) -> Float[Array, "2"]:
        return self.strength * left_of(effector.vel)


def left_of(vector: Float[Array, "2"]) -> Float[Array, "2"]:
    """The vector turned by a quarter to the left."""
    return jnp.stack([-vector[1], vector[0]])
