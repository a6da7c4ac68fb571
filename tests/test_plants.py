"""The point mass against closed forms of its difference equation."""

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fbx_env import PointMass


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
