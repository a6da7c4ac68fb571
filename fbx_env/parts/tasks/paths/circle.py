"""The circle."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fbx_env.parts.component import Scalar, number
from fbx_env.parts.tasks.paths.path import TargetPath


class Circle(TargetPath):
    """A circle, passed counter-clockwise at constant speed from a random point on.

    Attributes:
        radius: [m], greater than 0.
        period: time for one turn [s], greater than 0.
    """

    radius: Scalar = number("radius of the target's circle", default=0.3, unit="m", above=0)
    period: Scalar = number("time for a turn of the target", default=4.0, unit="s", above=0)

    @property
    def n_phases(self) -> int:
        return 1

    def position(self, phase: Float[Array, " phases"], time: Float[Array, ""]) -> Float[Array, "2"]:
        angle = 2 * np.pi * time / self.period + phase[0]
        return self.radius * jnp.stack([jnp.cos(angle), jnp.sin(angle)])
