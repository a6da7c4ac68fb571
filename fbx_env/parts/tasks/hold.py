"""Holding still."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from fbx_env.parts.clock import Clock
from fbx_env.parts.component import Matrix, whole
from fbx_env.parts.plants.plant import Effector
from fbx_env.parts.tasks.task import Cue, Task
from fbx_env.parts.tasks.trial import Trial
from fbx_env.parts.tasks.workspace import check_workspace, uniform_points, workspace


class Hold(Task):
    """Stay where the trial starts, a point that is uniform in a rectangular workspace.

    With loads, this is stabilisation. The agent is shown the point and its velocity (which is
    zero) at every step. Validation trials are at the points of a regular grid that includes the
    border of the workspace.

    Attributes:
        workspace: lower left and upper right corner [m], shape ``(2, 2)``.
        eval_grid_n: points of validation trials along each axis, at least 2.

    Raises:
        TypeError, ValueError: for a number that is not allowed, or a lower bound of the workspace
            that is not below its upper bound.

    Example:
        >>> env, params = fbx_env.make("PointMassHold-v0", loads=(ForcePulse(force=(3.0, 0.0)),))
        >>> params.task.validation_trials().start.shape
        (9, 2)
    """

    workspace: Matrix = workspace()
    eval_grid_n: int = whole("points of validation trials along each axis", default=3, at_least=2)

    def __check_init__(self) -> None:
        check_workspace(self.workspace)

    def sample(self, key: PRNGKeyArray) -> Trial:
        (point,) = uniform_points(key, self.workspace, 1)
        return Trial(start=point, goal=point)

    def validation_trials(self) -> Trial:
        low, high = jnp.asarray(self.workspace)
        along = jnp.linspace(low, high, self.eval_grid_n)
        points = jnp.stack(jnp.meshgrid(along[:, 0], along[:, 1]), -1).reshape(-1, 2)
        return Trial(start=points, goal=points)

    def target(self, trial: Trial, clock: Clock) -> Effector:
        return Effector(pos=trial.start, vel=jnp.zeros_like(trial.start))

    def cue(self, trial: Trial, clock: Clock) -> Cue:
        return {"goal_position": trial.start, "goal_velocity": jnp.zeros_like(trial.start)}
