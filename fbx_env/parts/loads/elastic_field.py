"""The elastic field."""

from __future__ import annotations

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from fbx_env.parts.clock import Clock
from fbx_env.parts.component import Scalar, Vector, number
from fbx_env.parts.loads.load import Load
from fbx_env.parts.plants.plant import Effector
from fbx_env.parts.tasks.trial import Trial


class ElasticField(Load):
    """A spring: F = -stiffness (x - centre).

    Attributes:
        stiffness: [N/m], at least 0.
        centre: where it pulls to [m], ``(2,)``; ``None`` for the start of the trial.
    """

    name: ClassVar[str] = "elastic"

    stiffness: Scalar = number("stiffness of the spring", default=1.0, unit="N/m", at_least=0)
    centre: Vector | None = number(
        "where the spring pulls to; the start of the trial if not given",
        default=None,
        unit="m",
        shape=(2,),
        optional=True,
    )

    def force_on(self, effector: Effector, trial: Trial, clock: Clock) -> Float[Array, "2"]:
        centre = trial.start if self.centre is None else jnp.asarray(self.centre)
        return -self.stiffness * (effector.pos - centre)
