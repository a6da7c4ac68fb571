"""The constant force."""

from __future__ import annotations

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from fbx_env.parts.clock import Clock
from fbx_env.parts.component import Vector, number
from fbx_env.parts.loads.load import Load
from fbx_env.parts.plants.plant import Effector
from fbx_env.parts.tasks.trial import Trial


class ConstantForce(Load):
    """The same force at all times.

    Attributes:
        force: [N], ``(2,)``.
    """

    name: ClassVar[str] = "constant"

    force: Vector = number(
        "the constant force", default=(0.0, 0.0), unit="N", shape=(2,), keyword="constant_force"
    )

    def force_on(self, effector: Effector, trial: Trial, clock: Clock) -> Float[Array, "2"]:
        return jnp.asarray(self.force)
