"""The base of every task."""

from __future__ import annotations

import abc
from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from fbx_env.parts.clock import Clock
from fbx_env.parts.component import Component, Scalar
from fbx_env.parts.plants.plant import Effector
from fbx_env.parts.tasks.epoch_trial import first_steps
from fbx_env.parts.tasks.trial import Trial

Cue = dict[str, Float[Array, "_"]]
"""The parts of the trial that the agent is shown, by name."""


class Task(Component, abc.ABC):
    """A distribution of trials, and what each asks for. A new task is a new subclass.

    A trial succeeds if the effector is near to the target, and about as fast, at its end and
    throughout the task's ``fixation_epochs``.

    Attributes:
        epoch_names: the names of the epochs into which trials are divided. If there are several,
            trials are ``EpochTrial``.
        fixation_epochs: the names of those in which the effector has to be on target.

    Example:
        >>> class ReachesToTheOrigin(Task):
        ...     def sample(self, key):
        ...         return Trial(jax.random.uniform(key, (2,), minval=-1, maxval=1), jnp.zeros(2))
        ...     def validation_trials(self):
        ...         return jax.vmap(self.sample)(jax.random.split(jax.random.key(0), 8))
        ...     def target(self, trial, clock):
        ...         return Effector(trial.goal, jnp.zeros_like(trial.goal))
        ...     def cue(self, trial, clock):
        ...         return {"goal_position": trial.goal}
        >>> env, params = fbx_env.make(task=ReachesToTheOrigin())
    """

    epoch_names: ClassVar[tuple[str, ...]] = ("movement",)
    fixation_epochs: ClassVar[tuple[str, ...]] = ()

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
        """The parts of the trial that the agent is shown at a time of it."""

    def with_epochs(self, trial: Trial, clock: Clock) -> Clock:
        """The clock that also knows the epochs of the trial.

        Raises:
            TypeError, ValueError: if the trial does not say how long each epoch lasts.
        """
        start = None
        if len(self.epoch_names) > 1:
            start = first_steps(trial, clock.dt, len(self.epoch_names))
        return clock.replace(epoch_start=start, epoch_names=self.epoch_names)

    def epoch(self, trial: Trial, clock: Clock) -> Int[Array, ""]:
        """The index of the epoch at a time of the trial."""
        return self.with_epochs(trial, clock).epoch

    def permits(
        self, effector: Effector, trial: Trial, clock: Clock, *, distance: Scalar, speed: Scalar
    ) -> Bool[Array, ""]:
        """Whether a trial in which the effector is so at a time of it can succeed.

        Args:
            effector: position and velocity.
            trial: the trial.
            clock: of the trial, which knows its epochs.
            distance: greatest distance to the target on target [m].
            speed: greatest speed relative to the target's on target [m/s].
        """
        target = self.target(trial, clock)
        off, slip = effector.pos - target.pos, effector.vel - target.vel
        is_on_target = (off @ off <= jnp.square(distance)) & (slip @ slip <= jnp.square(speed))
        return is_on_target | ~(clock.is_last | clock.is_in(self.fixation_epochs))
