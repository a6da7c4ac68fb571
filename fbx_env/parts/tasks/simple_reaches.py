"""Simple reaches."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from fbx_env.parts.clock import Clock
from fbx_env.parts.component import Matrix, Scalar, number, whole
from fbx_env.parts.plants.plant import Effector
from fbx_env.parts.tasks.task import Cue, Task
from fbx_env.parts.tasks.trial import Trial
from fbx_env.parts.tasks.workspace import check_workspace, uniform_points, workspace


class SimpleReaches(Task):
    """Reaches from a random start to a random goal, both uniform in a rectangular workspace.

    The agent is shown the goal's position and velocity (which is zero) at every step. Validation
    trials are centre-out reaches: from every point of a grid inside the workspace, goals at one
    distance all around.

    Attributes:
        workspace: lower left and upper right corner [m], shape ``(2, 2)``.
        eval_grid_n: starts of validation trials along each axis, evenly spaced inside the
            workspace; 1 is its centre.
        eval_n_directions: goals around each start, counter-clockwise from the x axis.
        eval_distance: from start to goal of a validation trial [m].

    Raises:
        TypeError, ValueError: for a number that is not allowed, or a lower bound of the workspace
            that is not below its upper bound.

    Example:
        >>> task = SimpleReaches(workspace=((-0.2, -0.2), (0.2, 0.2)), eval_n_directions=8)
        >>> task.sample(jax.random.key(0)).start.shape
        (2,)
        >>> task.validation_trials().goal.shape
        (8, 2)
    """

    workspace: Matrix = workspace()
    eval_grid_n: int = whole("starts of validation trials along each axis", default=1, at_least=1)
    eval_n_directions: int = whole(
        "goals around each start in validation trials", default=7, at_least=1
    )
    eval_distance: Scalar = number(
        "distance from start to goal in validation trials; in training it is as drawn",
        default=0.5,
        unit="m",
        above=0,
    )

    def __check_init__(self) -> None:
        check_workspace(self.workspace)

    def sample(self, key: PRNGKeyArray) -> Trial:
        start, goal = uniform_points(key, self.workspace, 2)
        return Trial(start=start, goal=goal)

    @jax.jit
    def validation_trials(self) -> Trial:
        low, high = jnp.asarray(self.workspace)
        inside = jnp.linspace(low, high, self.eval_grid_n + 2)[1:-1]
        starts = jnp.stack(jnp.meshgrid(inside[:, 0], inside[:, 1], indexing="ij"), -1)
        # NumPy's float64 keeps the goals exact to rounding, which float32 angles would not.
        angles = 2 * np.pi * np.arange(self.eval_n_directions) / self.eval_n_directions
        ways = np.stack([np.cos(angles), np.sin(angles)], -1)
        offsets = self.eval_distance * jnp.asarray(ways, low.dtype)
        start = jnp.repeat(starts.reshape(-1, 2), self.eval_n_directions, axis=0)
        return Trial(start=start, goal=start + jnp.tile(offsets, (self.eval_grid_n**2, 1)))

    def target(self, trial: Trial, clock: Clock) -> Effector:
        return Effector(pos=trial.goal, vel=jnp.zeros_like(trial.goal))

    def cue(self, trial: Trial, clock: Clock) -> Cue:
        target = self.target(trial, clock)
        return {"goal_position": target.pos, "goal_velocity": target.vel}
