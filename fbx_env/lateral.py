"""Movement and force across the straight line from start to goal, of one trial."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fbx_env.params import ReachParams
from fbx_env.parts.loads.curl_field import left_of
from fbx_env.parts.loads.force_channel import reach_direction
from fbx_env.parts.loads.load import Load
from fbx_env.parts.plants.plant import Effector
from fbx_env.parts.tasks.trial import Trial
from fbx_env.rollout import Trajectory


def perpendicular_error(pos: Float[Array, "states 2"], trial: Trial) -> Float[Array, ""]:
    """The greatest deviation from the straight line to the goal [m], positive to its left.

    Zero where the goal is the start.

    Args:
        pos: of the effector [m].
        trial: one trial.
    """
    off = (pos - trial.start) @ left_of(reach_direction(trial))
    return off[jnp.argmax(jnp.abs(off))]


def lateral_force(
    load: Load, trajectory: Trajectory, params: ReachParams
) -> Float[Array, " steps"]:
    """The force by which a load pushes to the left of the line to the goal in each step [N].

    The load need not have acted: the ideal force in a channel is minus that of the field which the
    movement would have met.

    Args:
        load: any.
        trajectory: of one trial.
        params: the experiment that it is of.
    """
    trial = trajectory.trial

    def force(step: Array, pos: Array, vel: Array) -> Float[Array, "2"]:
        return load.force_on(Effector(pos, vel), trial, params.clock(step, trial))

    steps = jnp.arange(trajectory.load.shape[-2])
    forces = jax.vmap(force)(steps, trajectory.pos[:-1], trajectory.vel[:-1])
    return forces @ left_of(reach_direction(trial))


def adaptation_index(
    measured: Float[Array, " steps"], ideal: Float[Array, " steps"]
) -> Float[Array, ""]:
    """The slope of the regression, through the origin, of the force in a channel on the ideal one.

    0 where nothing of the field is expected, 1 where all of it is (Smith, Ghazizadeh and Shadmehr,
    PLoS Biology 4:e179, 2006).

    Args:
        measured: which pressed on the channel [N].
        ideal: which would have cancelled the field [N].
    """
    return measured @ ideal / (ideal @ ideal)
