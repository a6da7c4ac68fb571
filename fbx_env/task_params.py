"""From the params of a body's reaches to those of its other tasks."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from fbx_env.params import ReachParams
from fbx_env.parts.losses.fixation import FixationCost
from fbx_env.parts.losses.position import PositionCost
from fbx_env.parts.losses.velocity import VelocityCost
from fbx_env.parts.tasks.delayed_reaches import DelayedReaches
from fbx_env.parts.tasks.hold import Hold
from fbx_env.parts.tasks.paths.sinusoids import SumOfSinusoids
from fbx_env.parts.tasks.simple_reaches import SimpleReaches
from fbx_env.parts.tasks.task import Task
from fbx_env.parts.tasks.track import Track

MOVEMENT_STEPS = 60
"""How many steps are left after the latest go, at least."""

TRACK_TIME = 2.0
"""How long a target is tracked, at least [s]."""

SPEED_WEIGHT = 0.1
"""Weight of the squared speed where the effector should be still; 1 for the squared distance."""


def delayed_reach(params: ReachParams) -> ReachParams:
    """The same reaches, delayed; position counts from the go on, and until then to hold still.

    The speed before the go counts as in ``hold``: if only the place did, it would be best to be
    under way when the go comes. Trials are longer, where the longest wait would leave too little
    time to move.
    """
    task = DelayedReaches(reaches=params.task)
    durations = jnp.asarray([task.hold_duration, task.target_on_duration])
    n_steps = round(float(durations[:, 1].sum() / params.dt)) + MOVEMENT_STEPS
    loss = (
        FixationCost(epochs=DelayedReaches.fixation_epochs)
        + VelocityCost(weight=SPEED_WEIGHT, epochs=DelayedReaches.fixation_epochs)
        + params.loss["position"].replace(epochs="movement")
        + params.loss["final_velocity"]
        + params.loss["command"]
    )
    return params.replace(
        task=task, loss=loss, max_steps_in_episode=max(params.max_steps_in_episode, n_steps)
    )


def hold(params: ReachParams) -> ReachParams:
    """To stay at a point of the workspace of the reaches; position and velocity count always."""
    task = Hold(workspace=_workspace(params.task))
    loss = PositionCost(exponent=0.0) + VelocityCost(weight=SPEED_WEIGHT) + params.loss["command"]
    return params.replace(task=task, loss=loss)


def track(params: ReachParams) -> ReachParams:
    """To follow a target within the workspace of the reaches; position counts always.

    Trials are longer, where there would be too little time to see a way.
    """
    low, high = _workspace(params.task)
    path = SumOfSinusoids()
    amplitude = path.amplitude * jnp.min(high - low) / 2
    task = Track(path=path.replace(amplitude=amplitude), centre=(low + high) / 2)
    n_steps = round(TRACK_TIME / float(params.dt))
    return params.replace(
        task=task,
        loss=PositionCost(exponent=0.0) + params.loss["command"],
        max_steps_in_episode=max(params.max_steps_in_episode, n_steps),
    )


def _workspace(task: Task) -> Float[Array, "2 2"]:
    """The corners of the workspace of reaches, or else of the box around validation reaches [m]."""
    if isinstance(task, SimpleReaches):
        return jnp.asarray(task.workspace)
    trials = task.validation_trials()
    points = jnp.concatenate([jnp.asarray(trials.start), jnp.asarray(trials.goal)])
    return jnp.stack([points.min(axis=0), points.max(axis=0)])
