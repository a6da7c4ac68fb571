"""Trajectories and histories that cannot be drawn are told so."""

import jax
import numpy as np
import pytest

from agents import History
from fbx_env import Trial, records, rollout


@pytest.fixture
def batch(trained, key):
    env, params = trained.params()
    return rollout(env, params, trained.policy(), params.task.validation_trials(), key)


def take(trajectory, index):
    return jax.tree.map(lambda leaf: leaf[index], trajectory)


def test_one_trial_gets_an_axis(batch):
    for record in (records.reaches(take(batch, 2)), records.one_reach(take(batch, 2))):
        assert len(record) == 1
        np.testing.assert_array_equal(record.pos[0], batch.pos[2])
        np.testing.assert_array_equal(record.goal[0], batch.trial.goal[2])
        np.testing.assert_array_equal(record.step_time[0], batch.time[2, :-1])
    np.testing.assert_allclose(
        records.reaches(batch).direction, 2 * np.pi * np.arange(7) / 7, atol=1e-4
    )


def test_wrong_trajectories_are_named(batch):
    with pytest.raises(TypeError, match=r"must be a Trajectory.* got ArrayImpl of shape \(7, 99"):
        records.reaches(batch.activity)
    with pytest.raises(ValueError, match=r"one leading axis.* got pos of shape \(1, 7, 100, 2\)"):
        records.reaches(take(batch, None))
    with pytest.raises(ValueError, match=r"activity of shape \(7, 99, 50\) .* got \(7, 98, 50\)"):
        records.reaches(batch.replace(activity=batch.activity[:, 1:]))
    with pytest.raises(ValueError, match=r"start of shape \(7, 2\) .* got \(2,\)"):
        records.reaches(batch.replace(trial=Trial((0, 0), (1, 1))))
    with pytest.raises(ValueError, match="at least one trial"):
        records.reaches(take(batch, slice(0, 0)))
    with pytest.raises(ValueError, match=r"batch of 7; take one with fbx_env.tree_take"):
        records.one_reach(batch)


def test_wrong_trials_and_workspaces_are_named(batch):
    assert records.endpoints(Trial((0, 0), (1, 2)))[1].tolist() == [[1, 2]]
    with pytest.raises(TypeError, match="trials must be a Trial.* got Trajectory"):
        records.endpoints(batch)
    with pytest.raises(ValueError, match=r"got start of shape \(1, 7, 2\)"):
        records.endpoints(take(batch.trial, None))
    with pytest.raises(
        ValueError, match=r"workspace must be \(\(x low.* got \[\[0, 0\], \[1, 0\]\]"
    ):
        records.corners(((0, 0), (1, 0)))
    with pytest.raises(ValueError, match=r"workspace must have shape \(2, 2\), got \(\)"):
        records.corners(3)
    with pytest.raises(TypeError, match="workspace must be a number or an array"):
        records.corners(("a", "b"))


def test_activity_is_averaged_over_the_steps_in_a_window(batch):
    reaches = records.reaches(batch)
    np.testing.assert_allclose(
        records.mean_activity(reaches, (0.1, 0.21)), batch.activity[:, 2:5].mean(1), rtol=1e-5
    )
    with pytest.raises(ValueError, match=r"begin from 0 to 4.9 s; got \(6, 7\)"):
        records.mean_activity(reaches, (6, 7))
    with pytest.raises(ValueError, match="window must be the first and the last time"):
        records.mean_activity(reaches, 3)


def test_speeding_up_ends_at_the_peak_of_the_mean_speed(batch):
    begin, end = records.speeding_up(records.reaches(batch))
    speed = np.linalg.norm(batch.vel, axis=-1).mean(0)
    assert begin == 0
    assert end == pytest.approx(0.05 * speed.argmax())


def test_loss_curves_leave_out_updates_without_the_loss():
    history = History({"iteration": np.arange(3), "validation_total": np.array([4, np.nan, 2])})
    curve = records.loss_curve(history, "validation_total")
    assert (curve.update.tolist(), curve.mean.tolist()) == ([1, 3], [4, 2])
    assert curve.n_replicates == 1


def test_replicates_have_mean_and_spread():
    loss = np.array([[1.0, 2.0, 6.0], [1.0, 1.0, 1.0]])
    history = History({"iteration": np.arange(2), "training_total": loss})
    curve = records.loss_curve(history, "training_total")
    assert curve.mean.tolist() == [3, 1]
    assert (curve.low.tolist(), curve.high.tolist()) == ([1, 1], [6, 1])
    assert curve.n_replicates == 3


def test_wrong_histories_are_named():
    with pytest.raises(TypeError, match="history must have terms and columns.* got dict"):
        records.loss_curve({}, "training_total")
    empty = History({"iteration": np.arange(0), "training_total": np.arange(0.0)})
    with pytest.raises(ValueError, match="at least one update, got none"):
        records.loss_curve(empty, "training_total")
    wrong = History({"iteration": np.arange(2), "training_total": np.ones((3, 2))})
    with pytest.raises(ValueError, match=r"training_total of shape \(2,\) or .* got \(3, 2\)"):
        records.loss_curve(wrong, "training_total")
