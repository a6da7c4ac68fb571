"""Tracking: the paths, what is shown of them, and where they may not lead."""

import gymnax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbx_env import (
    Circle,
    Clock,
    Effector,
    FigureOfEight,
    GivenPath,
    PointMass,
    ReachParams,
    SumOfSinusoids,
    Track,
    TrackTrial,
    Trial,
    check_part,
    make,
)
from fbx_env.reach import check_task

PATHS = [SumOfSinusoids(), Circle(), FigureOfEight(), GivenPath()]


def clock(step):
    return Clock(jnp.asarray(step), jnp.asarray(0.05), 99)


def named(path):
    return type(path).__name__


@pytest.mark.parametrize("path", PATHS, ids=named)
def test_nothing_is_wrong_with(path):
    check_part(Track(path=path, preview=0.2))


@pytest.mark.parametrize("path", PATHS, ids=named)
def test_the_velocity_is_the_change_of_position(path):
    task = Track(path=path, centre=(0.2, 0.1))
    trial = task.sample(jax.random.key(3))
    targets = [task.target(trial, clock(step)) for step in (0, 10, 37)]
    np.testing.assert_allclose(targets[0].pos, trial.start, atol=1e-6)
    for step, target in zip((0, 10, 37), targets, strict=True):
        near = Clock(jnp.asarray(1000 * step + 1), jnp.asarray(0.00005), 99_000)
        change = (task.target(trial, near).pos - target.pos) / 0.00005
        np.testing.assert_allclose(target.vel, change, atol=0.02)


def test_paths_by_hand():
    angle = 2 * np.pi * 0.75 / 4 + 0.3
    where = Circle(radius=0.2, period=4.0).position(jnp.array([0.3]), jnp.asarray(0.75))
    np.testing.assert_allclose(where, 0.2 * np.array([np.cos(angle), np.sin(angle)]), rtol=1e-5)
    eight = FigureOfEight(width=0.6, height=0.2, period=4.0)
    where = eight.position(jnp.array([0.3]), jnp.asarray(0.75))
    np.testing.assert_allclose(where, [0.3 * np.sin(angle), 0.1 * np.sin(2 * angle)], rtol=1e-5)
    sum_ = SumOfSinusoids(amplitude=(0.2, 0.1), frequency=(0.3, 0.7))
    phase = jnp.array([0.1, 0.2, 0.3, 0.4])
    turns = 2 * np.pi * 0.75 * np.array([0.3, 0.7])
    expected = [np.sin(turns + phase[:2]) @ [0.2, 0.1], np.sin(turns + phase[2:]) @ [0.2, 0.1]]
    np.testing.assert_allclose(sum_.position(phase, jnp.asarray(0.75)), expected, rtol=1e-5)
    given = GivenPath([(0, 0), (0.4, 0), (0.4, 0.2)], duration=2.0)
    for time, expected in ((0.5, (0.2, 0)), (1.5, (0.4, 0.1)), (9.0, (0.4, 0.2))):
        where = given.position(jnp.zeros(0), jnp.asarray(time))
        np.testing.assert_allclose(where, expected, atol=1e-6)


def test_phases_are_random_in_training_and_spread_in_validation(key):
    task = Track()
    phases = np.asarray(jax.vmap(task.sample)(jax.random.split(key, 4000)).phase)
    np.testing.assert_allclose(np.exp(1j * phases).mean(axis=0), 0, atol=0.05)
    trials = Track(path=Circle(), eval_n_trials=10).validation_trials()
    gaps = np.diff(np.sort(trials.phase[:, 0]))
    assert gaps.max() < 3 * gaps.min()
    assert len(Track(path=GivenPath()).validation_trials().start) == 1


def test_the_preview_is_the_target_of_later(key):
    task = Track(preview=(0.25, 0.5))
    trial = task.sample(key)
    for step in (0, 40, 99):
        shown = task.cue(trial, clock(step))
        later = [task.target(trial, clock(step + ahead)).pos for ahead in (5, 10)]
        np.testing.assert_allclose(shown["preview_position"], np.concatenate(later), atol=1e-5)
        target = task.target(trial, clock(step))
        np.testing.assert_array_equal(shown["goal_position"], target.pos)
        np.testing.assert_array_equal(shown["goal_velocity"], target.vel)
    assert "preview_position" not in Track().cue(trial, clock(0))


def test_a_trial_given_by_hand_begins_at_its_start():
    trial = TrackTrial((0.5, 0.5), (0.5, 0.5), phase=(0.0,))
    target = Track(path=Circle(radius=0.2, period=4.0), ease=0.0).target(trial, clock(20))
    np.testing.assert_allclose(target.pos, [0.3, 0.7], atol=1e-5)


def test_the_target_speeds_up_evenly_from_rest():
    trial = TrackTrial((0.0, 0.0), (0.0, 0.0), phase=(0.0,))
    task = Track(path=Circle(radius=0.2, period=4.0), ease=0.4)
    speeds = [jnp.linalg.norm(task.target(trial, clock(step)).vel) for step in (0, 2, 4, 8, 50)]
    expected = 0.2 * 2 * np.pi / 4 * np.array([0, 0.25, 0.5, 1, 1])
    np.testing.assert_allclose(speeds, expected, atol=1e-6)
    check_part(task)
    check_part(task.replace(ease=0.0))


def test_as_an_environment_of_gymnax_where_following_is_success(key):
    env, params = gymnax.make("PointMassTrack-v0")
    _, state = env.reset(key, params)
    step = jax.jit(env.step_env)
    for _ in range(params.max_steps_in_episode):
        now = params.clock(state.time, state.trial)
        target = params.task.target(state.trial, now)
        soon = params.task.target(state.trial, now.replace(step=now.step + 1))
        plant = params.plant.effector(state.plant)
        command = 40 * (target.pos - plant.pos) + 12 * (target.vel - plant.vel)
        command += (soon.vel - target.vel) / params.dt
        _, state, _, ended, info = step(key, state, command, params)
    assert ended
    assert info["is_success"]
    idle = state.replace(time=state.time - 1, plant=Effector(plant.pos + 1, plant.vel))
    assert not step(key, idle, jnp.zeros(2), params)[-1]["is_success"]


@pytest.mark.parametrize(
    ("make_part", "error", "message"),
    [
        (lambda: SumOfSinusoids(amplitude=(0.1, 0.2), frequency=(0.3,)), ValueError, "amplitude"),
        (lambda: SumOfSinusoids(frequency=(0.3, -1, 1)), ValueError, "frequency .* greater than 0"),
        (lambda: Circle(radius=0.0), ValueError, "radius must be finite and greater than 0"),
        (lambda: FigureOfEight(period=-1.0), ValueError, "period must be finite and greater"),
        (lambda: GivenPath([(0.0, 0.0)]), ValueError, "points must be two or more"),
        (lambda: GivenPath([0.0, 1.0, 2.0]), ValueError, r"points must have shape \(-1, 2\)"),
        (lambda: GivenPath([(0.0, np.nan), (0, 0)]), ValueError, "points must be finite"),
        (lambda: Track(path=3), TypeError, "path must be a TargetPath, got 3"),
        (lambda: Track(preview=0.0), ValueError, "preview must be finite and greater than 0"),
        (lambda: ReachParams(task=Track(preview=5.5)), ValueError, "preview .* trial, .* 4.95 s"),
        (lambda: TrackTrial((0, 0), (0, 0), phase=(np.inf,)), ValueError, "phase must be finite"),
        (lambda: TrackTrial([(0, 0)], [(0, 0)], phase=(1,)), ValueError, "phase must have the"),
    ],
)
def test_nonsense_is_refused(make_part, error, message):
    with pytest.raises(error, match=message):
        make_part()


def test_trials_that_do_not_fit_are_refused(key):
    env, params = make("PointMassTrack-v0")
    with pytest.raises(TypeError, match="trial must be a TrackTrial, got Trial"):
        env.reset_trial(key, Trial((0.0, 0.0), (0.3, 0.4)), params)
    with pytest.raises(ValueError, match=r"phase must have shape \(6,\) for SumOfSin.* \(2,\)"):
        env.reset_trial(key, TrackTrial((0.0, 0.0), (0.0, 0.0), (0.3, 0.4)), params)


class Tethered(PointMass):
    """A point mass that cannot be farther than 0.5 m from the origin."""

    def init(self, position):
        position = jnp.where(position @ position <= 0.25, position, jnp.nan)
        return Effector(position, jnp.zeros(2))


def test_a_path_out_of_reach_is_refused():
    def params(path):
        return ReachParams(plant=Tethered(), task=Track(path=path))

    check_task(params(Circle(radius=0.45)))
    with pytest.raises(ValueError, match=r"target must be within the reach of Tethered.* 0\.4"):
        check_task(params(GivenPath([(0.3, 0.0), (0.3, 0.6)], duration=4.0)))
    with pytest.raises(ValueError, match="start must be within the reach of Tethered"):
        check_task(params(Circle(radius=0.6)))
