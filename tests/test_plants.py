"""The point mass against closed forms of its difference equation; bounds of every body."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fbx_env import MusclePlant, PointMass, TodorovLiArm, make
from fbx_env.parts.plants.plant import control_bounds
from fbx_env.registration import BODIES


def steps(plant, state, forces, dt, load=lambda effector: jnp.zeros(2)):
    def step(state, force):
        return plant.step(state, force, load, jnp.asarray(dt)), state

    return jax.lax.scan(step, state, forces)


@given(mass=st.floats(0.1, 10), dt=st.floats(1e-3, 0.1), force=st.floats(-5, 5), n=st.just(50))
def test_constant_force(mass, dt, force, n):
    plant = PointMass(mass=mass)
    state = plant.init(jnp.array([1.0, -1.0]))
    end, _ = steps(plant, state, jnp.full((n, 2), force), dt)
    # Explicit Euler: the position lags one step behind the velocity.
    np.testing.assert_allclose(end.vel, force / mass * n * dt, rtol=2e-5, atol=1e-6)
    moved = force / mass * dt**2 * n * (n - 1) / 2
    np.testing.assert_allclose(end.pos, np.array([1, -1]) + moved, rtol=2e-5, atol=2e-5)


def test_damping_shrinks_velocity_geometrically():
    plant, dt = PointMass(mass=2.0, damping=3.0), 0.05
    state = plant.init(jnp.zeros(2)).replace(vel=jnp.array([1.0, -2.0]))
    end, _ = steps(plant, state, jnp.zeros((40, 2)), dt)
    np.testing.assert_allclose(end.vel, (1 - dt * 3 / 2) ** 40 * state.vel, rtol=1e-5)


def test_feedback_is_position_then_velocity():
    plant = PointMass()
    state = plant.init(jnp.array([1.0, 2.0])).replace(vel=jnp.array([3.0, 4.0]))
    vision = plant.feedback(state)["vision"]
    assert list(vision) == ["position", "velocity"]
    assert (vision["position"].tolist(), vision["velocity"].tolist()) == ([1, 2], [3, 4])


def test_a_load_adds_to_the_force_and_sees_the_effector():
    plant, dt = PointMass(mass=2.0), 0.05
    state = plant.init(jnp.zeros(2)).replace(vel=jnp.array([1.0, 0.0]))
    curl = jnp.array([[0.0, -3.0], [3.0, 0.0]])
    end, _ = steps(plant, state, jnp.zeros((1, 2)), dt, lambda effector: curl @ effector.vel)
    np.testing.assert_allclose(end.vel, [1.0, 3.0 * dt / 2], rtol=1e-6)


def test_commands_have_names_units_and_bounds():
    controls = PointMass(max_force=3.0).controls
    assert [(each.name, each.unit) for each in controls] == [("force x", "N"), ("force y", "N")]
    assert [(float(each.low), float(each.high)) for each in controls] == [(-3, 3), (-3, 3)]


def every_body():
    """The params of every shipped body, by name."""
    params = {body: make_params() for body, make_params in BODIES.items()}
    return {**params, "TodorovLiArm": params["MuscleArm"].replace(plant=TodorovLiArm())}


@pytest.mark.parametrize(("name", "params"), every_body().items(), ids=list(every_body()))
def test_bounds_are_of_commands_and_no_body_limits_what_acts_but_by_its_equations(
    name, params, key
):
    """The one rule for all: see ``Plant``."""
    env, plant = make()[0], params.plant
    _, high = control_bounds(plant)
    _, state = env.reset_env(key, params)
    states = [env.step_env(key, state, beyond * high, params)[1] for beyond in (1, 2)]
    for one, other in zip(*map(jax.tree.leaves, states), strict=True):
        np.testing.assert_array_equal(one, other, err_msg="the environment limits the command")

    noisy = params.replace(motor=make(motor_noise=100.0)[1].motor)
    _, state = env.reset_env(key, noisy)
    acting = env.step_env(key, state, high, noisy)[1].control
    assert (jnp.abs(acting) > high).any(), "noise is not limited"

    start = plant.init(params.task.validation_trials().start[0])
    (at_bound, _), (beyond, _) = (
        steps(plant, start, jnp.tile(size * high, (3, 1)), 0.01) for size in (1, 2)
    )
    moved = plant.effector(beyond).vel - plant.effector(at_bound).vel
    assert jnp.isfinite(moved).all()
    assert bool(jnp.abs(moved).max() > 0.01) is not isinstance(plant, MusclePlant)
