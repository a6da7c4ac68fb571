"""Delayed reaches: epochs, cues and targets, also those that others recorded."""

from pathlib import Path
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbx_env import (
    Clock,
    DelayedReaches,
    DelayedReachTrial,
    Effector,
    EpochTrial,
    FixationCost,
    ForcePulse,
    PositionCost,
    ReachParams,
    SimpleReaches,
    Task,
    Transition,
    Trial,
    check_part,
    make,
)

DT = jnp.asarray(0.05)


def recording(name):
    with np.load(Path(__file__).parent / "data" / f"{name}.npz") as file:
        return dict(file)


STEP = jax.jit(make()[0].step_env)
KEY = jax.random.key(0)


def at_all_steps(task, trials, n_steps=99, dt=DT):
    """Target positions, cues and epochs of trials at each step."""

    def one(trial, step):
        clock = Clock(step, dt, n_steps)
        return task.target(trial, clock).pos, task.cue(trial, clock), task.epoch(trial, clock)

    over_steps = jax.vmap(one, (None, 0))
    return jax.vmap(over_steps, (0, None))(trials, jnp.arange(n_steps))


@pytest.mark.parametrize("dt", [0.05, 0.01, 0.003])
def test_trials_recorded_by_feedbax(dt):
    """Those of 2026, with catch trials: everything follows from start, goal and epoch lengths."""
    recorded = recording("feedbax_delayed_reaches_2026")
    bounds = recorded["epoch_bounds"]
    lengths = np.diff(bounds[:, :-1], axis=1)
    trials = DelayedReachTrial(
        start=recorded["start"],
        goal=recorded["stim_pos"][:, -1],
        epoch_durations=lengths * dt,
        is_catch=recorded["hold"][:, -1, 0] == 1,
    )
    target, cue, epoch = at_all_steps(DelayedReaches(), trials, dt=jnp.asarray(dt))
    np.testing.assert_allclose(target, recorded["target_pos"], atol=1e-7)
    np.testing.assert_allclose(cue["goal_position"], recorded["stim_pos"], atol=1e-7)
    np.testing.assert_array_equal(cue["goal_velocity"], recorded["stim_vel"])
    np.testing.assert_array_equal(cue["hold"], recorded["hold"])
    np.testing.assert_array_equal(cue["target_on"], recorded["target_on"])
    steps = np.arange(99)
    np.testing.assert_array_equal(epoch, (steps >= bounds[:, 1:3, None]).sum(axis=1))


class FromMemory(Task):
    """Four epochs, as in feedbax's first version: the goal is seen in one of them only."""

    epoch_names: ClassVar[tuple[str, ...]] = ("hold", "target_on", "memory", "movement")

    def sample(self, key):
        return EpochTrial((0.0, 0.0), (0.5, 0.0), (0.5, 0.5, 0.5))

    def validation_trials(self):
        return EpochTrial([(0.0, 0.0)], [(0.5, 0.0)], [(0.5, 0.5, 0.5)])

    def target(self, trial, clock):
        has_gone = self.epoch(trial, clock) == 3
        return Effector(jnp.where(has_gone, trial.goal, trial.start), jnp.zeros(2))

    def cue(self, trial, clock):
        epoch = self.epoch(trial, clock)
        return {
            "goal_position": jnp.where(epoch == 1, trial.goal, 0.0),
            "hold": (epoch < 3).astype(float)[None],
            "target_on": (epoch == 1).astype(float)[None],
        }


def recorded_from_memory():
    recorded = recording("feedbax_delayed_reaches")
    durations = np.diff(recorded["epoch_start"], axis=1) * 0.05
    # The goal, once it has been a target.
    return recorded, EpochTrial(recorded["start"], recorded["target_pos"][:, -1], durations)


def test_a_task_of_four_epochs_reproduces_the_first_recording():
    recorded, trials = recorded_from_memory()
    target, cue, _ = at_all_steps(FromMemory(), trials)
    np.testing.assert_allclose(target, recorded["target_pos"], atol=1e-7)
    np.testing.assert_allclose(cue["goal_position"], recorded["stim_pos"], atol=1e-7)
    for name in ("hold", "target_on"):
        np.testing.assert_array_equal(cue[name], recorded[name])
    check_part(FromMemory())


def recorded_losses(loss, task, recorded, trials):
    """A loss of the recorded states, each against the target of the step that led to it."""

    def one(trial, pos, vel, step):
        state, clock = Effector(pos, vel), task.with_epochs(trial, Clock(step, DT, 99))
        none = jnp.zeros(2)
        target = task.target(trial, clock)
        # What is recorded after a step is compared with what was asked for in it.
        later = clock.replace(step=step + 1, epoch_start=clock.epoch_start + 1)
        transition = Transition(
            trial, target, state, state, None, None, none, none, none, none, later, clock.epoch
        )
        return loss(transition)

    states = (jnp.asarray(recorded[f"state_{name}"][:, 1:], float) for name in ("pos", "vel"))
    costs = jax.vmap(jax.vmap(one, (None, 0, 0, 0)), (0, 0, 0, None))(
        trials, *states, jnp.arange(99)
    )
    return {name: float(cost.sum(axis=1).mean()) for name, cost in costs.items()}


def test_losses_recorded_by_feedbax():
    """Fixation before the go; the position counted by time in the trial, as feedbax does."""
    recorded, trials = recorded_from_memory()
    loss = FixationCost(epochs=("hold", "target_on", "memory")) + PositionCost()
    losses = recorded_losses(loss, FromMemory(), recorded, trials)
    np.testing.assert_allclose(losses["fixation"], recorded["loss_effector_fixation"], rtol=1e-5)
    np.testing.assert_allclose(losses["position"], recorded["loss_effector_position"], rtol=1e-5)


def test_random_epochs_are_uniform_and_half_open(key):
    task = DelayedReaches(catch_probability=0.3)
    trials = jax.vmap(task.sample)(jax.random.split(key, 20_000))

    def starts(trial):
        return task.with_epochs(trial, Clock(jnp.asarray(0), DT, 99)).epoch_start

    lengths = np.diff(jax.vmap(starts)(trials), axis=1)
    for length, shortest, longest in ((lengths[:, 0], 5, 15), (lengths[:, 1], 10, 20)):
        values, counts = np.unique(length, return_counts=True)
        assert values.tolist() == list(range(shortest, longest))
        np.testing.assert_allclose(counts / len(length), 0.1, atol=0.01)
    assert abs(np.corrcoef(lengths.T)[0, 1]) < 0.03
    assert abs(float(trials.is_catch.mean()) - 0.3) < 0.02


def test_durations_of_one_length_are_just_that(key):
    task = DelayedReaches(hold_duration=(0.35, 0.35), target_on_duration=(0.6, 0.6))
    trial = task.sample(key)
    clock = task.with_epochs(trial, Clock(jnp.asarray(0), DT, 99))
    assert clock.epoch_start.tolist() == [0, 7, 19]


def test_validation_trials_are_the_reaches_with_go_times_all_over_the_range():
    task = DelayedReaches(reaches=SimpleReaches(eval_n_directions=40))
    trials = task.validation_trials()
    np.testing.assert_array_equal(trials.goal, task.reaches.validation_trials().goal)
    assert not trials.is_catch.any()
    for duration, low, high in zip(trials.epoch_durations.T, (0.25, 0.5), (0.75, 1.0), strict=True):
        counts, _ = np.histogram(duration, 4, (low, high))
        assert counts.min() >= 8
    assert abs(np.corrcoef(trials.epoch_durations.T)[0, 1]) < 0.2


def test_a_cost_counts_in_its_epochs_only_and_by_the_time_in_them():
    env, params = make("PointMassDelayedReach-v0")
    trial = DelayedReachTrial((0.0, 0.0), (0.3, 0.4), (0.5, 0.5))
    _, state = env.reset_trial(jax.random.key(0), trial, params)
    costs = []
    for _ in range(99):
        _, state, _, _, info = STEP(KEY, state, jnp.zeros(2), params)
        costs.append(info["losses"])
    position = np.array([cost["position"] for cost in costs])
    steps = np.arange(1, 100)
    expected = np.where(steps >= 20, np.clip((steps - 20) / 79, 0, None) ** 6 * 0.25, 0)
    np.testing.assert_allclose(position, expected, rtol=1e-5)
    moved = PositionCost(exponent=0.0, epochs=("hold", "target_on"))
    shifted = params.replace(loss=moved + params.loss["command"])
    _, state = env.reset_trial(jax.random.key(0), trial, shifted)
    state = state.replace(plant=Effector(jnp.array([0.1, 0.0]), jnp.zeros(2)))
    costs = []
    for _ in range(30):
        _, state, _, _, info = STEP(KEY, state, jnp.zeros(2), shifted)
        costs.append(float(info["losses"]["position"]))
    np.testing.assert_allclose(costs, np.where(np.arange(1, 31) < 20, 0.01, 0), atol=1e-8)


def test_a_pulse_can_come_some_time_after_the_go():
    load = ForcePulse((2.0, 0.0), onset=0.1, duration=0.1, epoch="movement")
    _, params = make("PointMassDelayedReach-v0", loads=(load,))
    trial = DelayedReachTrial((0.0, 0.0), (0.3, 0.4), (0.5, 0.6))
    clocks = [params.clock(jnp.asarray(step), trial) for step in range(99)]
    forces = [float(load.force_on(Effector(trial.start, trial.start), trial, c)[0]) for c in clocks]
    assert np.flatnonzero(forces).tolist() == [24, 25]


def success(params, trial, go_early):
    """Whether a trial succeeds in which the effector jumps to its goal after the go, or before."""
    env, at = make()[0], (19 if go_early else 21)
    _, state = env.reset_trial(jax.random.key(0), trial, params)
    for step in range(99):
        if step == at:
            state = state.replace(plant=Effector(trial.goal, jnp.zeros(2)))
        _, state, _, ended, info = STEP(KEY, state, jnp.zeros(2), params)
        assert bool(ended) or not info["is_success"]
    return bool(info["is_success"])


def test_success_is_to_wait_and_then_to_arrive():
    _, params = make("PointMassDelayedReach-v0")
    trial = DelayedReachTrial((0.0, 0.0), (0.3, 0.4), (0.5, 0.55))
    assert success(params, trial, go_early=False)
    assert not success(params, trial, go_early=True)
    assert not success(params, trial.replace(is_catch=True), go_early=False)
    assert success(params, trial.replace(is_catch=True, goal=(0.0, 0.0)), go_early=False)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"hold_duration": (-0.1, 0.2)}, r"hold_duration must be finite and at least 0, got"),
        ({"target_on_duration": (0.4, 0.2)}, r"target_on_duration\[0\] must be at most .*\[1\]"),
        ({"hold_duration": (0.1, 0.2, 0.3)}, r"hold_duration must have shape \(2,\)"),
        ({"catch_probability": 1.5}, "catch_probability must be finite and .* at most 1"),
    ],
)
def test_nonsense_is_refused(kwargs, message):
    with pytest.raises(ValueError, match=message):
        DelayedReaches(**kwargs)


def test_epochs_longer_than_the_trial_are_refused(key):
    with pytest.raises(ValueError, match="wait for the go must be within the trial, .* 4.95 s"):
        ReachParams(task=DelayedReaches(hold_duration=(0.2, 4.0)))
    with pytest.raises(ValueError, match="wait for the go must be within the trial, .* 1.5 s"):
        make("PointMassDelayedReach-v0", max_steps_in_episode=30)
    env, params = make("PointMassDelayedReach-v0")
    trial = DelayedReachTrial((0.0, 0.0), (0.3, 0.4), (1.0, 4.0))
    with pytest.raises(ValueError, match="sum of epoch_durations must be within the trial"):
        env.reset_trial(key, trial, params)


def test_trials_that_do_not_fit_are_refused(key):
    env, params = make("PointMassDelayedReach-v0")
    with pytest.raises(TypeError, match="trial must be an EpochTrial, got Trial"):
        env.reset_trial(key, Trial((0.0, 0.0), (0.3, 0.4)), params)
    with pytest.raises(TypeError, match="trial must be a DelayedReachTrial, got EpochTrial"):
        env.reset_trial(key, EpochTrial((0.0, 0.0), (0.3, 0.4), (0.5, 0.5)), params)
    with pytest.raises(ValueError, match=r"epoch_durations must have shape \(2,\), got \(3,\)"):
        env.reset_trial(key, DelayedReachTrial((0.0, 0.0), (0.3, 0.4), (0.5, 0.5, 1.0)), params)
    with pytest.raises(ValueError, match="epoch_durations must be finite and at least 0"):
        DelayedReachTrial((0.0, 0.0), (0.3, 0.4), (-0.5, 0.5))
    with pytest.raises(ValueError, match="epoch_durations must have the leading axes of start"):
        DelayedReachTrial([(0.0, 0.0)], [(0.3, 0.4)], (0.5, 0.5))
    with pytest.raises(TypeError, match="is_catch must be True or False, got 1"):
        DelayedReachTrial((0.0, 0.0), (0.3, 0.4), (0.5, 0.5), is_catch=1)


def test_unknown_epochs_are_refused_when_the_params_are_made():
    for part in ({"loss": FixationCost(epochs="holding")}, {"loads": (ForcePulse(epoch="go"),)}):
        loss = part.get("loss")
        changes = {"loss": loss + PositionCost()} if loss else part
        with pytest.raises(ValueError, match=r"no epoch.* '(holding|go)'"):
            make("PointMassDelayedReach-v0", **changes)
    with pytest.raises(ValueError, match="no epoch of SimpleReaches 'hold'"):
        ReachParams(loss=FixationCost(epochs="hold") + PositionCost())
    with pytest.raises(TypeError, match="each of epochs must be a str, got 3"):
        FixationCost(epochs=(3,))


def test_nothing_is_wrong_with_it():
    check_part(DelayedReaches())
