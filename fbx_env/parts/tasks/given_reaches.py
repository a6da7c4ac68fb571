"""Reaches from a list."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from fbx_env.parts.clock import Clock
from fbx_env.parts.component import number
from fbx_env.parts.plants.plant import Effector
from fbx_env.parts.tasks.paths.given import Corners
from fbx_env.parts.tasks.task import Cue, Task
from fbx_env.parts.tasks.trial import Trial


class GivenReaches(Task):
    """Reaches from a list, each as probable as the others; all of them are validation trials.

    The agent is shown the goal's position and velocity (which is zero) at every step.

    Attributes:
        starts: [m], ``(reaches, 2)``.
        goals: [m], ``(reaches, 2)``.

    Raises:
        TypeError, ValueError: for a number that is not allowed, or other starts than goals.

    Example:
        >>> task = GivenReaches(starts=((0.0, 0.0), (0.0, 0.0)), goals=((0.5, 0.0), (0.0, 0.5)))
        >>> env, params = fbx_env.make(task=task)
    """

    starts: Corners = number("where reaches start", default=((0.0, 0.0),), unit="m", shape=(-1, 2))
    goals: Corners = number("where reaches go", default=((0.5, 0.0),), unit="m", shape=(-1, 2))

    def __check_init__(self) -> None:
        shapes = np.shape(self.starts), np.shape(self.goals)
        if shapes[0] != shapes[1] or 0 in shapes[0]:
            raise ValueError(f"starts and goals must be as many, one or more, got shapes {shapes}")

    def sample(self, key: PRNGKeyArray) -> Trial:
        reaches = self.validation_trials()
        index = jax.random.randint(key, (), 0, len(reaches.start))
        return Trial(start=reaches.start[index], goal=reaches.goal[index])

    def validation_trials(self) -> Trial:
        return Trial(start=jnp.asarray(self.starts), goal=jnp.asarray(self.goals))

    def target(self, trial: Trial, clock: Clock) -> Effector:
        return Effector(pos=trial.goal, vel=jnp.zeros_like(trial.goal))

    def cue(self, trial: Trial, clock: Clock) -> Cue:
        target = self.target(trial, clock)
        return {"goal_position": target.pos, "goal_velocity": target.vel}
