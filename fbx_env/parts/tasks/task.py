"""What every task has."""

from __future__ import annotations

import abc
from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from fbx_env.parts.clock import Clock
from fbx_env.parts.component import Component
from fbx_env.parts.plants.plant import Effector
from fbx_env.parts.tasks.trial import Trial

Cue = dict[str, Float[Array, "_"]]
"""What the agent is shown of the trial, by name."""


class Task(Component, abc.ABC):
    """A distribution of trials, and what each asks for. A new task is a new subclass.

    Attributes:
        epoch_names: the names of the epochs into which trials are divided. If there are several,
            trials have the field ``epoch_start``.
    """

    epoch_names: ClassVar[tuple[str, ...]] = ("movement",)

    @abc.abstractmethod
    def sample(self, key: PRNGKeyArray) -> Trial:
        """Draw one trial for training."""

    @abc.abstractmethod
    def validation_trials(self) -> Trial:
        """The fixed trials on which every agent is evaluated, along a leading axis."""

    @abc.abstractmethod
    def target(self, trial: Trial, clock: Clock) -> Effector:
        """Where the effector should be, and how fast it should move, at a time of the trial."""

    @abc.abstractmethod
    def cue(self, trial: Trial, clock: Clock) -> Cue:
        """What the agent is shown of the trial at a time of it."""

    def epoch(self, trial: Trial, clock: Clock) -> Int[Array, ""]:
        """The index of the epoch at a time of the trial."""
        epoch_start = getattr(trial, "epoch_start", None)
        if epoch_start is None:
            return jnp.zeros((), jnp.int32)
        return jnp.sum(clock.step >= epoch_start, dtype=jnp.int32) - 1
