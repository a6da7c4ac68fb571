"""Delayed reaches."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from fbx_env import checks
from fbx_env.parts.clock import Clock
from fbx_env.parts.component import Scalar, Vector, number
from fbx_env.parts.plants.plant import Effector
from fbx_env.parts.tasks.epoch_trial import EpochTrial, draw_durations, spread_durations
from fbx_env.parts.tasks.simple_reaches import SimpleReaches
from fbx_env.parts.tasks.task import Cue, Task
from fbx_env.parts.tasks.trial import Trial

if TYPE_CHECKING:
    Flags = Bool[Array, "*trials"] | bool
else:
    Flags = Bool[Array | np.ndarray, "*trials"] | np.bool_ | bool | Sequence[Any]


class DelayedReachTrial(EpochTrial):
    """A delayed reach, or a batch of them.

    Attributes:
        start, goal: see ``Trial``.
        epoch_durations: of the epochs hold and target_on [s], ``(2,)``.
        is_catch: whether the go never comes, one or one for each trial.
    """

    is_catch: Flags = False

    def __check_init__(self) -> None:
        is_catch = jnp.asarray(self.is_catch)
        if is_catch.dtype != bool:
            raise TypeError(f"is_catch must be True or False, got {self.is_catch!r}")
        self._assign(is_catch=jnp.broadcast_to(is_catch, jnp.shape(self.start)[:-1]))


class DelayedReaches(Task):
    """Reaches that are announced, and begin when the hold cue goes off.

    First the effector has to stay at the start. Then the goal is shown and it has to stay still,
    until the cue to hold goes off: the go. From then on it should be at the goal. In a catch trial
    the go never comes, and it has to stay to the end.

    The agent is shown the goal's position and velocity (zero, as long as there is nothing to see),
    the cue to hold, and whether there is something to see. A trial in which the effector leaves the
    start before the go is no success.

    Attributes:
        reaches: from where to where.
        hold_duration: shortest and longest time before the goal is shown [s], ``(2,)``; uniform,
            and in whole steps less than the longest.
        target_on_duration: the same of the time from then to the go.
        catch_probability: of a catch trial in training, from 0 to 1; there is none in validation.

    Raises:
        TypeError, ValueError: for a number that is not allowed; by ``ReachParams``, if the longest
            wait leaves no time to move.

    Example:
        >>> task = DelayedReaches(hold_duration=(0.2, 0.2), target_on_duration=(0.3, 1.0))
        >>> task.sample(jax.random.key(0)).epoch_durations[0]
        Array(0.2, dtype=float32)
    """

    epoch_names: ClassVar[tuple[str, ...]] = ("hold", "target_on", "movement")
    fixation_epochs: ClassVar[tuple[str, ...]] = ("hold", "target_on")

    reaches: Task = dataclasses.field(default_factory=SimpleReaches)
    hold_duration: Vector = number(
        "shortest and longest time before the goal is shown",
        default=(0.25, 0.75),
        unit="s",
        at_least=0,
        shape=(2,),
    )
    target_on_duration: Vector = number(
        "shortest and longest time from when the goal is shown to the go",
        default=(0.5, 1.0),
        unit="s",
        at_least=0,
        shape=(2,),
    )
    catch_probability: Scalar = number(
        "probability that the go never comes", default=0.5, at_least=0, at_most=1
    )

    def __check_init__(self) -> None:
        checks.instance("reaches", self.reaches, Task)
        for name in ("hold_duration", "target_on_duration"):
            range_ = jnp.asarray(getattr(self, name))
            checks.ordered(f"{name}[0]", range_[..., 0], f"{name}[1]", range_[..., 1])

    def __check_params__(self, params: Any) -> None:
        last_go = jnp.sum(self._ranges[..., 1], axis=-1)
        checks.within_trial("the wait for the go", 0.0, last_go + params.dt, params)

    def sample(self, key: PRNGKeyArray) -> DelayedReachTrial:
        key_reach, key_durations, key_catch = jax.random.split(checks.key("key", key), 3)
        return self._delayed(
            self.reaches.sample(key_reach),
            draw_durations(key_durations, self._ranges),
            jax.random.bernoulli(key_catch, self.catch_probability),
        )

    def validation_trials(self) -> DelayedReachTrial:
        reaches = self.reaches.validation_trials()
        n_trials = len(reaches.start)
        durations = spread_durations(n_trials, self._ranges)
        return self._delayed(reaches, durations, jnp.zeros(n_trials, bool))

    def target(self, trial: Trial, clock: Clock) -> Effector:
        has_gone = (self.epoch(trial, clock) == 2) & ~_delayed_reach(trial).is_catch
        pos = jnp.where(has_gone, trial.goal, trial.start)
        return Effector(pos=pos, vel=jnp.zeros_like(pos))

    def cue(self, trial: Trial, clock: Clock) -> Cue:
        epoch = self.epoch(trial, clock)
        is_shown, has_gone = epoch >= 1, (epoch == 2) & ~_delayed_reach(trial).is_catch
        return {
            "goal_position": jnp.where(is_shown, trial.goal, 0.0),
            "goal_velocity": jnp.zeros_like(trial.goal),
            "hold": (~has_gone).astype(float)[None],
            "target_on": is_shown.astype(float)[None],
        }

    @property
    def _ranges(self) -> Float[Array, "*batch durations 2"]:
        return jnp.stack(
            [jnp.asarray(self.hold_duration), jnp.asarray(self.target_on_duration)], axis=-2
        )

    def _delayed(
        self,
        reach: Trial,
        durations: Float[Array, "*trials durations"],
        is_catch: Bool[Array, "*trials"],
    ) -> DelayedReachTrial:
        return DelayedReachTrial(
            start=reach.start, goal=reach.goal, epoch_durations=durations, is_catch=is_catch
        )


def _delayed_reach(trial: Trial) -> DelayedReachTrial:
    reach: DelayedReachTrial = checks.instance("trial", trial, DelayedReachTrial)
    return reach
