"""Tracking a target that moves."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, Real

from fbx_env import checks
from fbx_env.parts.clock import Clock
from fbx_env.parts.component import Scalar, SignalScalar, Vector, number, whole
from fbx_env.parts.plants.plant import Effector
from fbx_env.parts.tasks.paths.path import TargetPath
from fbx_env.parts.tasks.paths.sinusoids import SumOfSinusoids
from fbx_env.parts.tasks.spread import spread
from fbx_env.parts.tasks.task import Cue, Task
from fbx_env.parts.tasks.trial import Trial

if TYPE_CHECKING:
    Phases = Float[Array, "*trials phases"]
else:
    Phases = Real[Array | np.ndarray, "*trials phases"] | Sequence[Any]


class TrackTrial(Trial):
    """A trial of tracking, or a batch of them.

    Attributes:
        start: where effector and target start [m], shape ``(2,)`` or ``(n, 2)``.
        goal: the same.
        phase: of the path [rad], ``(phases,)``; in a trial given by hand, the target's way is that
            of these phases, moved to the start.
    """

    phase: Phases

    def __check_init__(self) -> None:
        phase = jnp.asarray(self.phase, float)
        if phase.size:
            phase = checks.real("phase", self.phase, shape=None)
        if phase.shape[:-1] != jnp.shape(self.start)[:-1] or phase.ndim == 0:
            raise ValueError(
                "phase must have the leading axes of start and one more, of the phases, got "
                f"{phase.shape} and start of shape {jnp.shape(self.start)}"
            )
        self._assign(phase=phase)


class Track(Task):
    """Follow a target that moves along a path.

    Effector and target start together, at rest. First the target speeds up evenly to the pace of
    its path, which the effector would else have to catch up with at any price. The agent is shown
    the target's position and velocity and, with a preview, where it will be some time later.
    Success is to be on target, and as fast, at the end.

    Attributes:
        path: of the target.
        centre: of the path [m], ``(2,)``.
        preview: how much later the places are that are shown beforehand [s], one time or several,
            greater than 0; ``None`` for no preview.
        ease: how long the target speeds up [s], at least 0.
        eval_n_trials: validation trials, whose phases are spread evenly; one, if there are none.

    Raises:
        TypeError, ValueError: for a number that is not allowed; by ``ReachParams``, if the preview
            is longer than the trial; by ``gymnasium.make`` and ``fbx_env.reach.check_task``, if the
            path leaves the plant's reach.

    Example:
        >>> task = Track(path=Circle(radius=0.2), preview=0.3)
        >>> env, params = fbx_env.make("PointMassTrack-v0", task=task)
        >>> env.observation_layout(params)["preview_position"]
        slice(4, 6, None)
    """

    path: TargetPath = dataclasses.field(default_factory=SumOfSinusoids)
    centre: Vector = number(
        "centre of the target's path",
        default=(0.0, 0.0),
        unit="m",
        shape=(2,),
        keyword="path_centre",
    )
    preview: SignalScalar | None = number(
        "how much later the places are that are shown beforehand",
        default=None,
        unit="s",
        above=0,
        shape=None,
        optional=True,
    )
    ease: Scalar = number(
        "how long the target speeds up", default=0.5, unit="s", at_least=0, keyword="path_ease"
    )
    eval_n_trials: int = whole("validation trials", default=8, at_least=1)

    def __check_init__(self) -> None:
        checks.instance("path", self.path, TargetPath)

    def __check_params__(self, params: Any) -> None:
        if self.preview is not None:
            checks.within_trial("preview", 0.0, jnp.max(jnp.asarray(self.preview)), params)

    def sample(self, key: PRNGKeyArray) -> TrackTrial:
        shape = (self.path.n_phases,)
        return self._trial(jax.random.uniform(checks.key("key", key), shape, maxval=2 * np.pi))

    def validation_trials(self) -> TrackTrial:
        n_trials = self.eval_n_trials if self.path.n_phases else 1
        phases = 2 * np.pi * spread(n_trials, self.path.n_phases)
        return jax.vmap(self._trial)(jnp.asarray(phases, float))

    def target(self, trial: Trial, clock: Clock) -> Effector:
        pos, vel = self._target_at(trial, clock.time)
        return Effector(pos=pos, vel=vel)

    def cue(self, trial: Trial, clock: Clock) -> Cue:
        target = self.target(trial, clock)
        cue = {"goal_position": target.pos, "goal_velocity": target.vel}
        if self.preview is None:
            return cue
        times = clock.time + jnp.ravel(jnp.asarray(self.preview))
        positions, _ = jax.vmap(lambda time: self._target_at(trial, time))(times)
        return {**cue, "preview_position": positions.ravel()}

    def _trial(self, phase: Float[Array, " phases"]) -> TrackTrial:
        start = jnp.asarray(self.centre) + self.path.position(phase, jnp.zeros(()))
        return TrackTrial(start=start, goal=start, phase=phase)

    def _target_at(
        self, trial: Trial, time: Float[Array, ""]
    ) -> tuple[Float[Array, "2"], Float[Array, "2"]]:
        """Position and velocity of the target at a time of the trial."""
        phase = checks.instance("trial", trial, TrackTrial).phase
        if phase.shape != (self.path.n_phases,):
            raise ValueError(
                f"phase must have shape {(self.path.n_phases,)} for {type(self.path).__name__}, "
                f"got {phase.shape}"
            )

        def way(time: Float[Array, ""]) -> Float[Array, "2"]:
            return self.path.position(phase, self._path_time(time))

        pos, vel = jax.jvp(way, (time,), (jnp.ones_like(time),))
        return trial.start + pos - way(jnp.zeros_like(time)), vel

    def _path_time(self, time: Float[Array, ""]) -> Float[Array, ""]:
        """How long the target would have needed at full pace [s]."""
        # What is not chosen is kept finite, for gradients.
        speeding_up = jnp.square(time) / (2 * jnp.maximum(self.ease, 1e-6))
        return jnp.where(time < self.ease, speeding_up, time - self.ease / 2)
