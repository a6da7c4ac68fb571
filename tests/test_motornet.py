"""Recordings of MotorNet, replayed by our equations with its integration restored."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from bodies import recording

from fbx_env import KistemakerMuscle, MujocoMuscle, MuscleArm, MusclePointMass, ReluMuscle

PLANTS = {
    "arm_torques": MuscleArm(muscle=ReluMuscle()),
    "arm_torques_curl": MuscleArm(muscle=ReluMuscle()),
    "arm26_relu": MuscleArm(muscle=ReluMuscle()),
    "arm26_hill_thelen": MuscleArm(),
    # Its velocity is ten times too small.
    "arm26_hill_rigid": MuscleArm(muscle=KistemakerMuscle(velocity_scale=10.0)),
    "arm26_hill_mujoco": MuscleArm(muscle=MujocoMuscle()),
    "point_mass24_relu": MusclePointMass(),
}
DT = 0.01
WALLS = (-1.0, 1.0)
"""Of the point mass, along both axes [m]."""


def lagging_step(plant, carry, now):
    """A step of Euler's with the force that muscles had a step ago, stopped dead by limits."""
    state, force = carry
    excitation, at_hand, at_joints = now
    dynamics = plant.muscle.activation
    where, rate = plant.coordinates(state)
    _, torque_of = jax.vjp(plant.geometry.length, where)
    torque = at_joints - torque_of(force)[0]
    if isinstance(plant, MuscleArm):
        acceleration = plant.skeleton.acceleration(where, rate, torque, at_hand)
        low, high = plant.skeleton.lower_limit, plant.skeleton.upper_limit
    else:
        acceleration, (low, high) = (torque + at_hand) / plant.mass, WALLS
    gained = dynamics.rate(dynamics.bounded(excitation), state.activation)
    activation = dynamics.bounded(state.activation + DT * gained)
    later = plant.tension(type(state)(where, rate, activation))
    then, rate_then = where + DT * rate, rate + DT * acceleration
    stopped = ((then <= jnp.asarray(low)) & (rate_then < 0)) | (
        (then >= jnp.asarray(high)) & (rate_then > 0)
    )
    after = type(state)(
        jnp.clip(then, jnp.asarray(low), jnp.asarray(high)),
        jnp.where(stopped, 0.0, rate_then),
        activation,
    )
    return (after, later), (after, plant.effector(after))


@pytest.mark.parametrize("name", PLANTS)
def test_a_replay_is_where_the_recording_is(name):
    of, plant = recording(f"motornet_{name}"), PLANTS[name]
    joint, activation = of["joint"], of["muscle"][:, 0, 0]
    names = ("pos", "vel") if name.startswith("point") else ("angle", "rate")
    start = jax.vmap(
        lambda where, rate, activation: plant.state_at(
            **dict(zip(names, (where, rate), strict=True)), activation=activation
        )
    )(*(jnp.asarray(each, float) for each in (*np.split(joint[:, 0], 2, axis=-1), activation)))
    force = jnp.asarray(of["muscle"][:, 0, -1], float)
    inputs = [jnp.asarray(of[each], float) for each in ("action", "endpoint_load", "joint_load")]

    def replay(start, force, inputs):
        return jax.lax.scan(
            lambda carry, now: lagging_step(plant, carry, now), (start, force), inputs
        )

    _, (states, hand) = jax.jit(jax.vmap(replay))(start, force, tuple(inputs))
    where, _ = jax.vmap(jax.vmap(plant.coordinates))(states)
    np.testing.assert_allclose(where, joint[:, 1:, :2], atol=1e-4)
    np.testing.assert_allclose(hand.pos, of["cartesian"][:, 1:, :2], atol=1e-4)
    np.testing.assert_allclose(states.activation, of["muscle"][:, 1:, 0], atol=1e-4)
