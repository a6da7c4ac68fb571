"""The params of the reaches of each body."""

from __future__ import annotations

import jax.numpy as jnp

from fbx_env.params import ReachParams
from fbx_env.parts.channels.sensory import SensoryChannel
from fbx_env.parts.losses.reach import reach_loss
from fbx_env.parts.plants.muscle_arm import MuscleArm
from fbx_env.parts.plants.muscle_point_mass import MusclePointMass
from fbx_env.parts.plants.plant import Plant
from fbx_env.parts.plants.two_link_arm import TwoLinkArm
from fbx_env.parts.tasks.simple_reaches import SimpleReaches

CENTRE_ANGLE = (jnp.pi / 4, jnp.pi / 2)
"""Shoulder and elbow angle in the middle of an arm's workspace [rad]."""

HALF_WIDTH = 0.15
"""Of the square workspace [m], every point of which an arm reaches within its joints' limits."""


def two_link_arm_reach() -> ReachParams:
    """Reaches of an arm that torques move."""
    plant = TwoLinkArm()
    return _reach(plant, plant.effector(plant.state_at(CENTRE_ANGLE)).pos, 1e-5)


def muscle_arm_reach() -> ReachParams:
    """Reaches of an arm that six muscles move."""
    plant = MuscleArm()
    return _reach(plant, plant.effector(plant.state_at(CENTRE_ANGLE)).pos, 1e-3)


def muscle_point_mass_reach() -> ReachParams:
    """Reaches of a point mass that four muscles pull."""
    return _reach(MusclePointMass(), jnp.zeros(2), 1e-1)


def _reach(plant: Plant, centre: jnp.ndarray, command_weight: float) -> ReachParams:
    """Short, fast reaches within a square around a point [m], which the agent sees and feels.

    Validation reaches start at the point, and go 0.1 m in 8 directions; a tenth of that is near
    enough for success, as it is for the point mass.
    """
    task = SimpleReaches(
        workspace=centre + HALF_WIDTH * jnp.array([[-1.0, -1.0], [1.0, 1.0]]),
        eval_n_directions=8,
        eval_distance=0.1,
    )
    return ReachParams(
        plant=plant,
        task=task,
        proprioception=SensoryChannel(),
        loss=reach_loss().with_weights(command=command_weight),
        dt=0.01,
        max_steps_in_episode=60,
        success_distance=0.01,
    )
