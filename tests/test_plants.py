"""The point mass against closed forms of its difference equation."""

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fbx_env import PointMass


def steps(plant, state, forces, dt):
    return jax.lax.scan(lambda state, force: (plant.step(state, force, dt), state), state, forces)


@given(mass=st.floats(0.1, 10), dt=st.floats(1e-3, 0.1), force=st.floats(-5, 5), n=st.just(50))
def test_constant_force(mass, dt, force, n):
    plant = PointMass(mass=mass)
    state = plant.at_rest(jnp.array([1.0, -1.0]))
    end, _ = steps(plant, state, jnp.full((n, 2), force), dt)
    # Explicit Euler: the position lags one step behind the velocity.
    np.testing.assert_allclose(end.vel, force / mass * n * dt, rtol=2e-5, atol=1e-6)
    moved = force / mass * dt**2 * n * (n - 1) / 2
    np.testing.assert_allclose(end.pos, np.array([1, -1]) + moved, rtol=2e-5, atol=2e-5)


def test_damping_shrinks_velocity_geometrically():
    plant, dt = PointMass(mass=2.0, damping=3.0), 0.05
    state = plant.at_rest(jnp.zeros(2)).replace(vel=jnp.array([1.0, -2.0]))
    end, _ = steps(plant, state, jnp.zeros((40, 2)), dt)
    np.testing.assert_allclose(end.vel, (1 - dt * 3 / 2) ** 40 * state.vel, rtol=1e-5)


def test_feedback_is_position_then_velocity():
    plant = PointMass()
    state = plant.at_rest(jnp.array([1.0, 2.0])).replace(vel=jnp.array([3.0, 4.0]))
    assert plant.feedback(state).tolist() == [1, 2, 3, 4]
