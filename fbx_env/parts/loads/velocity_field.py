"""The linear velocity-dependent field."""

from __future__ import annotations

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from fbx_env.parts.clock import Clock
from fbx_env.parts.component import Matrix, number
from fbx_env.parts.loads.load import Load
from fbx_env.parts.plants.plant import Effector
from fbx_env.parts.tasks.trial import Trial


class VelocityField(Load):
    """A force that depends linearly on the velocity: F = matrix v.

    Attributes:
        matrix: [N s/m], ``(2, 2)``; minus a multiple of the identity is viscous. The default is the
            field of Shadmehr and Mussa-Ivaldi, J. Neurosci. 14:3208 (1994), made for an arm.
    """

    name: ClassVar[str] = "velocity"

    matrix: Matrix = number(
        "matrix from velocity to force",
        default=((-10.1, -11.2), (-11.2, 11.1)),
        unit="N s/m",
        shape=(2, 2),
    )

    def force_on(self, effector: Effector, trial: Trial, clock: Clock) -> Float[Array, "2"]:
        return jnp.asarray(self.matrix) @ effector.vel
