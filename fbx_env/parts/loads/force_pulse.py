"""The force pulse."""

from __future__ import annotations

from typing import Any, ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from fbx_env import checks
from fbx_env.parts.clock import Clock
from fbx_env.parts.component import Scalar, Vector, flag, number, static
from fbx_env.parts.loads.curl_field import left_of
from fbx_env.parts.loads.force_channel import reach_direction
from fbx_env.parts.loads.load import Load
from fbx_env.parts.plants.plant import Effector
from fbx_env.parts.tasks.trial import Trial


class ForcePulse(Load):
    """A push: a force that acts for some time.

    It acts in the steps whose beginning t is in onset <= t < onset + duration.

    Attributes:
        force: of the pulse [N], ``(2,)``.
        onset: when it begins, since the start of the trial or of the epoch [s], at least 0.
        duration: how long it lasts [s], greater than 0.
        relative: whether the force is given along the reach and to the left of it, instead of along
            x and y; a trial that goes nowhere then has no push.
        epoch: the name of an epoch, from whose start the onset counts; of the trial's by default
            (static).

    Raises:
        ValueError: by ``ReachParams``, if it begins or ends after the trial, or the task has no
            such epoch.
    """

    name: ClassVar[str] = "pulse"

    force: Vector = number(
        "force of the pulse", default=(1.0, 0.0), unit="N", shape=(2,), keyword="pulse_force"
    )
    onset: Scalar = number(
        "when the pulse begins", default=0.5, unit="s", at_least=0, keyword="pulse_onset"
    )
    duration: Scalar = number(
        "how long the pulse lasts", default=0.1, unit="s", above=0, keyword="pulse_duration"
    )
    relative: bool = flag(
        "whether the pulse is along the reach and to its left, instead of along x and y",
        default=False,
        keyword="pulse_relative",
    )
    epoch: str = static(default="")

    def __check_params__(self, params: Any) -> None:
        checks.within_trial("the pulse", self.onset, self.onset + self.duration, params)
        if self.epoch:
            checks.known("epoch", self.epoch, params.task.epoch_names)

    def force_on(self, effector: Effector, trial: Trial, clock: Clock) -> Float[Array, "2"]:
        vector = jnp.asarray(self.force)
        if self.relative:
            along = reach_direction(trial)
            vector = vector[0] * along + vector[1] * left_of(along)
        has_begun = clock.has_reached(self.onset, epoch=self.epoch)
        acts = has_begun & ~clock.has_reached(self.onset + self.duration, epoch=self.epoch)
        return jnp.where(acts, vector, 0.0)
