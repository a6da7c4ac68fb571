"""Tasks: which trials there are, and what a trial asks for at each moment."""

from __future__ import annotations

import abc

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from fbx_env import checks
from fbx_env.component import Component
from fbx_env.plants import Effector


class Trial(Component):
    """One trial, or a batch of trials with a leading axis: where to start and where to go.

    Attributes:
        start: position of the effector at the start [m], shape ``(2,)`` or ``(n, 2)``.
        goal: position to reach [m], same shape.

    Raises:
        TypeError: if either is not numeric.
        ValueError: if either is not finite, does not end in two coordinates, the shapes differ, or
            there is no trial at all.

    Example:
        >>> Trial(start=(0.0, 0.0), goal=(0.5, 0.0)).goal
        Array([0.5, 0. ], dtype=float32)
    """

    start: Float[Array, "*trials 2"]
    goal: Float[Array, "*trials 2"]

    def __post_init__(self) -> None:
        start = checks.real("start", self.start, shape=(2,))
        goal = checks.real("goal", self.goal, shape=(2,))
        if start.shape != goal.shape:
            raise ValueError(
                f"start and goal must have the same shape, got {start.shape} and {goal.shape}"
            )
        if 0 in start.shape:
            raise ValueError(f"there must be at least one trial, got start of shape {start.shape}")
        self._assign(start=start, goal=goal)


class Task(Component, abc.ABC):
    """A distribution of trials and what each asks for. A new task is a new subclass."""

    @abc.abstractmethod
    def sample(self, key: PRNGKeyArray) -> Trial:
        """Draw one trial for training."""

    @abc.abstractmethod
    def validation_trials(
        self, grid_n: int = 1, n_directions: int = 7, distance: float = 0.5
    ) -> Trial:
        """The fixed trials on which every agent is judged, along a leading axis."""

    @abc.abstractmethod
    def target(self, trial: Trial, fraction: Float[Array, ""]) -> Effector:
        """Where the effector should be once ``fraction`` (0 to 1) of the trial has passed."""

    @abc.abstractmethod
    def cue(self, trial: Trial, fraction: Float[Array, ""]) -> Float[Array, " cue"]:
        """What the agent is told about the trial once ``fraction`` of it has passed."""


class SimpleReaches(Task):
    """Reaches from a random start to a random goal, both uniform in a rectangular workspace.

    The agent is told the goal's position and velocity (which is zero) at every step.

    Attributes:
        workspace: lower left and upper right corner [m], shape ``(2, 2)``.

    Raises:
        ValueError: if a lower bound of the workspace is not below its upper bound.

    Example:
        >>> task = SimpleReaches(workspace=((-0.2, -0.2), (0.2, 0.2)))
        >>> task.sample(jax.random.key(0)).start.shape
        (2,)
        >>> task.validation_trials(n_directions=8).goal.shape
        (8, 2)
    """

    workspace: Float[Array, "2 2"] | tuple[tuple[float, float], tuple[float, float]] = (
        (-1.0, -1.0),
        (1.0, 1.0),
    )

    def __post_init__(self) -> None:
        workspace = checks.real("workspace", self.workspace, shape=(2, 2))
        if not isinstance(workspace, jax.core.Tracer):
            low, high = workspace[..., 0, :], workspace[..., 1, :]
            if not bool((low < high).all()):
                raise ValueError(
                    "workspace must be ((x low, y low), (x high, y high)) with each low below its "
                    f"high, got {workspace.tolist()}"
                )
        self._assign(workspace=workspace)

    def sample(self, key: PRNGKeyArray) -> Trial:
        checks.key("key", key)
        low, high = jnp.asarray(self.workspace)
        points = jax.random.uniform(key, (2, 2), low.dtype, minval=low, maxval=high)
        return Trial(start=points[0], goal=points[1])

    def validation_trials(
        self, grid_n: int = 1, n_directions: int = 7, distance: float = 0.5
    ) -> Trial:
        """Centre-out reaches from a grid of points inside the workspace.

        Args:
            grid_n: starts along each axis, evenly spaced inside the workspace; 1 is its centre.
            n_directions: goals around each start, counter-clockwise from the x axis.
            distance: from start to goal [m].

        Returns:
            ``grid_n**2 * n_directions`` trials, all directions of a start together.

        Raises:
            TypeError, ValueError: if a count is not a whole number above 0, or the distance is not
                positive.
        """
        grid_n = checks.whole("grid_n", grid_n, at_least=1)
        n_directions = checks.whole("n_directions", n_directions, at_least=1)
        distance_m = checks.number("distance", distance, above=0)
        low, high = jnp.asarray(self.workspace)
        inside = jnp.linspace(low, high, grid_n + 2)[1:-1]
        starts = jnp.stack(jnp.meshgrid(inside[:, 0], inside[:, 1], indexing="ij"), -1)
        # NumPy's float64 keeps the goals exact to rounding, which float32 angles would not.
        angles = 2 * np.pi * np.arange(n_directions) / n_directions
        offsets = distance_m * np.stack([np.cos(angles), np.sin(angles)], -1).astype(low.dtype)
        start = jnp.repeat(starts.reshape(-1, 2), n_directions, axis=0)
        return Trial(start=start, goal=start + jnp.tile(offsets, (grid_n**2, 1)))

    def target(self, trial: Trial, fraction: Float[Array, ""]) -> Effector:
        return Effector(pos=trial.goal, vel=jnp.zeros_like(trial.goal))

    def cue(self, trial: Trial, fraction: Float[Array, ""]) -> Float[Array, "4"]:
        target = self.target(trial, fraction)
        return jnp.concatenate([target.pos, target.vel])
