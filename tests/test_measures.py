"""Measures of movements whose right values are known."""

import builtins

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from trajectories import controller

from fbx_env import (
    Circle,
    SimpleReaches,
    Track,
    make,
    measure,
    rollout,
)
from fbx_env.measures import curvature, lag, smoothness

KEY = jax.random.key(0)


def still(id, **changes):
    """The trajectory of the validation trials of an environment in which nothing moves."""
    env, params = make(id, **changes)
    policy = controller(stiffness=0.0)
    return rollout(env, params, policy, params.task.validation_trials(), KEY), params


def with_movement(trajectory, pos, vel):
    return trajectory.replace(pos=jnp.asarray(pos, float), vel=jnp.asarray(vel, float))


def smoothest(time, start, duration, way):
    """Position along a way, and velocity, of the reach of least jerk."""
    share = np.clip((time - start) / duration, 0, 1)[..., None]
    pos = way * (10 * share**3 - 15 * share**4 + 6 * share**5)
    return pos, way * 30 * (share**2 - 2 * share**3 + share**4) / duration


@pytest.fixture(scope="module")
def reach():
    """A reach of 0.6 s that begins 0.3 s after the go, in steps of 5 ms."""
    trajectory, params = still(
        "PointMassDelayedReach-v0",
        dt=0.005,
        max_steps_in_episode=500,
        task=make("PointMassDelayedReach-v0")[1].task.replace(
            reaches=SimpleReaches(eval_n_directions=4)
        ),
    )
    durations = np.array(trajectory.trial.epoch_durations)
    go = (np.floor(durations / 0.005 * (1 + 1e-6)) * 0.005).sum(axis=1)
    movements = [
        smoothest(np.asarray(time), begin + 0.3, 0.6, np.asarray(goal))
        for time, begin, goal in zip(trajectory.time, go, trajectory.trial.goal, strict=True)
    ]
    pos, vel = (np.stack(each) for each in zip(*movements, strict=True))
    return with_movement(trajectory, pos, vel), params


def test_a_reach_of_least_jerk(reach):
    frame = measure(*reach)
    # Where the speed, 30 (s^2 - 2 s^3 + s^4), is 5 % of its peak of 1.875.
    share = np.roots([30, -60, 30, 0, -0.05 * 1.875])
    edge = min(root.real for root in share if abs(root.imag) < 1e-9 and root.real > 0)
    assert len(frame) == 4
    np.testing.assert_allclose(frame.reaction_time, 0.3 + 0.6 * edge, atol=2e-3)
    np.testing.assert_allclose(frame.movement_time, 0.6 * (1 - 2 * edge), atol=2e-3)
    np.testing.assert_allclose(frame.peak_speed, 1.875 * 0.5 / 0.6, rtol=1e-3)
    np.testing.assert_allclose(frame.time_of_peak_speed, 0.6, atol=6e-3)
    np.testing.assert_allclose(frame.path_length, 0.5, rtol=0.01)
    np.testing.assert_allclose(frame.path_curvature, 0, atol=1e-5)
    np.testing.assert_allclose(frame.endpoint_error, 0, atol=1e-6)
    np.testing.assert_allclose(frame["drift"], 0, atol=1e-6)
    np.testing.assert_allclose(frame.distance, 0.5, rtol=1e-6)
    np.testing.assert_allclose(frame.direction, np.arange(4) * np.pi / 2, atol=1e-4)
    assert frame.tracking_lag.isna().all()
    assert frame.success.all()
    assert not frame.is_catch.any()


def test_times_count_from_another_epoch(reach):
    frame, earlier = measure(*reach), measure(*reach, epoch="hold")
    go = np.floor(np.array(reach[0].trial.epoch_durations) / 0.005 * (1 + 1e-6)).sum(axis=1) * 0.005
    np.testing.assert_allclose(earlier.reaction_time, frame.reaction_time + go, atol=1e-5)


def test_who_goes_early_drifts_and_fails(reach):
    trajectory, params = reach
    early = 120
    moved = with_movement(
        trajectory,
        np.roll(np.asarray(trajectory.pos), -early, axis=1),
        np.roll(np.asarray(trajectory.vel), -early, axis=1),
    )
    moved = moved.replace(pos=moved.pos.at[:, -early:].set(trajectory.pos[:, -1:]))
    frame = measure(moved, params)
    assert not frame.success.any()
    assert (frame["drift"] > 0.1).all()


def test_who_stays_has_no_movement():
    trajectory, params = still("PointMassDelayedReach-v0")
    frame = measure(trajectory, params)
    nothing = ["reaction_time", "movement_time", "path_length", "path_curvature", "smoothness"]
    assert frame[nothing].isna().all(axis=None)
    assert not frame.success.any()
    np.testing.assert_allclose(frame.endpoint_error, 0.5, rtol=1e-6)


def test_who_never_stops_has_a_reaction_time_only(reach):
    trajectory, params = reach
    peak = np.asarray(trajectory.vel)
    going = np.where(np.arange(501)[:, None] > 400, peak.max(), peak)
    frame = measure(with_movement(trajectory, trajectory.pos, going), params)
    assert frame.movement_time.isna().all()
    assert frame.reaction_time.notna().all()


@pytest.mark.parametrize("late", [0.15, -0.1, 0.0])
def test_the_lag_of_who_follows_a_circle(late):
    trajectory, params = still(
        "PointMassTrack-v0",
        task=Track(path=Circle(radius=0.2, period=2.0), ease=0.0, eval_n_trials=3),
    )
    angle = np.asarray(trajectory.trial.phase) + np.pi * (np.asarray(trajectory.time) - late)
    pos = 0.2 * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    vel = np.pi * np.stack([-pos[..., 1], pos[..., 0]], axis=-1)
    frame = measure(with_movement(trajectory, pos, vel), params)
    np.testing.assert_allclose(frame.tracking_lag, late, atol=2e-3)
    expected = 2 * 0.2 * np.sin(np.pi * abs(late) / 2)
    np.testing.assert_allclose(frame.tracking_error, expected, atol=1e-5)
    assert (frame.success == (late == 0)).all()


def test_smoothness_of_the_reach_of_least_jerk():
    time = np.linspace(0, 1.7, 2001)
    _, vel = smoothest(time, 0.0, 1.7, np.array([0.3, 0.4]))
    # duration^3 / peak^2 times the integral of the squared jerk: 720 / 1.875^2.
    assert smoothness(vel, time[1]) == pytest.approx(-np.log(720 / 1.875**2), abs=0.01)
    assert np.isnan(smoothness(np.ones((10, 2)), 0.01))


def test_curvature_of_a_half_circle_and_of_a_loop():
    angle = np.linspace(0, np.pi, 401)
    assert curvature(np.stack([np.cos(angle), np.sin(angle)], -1)) == pytest.approx(0.5, rel=1e-4)
    assert np.isnan(curvature(np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 0.0]])))


def test_a_lag_beyond_the_longest_is_none():
    time = np.arange(0, 4, 0.02)
    line = np.stack([time, 0 * time], axis=-1)
    assert lag(line[:-30], line[30:], 0.02, 1.0) == pytest.approx(0.6)
    assert np.isnan(lag(line[:-30], line[30:], 0.02, 0.5))


def test_leading_axes_become_rows_in_order(reach):
    trajectory, params = reach
    twice = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), trajectory)
    frame, one = measure(twice, params), measure(jax.tree.map(lambda x: x[0], trajectory), params)
    assert len(frame) == 8
    assert len(one) == 1
    np.testing.assert_allclose(frame.direction[4:], frame.direction[:4])


def test_mistakes_are_named(reach):
    trajectory, params = reach
    with pytest.raises(TypeError, match="trajectory must be a Trajectory, got 3"):
        measure(3, params)
    with pytest.raises(TypeError, match="params must be a ReachParams, got 3"):
        measure(trajectory, 3)
    with pytest.raises(ValueError, match="no epoch 'go'"):
        measure(trajectory, params, epoch="go")
    with pytest.raises(ValueError, match="params .* 500 steps; got 499"):
        measure(trajectory, params.replace(max_steps_in_episode=499))
    for name, value in (("onset_share", 1.0), ("still_speed", -1.0), ("longest_lag", 0.0)):
        with pytest.raises(ValueError, match=name):
            measure(trajectory, params, **{name: value})


def test_without_pandas_it_says_how_to_get_it(reach, monkeypatch):
    load = builtins.__import__

    def refuse(name, *arguments, **keywords):
        if name == "pandas":
            raise ImportError(name)
        return load(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ImportError, match=r"pip install fbx-env\[tables\]"):
        measure(*reach)
