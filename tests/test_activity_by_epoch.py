"""Tuning and dimensionality of activity, epoch by epoch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from trajectories import replicates, run

from agents.analysis import dimensionality, subspace_angles, tuning
from fbx_env import Component, ReachParams, analysis, make, rollout
from fbx_env.parts.component import static

PARAMS = ReachParams()


class Waiting(Component):
    """Pulls to the goal from the go on."""

    cue: slice = static()
    goal: slice = static()
    pos: slice = static()
    vel: slice = static()

    def __call__(self, obs, carry, *, key=None):
        pull = 4 * (obs[self.goal] - obs[self.pos]) - 3 * obs[self.vel]
        return (1 - obs[self.cue]) * pull, carry

    def initial_carry(self):
        return jnp.zeros(1)

    def activity(self, carry):
        return carry


@pytest.fixture
def reaches():
    return run()


@pytest.fixture
def delayed():
    env, params = make("PointMassDelayedReach-v0")
    layout = env.observation_layout(params)
    parts = ("hold", "goal_position", "vision_position", "vision_velocity")
    policy = Waiting(*(layout[name] for name in parts))
    trials = params.task.validation_trials()
    return rollout(env, params, policy, trials, jax.random.key(0)), params


def with_activity(trajectory, activity):
    return trajectory.replace(activity=jnp.asarray(activity, float))


def directions_of(trajectory):
    return analysis.directions(trajectory.trial.start, trajectory.trial.goal)


def test_units_that_are_tuned_in_one_epoch_are_tuned_there(delayed):
    trajectory, params = delayed
    epoch = np.asarray(trajectory.epoch)[..., None]
    turn = np.array([0.5, 2.0, 4.0])
    cosine = 0.3 + 0.2 * np.cos(directions_of(trajectory)[:, None, None] - turn)
    other = np.random.default_rng(0).normal(size=cosine.shape)
    table = tuning(with_activity(trajectory, np.where(epoch == 1, cosine, other)), params)
    assert list(dict.fromkeys(table.epoch)) == ["hold", "target_on", "speeding up", "braking"]
    tuned = table[table.epoch == "target_on"]
    np.testing.assert_allclose(tuned.direction, turn, atol=1e-3)
    np.testing.assert_allclose(tuned.depth, 0.2, atol=1e-5)
    np.testing.assert_allclose(tuned.explained, 1, atol=1e-6)
    assert (table[table.epoch == "hold"].explained < 0.99).all()


def test_the_last_epoch_is_divided_where_each_trial_is_fastest(delayed):
    trajectory, params = delayed
    speed = np.linalg.norm(trajectory.vel, axis=-1)[:, 1:]
    moving = np.asarray(trajectory.epoch) == 2
    peak = np.where(moving, speed, -1).argmax(axis=1)
    rising = moving & (np.arange(speed.shape[1]) <= peak[:, None])
    activity = np.stack([rising, moving & ~rising], axis=-1)
    table = tuning(with_activity(trajectory, activity), params, ["speeding up", "braking"])
    np.testing.assert_allclose(table.baseline, [1, 0, 0, 1], atol=1e-12)


def test_three_trials_say_nothing_of_how_well_a_cosine_fits(reaches):
    three = jax.tree.map(lambda leaf: leaf[:3], reaches)
    assert tuning(three, PARAMS).explained.isna().all()
    assert tuning(reaches, PARAMS).explained.notna().all()


def test_what_is_no_reach_is_not_divided():
    env, params = make("PointMassTrack-v0")
    layout = env.observation_layout(params)
    parts = ("goal_position", "vision_position", "vision_velocity")
    policy = Waiting(slice(0, 1), *(layout[name] for name in parts))
    trajectory = rollout(env, params, policy, params.task.validation_trials(), jax.random.key(0))
    activity = np.random.default_rng(0).normal(size=(*trajectory.command.shape[:2], 3))
    table = dimensionality(with_activity(trajectory, activity), params)
    assert list(dict.fromkeys(table.epoch)) == ["movement"]


def test_the_participation_ratio_counts_equal_dimensions(reaches):
    n_trials, n_steps = reaches.command.shape[:2]
    activity = np.zeros((n_trials, n_steps, 9))
    # Three units take turns, in three orthogonal directions of equal variance.
    angle = 2 * np.pi * np.arange(n_steps * n_trials).reshape(n_trials, n_steps) / n_steps
    activity[..., 0], activity[..., 1] = np.cos(angle), np.sin(angle)
    activity[..., 2], activity[..., 3] = np.cos(2 * angle), np.sin(2 * angle)
    table = dimensionality(with_activity(reaches, activity), PARAMS, ["movement"])
    np.testing.assert_allclose(table.participation_ratio, 4, rtol=1e-6)
    np.testing.assert_allclose(table.together[:5], [0.25, 0.5, 0.75, 1, 1], rtol=1e-6)
    assert list(table.component) == list(range(1, 10))


def test_angles_between_subspaces_are_those_by_which_they_were_turned(delayed):
    trajectory, params = delayed
    random = np.random.default_rng(1).normal(size=(*trajectory.command.shape[:2], 2))
    epoch = np.asarray(trajectory.epoch)[..., None]
    turned = (0.4, 1.1)
    flat, away = np.zeros((2, *random.shape[:2], 5))
    flat[..., :2] = random
    for axis, angle in enumerate(turned):
        away[..., axis] = np.cos(angle) * random[..., axis]
        away[..., axis + 2] = np.sin(angle) * random[..., axis]
    activity = with_activity(trajectory, np.where(epoch == 1, flat, away))
    table = subspace_angles(activity, params, ["target_on", "movement"], n_components=2)
    np.testing.assert_allclose(table.angle, turned, atol=1e-5)
    assert list(table["index"]) == [1, 2]
    # The variances along the two axes are nearly the same, and so are their weights.
    np.testing.assert_allclose(table.alignment, np.mean(np.cos(turned) ** 2), atol=0.05)
    chosen = subspace_angles(activity, params)
    assert set(chosen["first"]) | set(chosen["second"]) == {
        *("hold", "target_on", "speeding up", "braking")
    }
    assert len(chosen) == 6 * 2  # Two components explain everything, in all epochs.


def test_what_cannot_be_analysed_is_refused(reaches, delayed):
    trajectory, params = delayed
    with pytest.raises(ValueError, match=r"no epoch 'target_on'.*movement"):
        tuning(reaches, PARAMS, ["target_on"])
    with pytest.raises(ValueError, match=r"those of the trajectory, which has other loss terms"):
        tuning(trajectory, PARAMS)
    with pytest.raises(ValueError, match=r"of one network.*got 2 leading axes"):
        tuning(replicates(), PARAMS)
    with pytest.raises(TypeError, match="sequence of names.*got 'movement'"):
        tuning(reaches, PARAMS, "movement")
    for epochs in ([], ["movement", "movement"]):
        with pytest.raises(ValueError, match="one or several different names, got"):
            tuning(reaches, PARAMS, epochs)
    with pytest.raises(ValueError, match="must vary to have dimensions, that in epoch movement"):
        dimensionality(with_activity(reaches, np.ones((7, 99, 3))), PARAMS, ["movement"])
    with pytest.raises(ValueError, match="without units"):
        dimensionality(with_activity(reaches, np.zeros((7, 99, 0))), PARAMS)
    with pytest.raises(ValueError, match="finite"):
        dimensionality(with_activity(reaches, np.full((7, 99, 3), np.nan)), PARAMS)
    few = jax.tree.map(lambda leaf: leaf[:2], reaches)
    with pytest.raises(ValueError, match="at least 3 directions, got 2"):
        tuning(few, PARAMS)
    with pytest.raises(ValueError, match=r"two or more.*got movement"):
        subspace_angles(reaches, PARAMS, ["movement"])
    with pytest.raises(ValueError, match=r"n_components must be.*51"):
        subspace_angles(reaches, PARAMS, n_components=51)
    with pytest.raises(ValueError, match="two units"):
        dimensionality(with_activity(reaches, np.ones((7, 99, 1))), PARAMS)
    never = trajectory.replace(epoch=jnp.where(trajectory.epoch == 1, 2, trajectory.epoch))
    with pytest.raises(ValueError, match=r"epoch target_on must have steps in every trial"):
        tuning(never, params, ["target_on"])
