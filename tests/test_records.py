"""Trajectories become arrays with one leading axis; those that cannot be drawn are refused."""

import numpy as np
import pytest
from trajectories import Circling, Muscles, replicates, run, take

from fbx_env import Trial
from fbx_env.figures import records


@pytest.fixture
def batch():
    return run()


def test_one_trial_gets_an_axis(batch):
    for record in (records.reaches(take(batch, 2)), records.one_reach(take(batch, 2))):
        assert len(record) == 1
        np.testing.assert_array_equal(record.pos[0], batch.pos[2])
        np.testing.assert_array_equal(record.goal[0], batch.trial.goal[2])
        np.testing.assert_array_equal(record.step_time[0], batch.time[2, :-1])
    np.testing.assert_allclose(
        records.reaches(batch).direction, 2 * np.pi * np.arange(7) / 7, atol=1e-4
    )


def test_any_leading_axes_become_one():
    several = replicates()
    record = records.reaches(several)
    assert (len(record), record.shape) == (21, (3, 7))
    np.testing.assert_array_equal(record.pos[9], several.pos[1, 2])
    np.testing.assert_array_equal(record.target[9], several.target.pos[1, 2])
    assert record.names[9] == "trial 1, 2, 103°"
    assert records.reaches(take(several, None)).shape == (1, 3, 7)
    assert records.one_reach(take(take(several, 0), 2)).names == ["trial, 103°"]


def test_commands_have_the_names_and_units_of_the_plant(batch):
    assert records.reaches(batch).controls == (("force x", "N"), ("force y", "N"))
    assert records.reaches(run(plant=Muscles())).controls[5] == ("muscle 5", "")


def test_targets_move_if_they_are_elsewhere_than_at_start_and_goal(batch):
    assert not records.reaches(batch).has_moving_target.any()
    moving = records.reaches(run(task=Circling()))
    assert moving.has_moving_target.all()
    assert np.abs(moving.places).max() >= 0.3
    np.testing.assert_array_equal(moving.target_at_states[:, 1:], moving.target)


def test_wrong_trajectories_are_named(batch):
    with pytest.raises(TypeError, match=r"must be a Trajectory.* got ArrayImpl of shape \(7, 99"):
        records.reaches(batch.activity)
    with pytest.raises(ValueError, match=r"activity of shape \(7, 99, 50\) .* got \(7, 98, 50\)"):
        records.reaches(batch.replace(activity=batch.activity[:, 1:]))
    with pytest.raises(ValueError, match=r"start of shape \(7, 2\) .* got \(2,\)"):
        records.reaches(batch.replace(trial=Trial((0, 0), (1, 1))))
    with pytest.raises(ValueError, match=r"command of shape \(7, 99, 3\) .*3 controls"):
        records.reaches(batch.replace(controls=(("a", ""), ("b", ""), ("c", ""))))
    with pytest.raises(ValueError, match="at least one trial"):
        records.reaches(take(batch, slice(0, 0)))
    with pytest.raises(ValueError, match=r"batch of shape \(7,\); take one with fbx_env.tree_take"):
        records.one_reach(batch)


def test_wrong_trials_and_workspaces_are_named(batch):
    assert records.endpoints(Trial((0, 0), (1, 2))).goal.tolist() == [[1, 2]]
    assert records.endpoints(take(batch.trial, None)).start.shape == (7, 2)
    assert records.endpoints(batch.trial).reached is None
    np.testing.assert_array_equal(records.endpoints(batch).reached, batch.pos[:, -1])
    with pytest.raises(TypeError, match="trials must be a Trial.* got ArrayImpl"):
        records.endpoints(batch.pos)
    with pytest.raises(ValueError, match=r"got start of shape \(0, 2\)"):
        records.endpoints(take(batch.trial, slice(0, 0)))
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
