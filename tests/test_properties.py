"""What holds for all params, trials and commands: laws of motion, symmetries, limits, gradients."""

import equinox as eqx
import hypothesis.extra.numpy as hnp
import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents import OpenLoopPolicy, optimal_loss
from fbx_env import Trial, make, rollout

N_STEPS, DT = 12, 0.05
KEY = jax.random.key(0)


def floats(low, high):
    return st.floats(np.float32(low), np.float32(high), width=32, allow_subnormal=False)


def vectors(limit, *shape):
    return hnp.arrays(np.float32, (*shape, 2), elements=floats(-limit, limit))


masses = floats(0.125, 8)
commands = vectors(4, N_STEPS)
points = vectors(1)


def reach(start, goal, values, **changes):
    env, params = make(**{"max_steps_in_episode": N_STEPS, "dt": DT, **changes})
    return rollout(env, params, OpenLoopPolicy(values), Trial(start=start, goal=goal), KEY)


def total(trajectory):
    return float(sum(cost.sum() for cost in trajectory.losses.values()))


@given(points, vectors(4), masses)
def test_without_force_motion_is_straight_and_uniform(start, push, mass):
    values = np.zeros((N_STEPS, 2), np.float32)
    values[0] = push
    moved = reach(start, start, values, mass=mass)
    velocity = DT * push / mass
    np.testing.assert_allclose(moved.vel[1:], np.tile(velocity, (N_STEPS, 1)), 1e-5, 1e-7)
    times = DT * np.arange(N_STEPS)[:, None]
    np.testing.assert_allclose(moved.pos[1:], start + times * velocity, rtol=1e-5, atol=1e-6)
    at_rest = reach(start, start, np.zeros_like(values), mass=mass)
    np.testing.assert_array_equal(at_rest.pos, np.tile(start, (N_STEPS + 1, 1)))


@given(vectors(4), masses, floats(0, 1))
def test_damping_takes_energy_at_its_rate(push, mass, share):
    """Each step takes the share dt * damping / mass of the velocity."""
    values = np.zeros((N_STEPS, 2), np.float32)
    values[0] = push
    moved = reach(np.zeros(2), np.zeros(2), values, mass=mass, damping=share * mass / DT)
    expected = np.asarray(moved.vel[1]) * (1 - share) ** np.arange(N_STEPS)[:, None]
    np.testing.assert_allclose(moved.vel[1:], expected, rtol=1e-4, atol=1e-5)
    energy = np.sum(np.square(moved.vel[1:]), axis=-1)
    assert (np.diff(energy) <= 1e-6 * energy[:-1]).all()


@given(points, points, commands, st.integers(0, 3), st.booleans(), floats(0, 2))
def test_quarter_turns_and_reflections_change_nothing(
    start, goal, values, turns, reflected, damping
):
    turn = np.linalg.matrix_power(np.array([[0, -1], [1, 0]]), turns)
    turn = (turn @ np.diag([1, -1]) if reflected else turn).astype(np.float32)
    plain = reach(start, goal, values, damping=damping, max_force=3.0)
    turned = reach(start @ turn.T, goal @ turn.T, values @ turn.T, damping=damping, max_force=3.0)
    np.testing.assert_array_equal(plain.pos @ turn.T, turned.pos)
    np.testing.assert_array_equal(plain.control @ turn.T, turned.control)
    for name, cost in plain.losses.items():
        np.testing.assert_array_equal(cost, turned.losses[name])


@given(points, points, commands, floats(-3, 3))
def test_any_turn_changes_nothing_below_the_force_limit(start, goal, values, angle):
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    plain, turned = (
        reach(start @ by.T, goal @ by.T, (values @ by.T).astype(np.float32))
        for by in (np.eye(2), turn)
    )
    np.testing.assert_allclose(plain.pos @ turn.T, turned.pos, atol=1e-5)
    np.testing.assert_allclose(total(plain), total(turned), rtol=1e-4, atol=1e-6)


@given(points, points, commands, points)
def test_where_the_workspace_is_makes_no_difference(start, goal, values, shift):
    here, there = (reach(start + by, goal + by, values) for by in (0, shift))
    np.testing.assert_allclose(here.pos + shift, there.pos, atol=1e-5)
    np.testing.assert_allclose(here.losses["command"], there.losses["command"])


@given(points, points, commands, masses, floats(0.5, 2))
def test_only_force_over_mass_matters(start, goal, values, mass, factor):
    one = reach(start, goal, values, mass=mass, max_force=100.0)
    other = reach(start, goal, values * factor, mass=mass * factor, max_force=100.0)
    np.testing.assert_allclose(one.pos, other.pos, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("delay", [1, 3])
@settings(max_examples=15)
@given(data=st.data())
def test_delays_are_shifts(delay, data):
    start, goal, values = data.draw(points), data.draw(points), data.draw(commands)
    moved = reach(start, goal, values, motor_delay=delay, sensory_delay=delay)
    np.testing.assert_array_equal(moved.control[delay:], values[:-delay])
    np.testing.assert_array_equal(moved.control[:delay], 0)
    np.testing.assert_array_equal(moved.obs[delay:, 4:6], moved.pos[: N_STEPS - delay])
    np.testing.assert_array_equal(moved.obs[delay:, 6:], moved.vel[: N_STEPS - delay])
    np.testing.assert_array_equal(moved.obs[:delay, 4:6], np.tile(start, (delay, 1)))
    shifted = np.concatenate([np.zeros((delay, 2), np.float32), values[:-delay]])
    np.testing.assert_array_equal(moved.pos, reach(start, goal, shifted).pos)


@given(points, points, vectors(40, N_STEPS), floats(0.5, 20))
def test_force_is_the_command_within_its_limit(start, goal, values, limit):
    moved = reach(start, goal, values, max_force=limit)
    np.testing.assert_array_equal(moved.control, np.clip(values, -limit, limit))
    np.testing.assert_allclose(
        moved.losses["command"], 1e-5 * np.sum(values**2, axis=-1), rtol=1e-5, atol=1e-12
    )


@given(points, points, commands)
def test_the_reward_is_minus_the_loss(start, goal, values):
    moved = reach(start, goal, values)
    np.testing.assert_allclose(-moved.reward, sum(moved.losses.values()), 1e-6, 1e-12)
    assert all((cost >= 0).all() for cost in moved.losses.values())
    assert not moved.losses["final_velocity"][:-1].any()


@given(points, vectors(0.5), commands, masses, floats(0, 2), floats(1, 3))
def test_the_optimum_is_below_everything_and_grows_with_the_squared_distance(
    start, offset, values, mass, damping, factor
):
    changes = {"mass": mass, "damping": damping, "max_force": 1e6}
    _, params = make(**{"max_steps_in_episode": N_STEPS, "dt": DT, **changes})
    goal = start + offset
    best = optimal_loss(params, Trial(start=start, goal=goal)).total
    assert best <= total(reach(start, goal, values, **changes)) * (1 + 1e-5) + 1e-9
    far = optimal_loss(params, Trial(start=start, goal=start + factor * offset)).total
    np.testing.assert_allclose(far, factor**2 * best, rtol=1e-3, atol=1e-9)


@eqx.filter_jit
@eqx.filter_grad
def slopes(inputs):
    params, trial, policy = inputs
    env, _ = make()
    return sum(cost.sum() for cost in rollout(env, params, policy, trial, KEY).losses.values())


@given(points, points, vectors(40, N_STEPS), masses, floats(0, 4), floats(0.015625, 0.25))
def test_gradients_are_finite_everywhere_inside_the_limits(start, goal, values, mass, damping, dt):
    _, params = make(
        max_steps_in_episode=N_STEPS,
        mass=mass,
        damping=damping,
        dt=dt,
        motor_noise=0.1,
        signal_noise=0.1,
        sensory_noise=0.01,
    )
    gradient = slopes((params, Trial(start=start, goal=goal), OpenLoopPolicy(values)))
    leaves = jax.tree.leaves(gradient)
    assert len(leaves) >= 14
    assert all(np.isfinite(leaf).all() for leaf in leaves)
