"""The figure of eight."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fbx_env.parts.component import Scalar, number
from fbx_env.parts.tasks.paths.path import TargetPath


class FigureOfEight(TargetPath):
    """A figure of eight lying on its side, passed from a random point on.

        x = width / 2 sin(a),  y = height / 2 sin(2 a),  a = 2 pi t / period + phase

    Attributes:
        width, height: [m], greater than 0.
        period: time for the whole figure [s], greater than 0.
    """

    width: Scalar = number("width of the target's path", default=0.8, unit="m", above=0)
    height: Scalar = number("height of the target's path", default=0.4, unit="m", above=0)
    period: Scalar = number("time for the target's path", default=4.0, unit="s", above=0)

    @property
    def n_phases(self) -> int:
        return 1

    def position(self, phase: Float[Array, " phases"], time: Float[Array, ""]) -> Float[Array, "2"]:
        angle = 2 * np.pi * time / self.period + phase[0]
        return jnp.stack([self.width / 2 * jnp.sin(angle), self.height / 2 * jnp.sin(2 * angle)])
