"""A task of a stranger: wait for the go cue, then reach."""

import jax
import jax.numpy as jnp

from fbx_env import Effector, Scalar, Task, Trial, number


class GoCue(Task):
    """Reaches in a square of 1 m that begin when a cue is given."""

    go_time: Scalar = number("when the cue is given", default=0.2, unit="s", at_least=0)

    def sample(self, key):
        points = jax.random.uniform(key, (2, 2), minval=-0.5, maxval=0.5)
        return Trial(start=points[0], goal=points[1])

    def validation_trials(self):
        corners = jnp.array([[0.3, 0.0], [0.0, 0.3], [-0.3, 0.0], [0.0, -0.3]])
        return Trial(start=jnp.zeros((4, 2)), goal=corners)

    def target(self, trial, clock):
        pos = jnp.where(clock.time < self.go_time, trial.start, trial.goal)
        return Effector(pos, jnp.zeros(2))

    def cue(self, trial, clock):
        go = (clock.time >= self.go_time).astype(float)
        return {"goal_position": trial.goal, "go": go[None]}
