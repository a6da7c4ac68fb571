"""Holding still: where, against what was recorded, and as an experiment."""

from pathlib import Path

import gymnax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbx_env import (
    Clock,
    Effector,
    ForcePulse,
    Hold,
    PositionCost,
    Transition,
    Trial,
    VelocityCost,
    check_part,
    make,
)


def recording():
    with np.load(Path(__file__).parent / "data" / "feedbax_stabilization.npz") as file:
        return dict(file)


def test_targets_recorded_by_feedbax():
    recorded = recording()
    task = Hold()
    trials = task.validation_trials()
    np.testing.assert_array_equal(trials.start, recorded["validation_target_pos"])
    np.testing.assert_array_equal(trials.goal, trials.start)
    for step in (0, 50, 98):
        clock = Clock(jnp.asarray(step), jnp.asarray(0.05), 99)
        for index, start in enumerate(recorded["start"]):
            trial = Trial(start, start)
            target, cue = task.target(trial, clock), task.cue(trial, clock)
            np.testing.assert_allclose(target.pos, recorded["target_pos"][index, step], rtol=1e-6)
            np.testing.assert_array_equal(target.vel, recorded["target_vel"][index, step])
            expected = recorded["stim_pos"][index, step]
            np.testing.assert_allclose(cue["goal_position"], expected, rtol=1e-6)


def test_losses_recorded_by_feedbax():
    recorded = recording()
    loss = PositionCost() + VelocityCost()

    def one(start, pos, vel, step):
        clock = Clock(step + 1, jnp.asarray(0.05), 99)
        target, state, none = Effector(start, jnp.zeros(2)), Effector(pos, vel), jnp.zeros(2)
        trial, epoch = Trial(start, start), jnp.asarray(0)
        return loss(
            Transition(
                trial, target, state, state, None, None, none, none, none, none, clock, epoch
            )
        )

    pos, vel = (jnp.asarray(recorded[f"state_{name}"][:, 1:], float) for name in ("pos", "vel"))
    over_steps = jax.vmap(one, (None, 0, 0, 0))
    costs = jax.vmap(over_steps, (0, 0, 0, None))(
        jnp.asarray(recorded["start"], float), pos, vel, jnp.arange(99)
    )
    for name in ("position", "velocity"):
        expected = recorded[f"loss_effector_{name}"]
        np.testing.assert_allclose(costs[name].sum(axis=1).mean(), expected, rtol=1e-5)


def test_points_are_uniform_in_the_workspace_and_validation_includes_its_border(key):
    task = Hold(workspace=((-1.0, 0.0), (3.0, 0.5)), eval_grid_n=2)
    trials = jax.vmap(task.sample)(jax.random.split(key, 20_000))
    np.testing.assert_array_equal(trials.start, trials.goal)
    unit = (np.asarray(trials.start) - [-1, 0]) / [4, 0.5]
    np.testing.assert_allclose(unit.mean(0), 0.5, atol=0.01)
    np.testing.assert_allclose(unit.var(0), 1 / 12, atol=0.002)
    corners = [[-1, 0], [3, 0], [-1, 0.5], [3, 0.5]]
    np.testing.assert_array_equal(task.validation_trials().start, corners)


def test_as_an_environment_of_gymnax(key):
    env, params = gymnax.make("PointMassHold-v0")
    obs, state = env.reset(key, params)
    np.testing.assert_array_equal(obs[:2], obs[4:6])
    for _ in range(params.max_steps_in_episode):
        obs, state, reward, ended, _, info = env.step(key, state, jnp.zeros(2), params)
    assert ended
    assert info["is_success"]
    assert reward == 0


def test_a_push_is_a_failure_of_who_does_nothing(key):
    env, params = make("PointMassHold-v0", loads=(ForcePulse(force=(3.0, 0.0)),))
    step = jax.jit(env.step_env)
    _, state = env.reset(key, params)
    for _ in range(params.max_steps_in_episode):
        _, state, _, _, info = step(key, state, jnp.zeros(2), params)
    assert not info["is_success"]
    assert info["losses"]["position"] > 0.1


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"workspace": ((0, 1), (1, 0))}, "each low below its high, got"),
        ({"eval_grid_n": 1}, "eval_grid_n must be at least 2, got 1"),
    ],
)
def test_nonsense_is_refused(kwargs, message):
    with pytest.raises(ValueError, match=message):
        Hold(**kwargs)


def test_nothing_is_wrong_with_it():
    check_part(Hold())
