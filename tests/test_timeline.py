"""Figures of trials with a timeline: aligned to an epoch, and beside their target."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from trajectories import Circling, run, take

from fbx_env import DelayedReaches, DelayedReachTrial, ReachParams, plot
from fbx_env.figures.timeline import timeline

TRIALS = DelayedReachTrial([(0, 0)] * 3, [(0.3, 0), (0, 0.3), (-0.3, 0)], [(0.5, 0.5)] * 3)
TRIALS = TRIALS.replace(epoch_durations=np.array([(0.5, 0.5), (0.25, 0.5), (0.75, 1.0)]))
GO = (20, 15, 35)
PARAMS = ReachParams(task=DelayedReaches())


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def delayed():
    return run(trials=TRIALS, task=DelayedReaches())


def test_every_trial_is_where_it_was_at_its_own_go_and_later(delayed):
    found = timeline(delayed, PARAMS, "")
    now = np.flatnonzero(np.isclose(found.edges, 0)).item()
    assert found.edges[0] == pytest.approx(-35 * 0.05)
    for index, go in enumerate(GO):
        for name in ("pos", "vel", "activity"):
            aligned, own = getattr(found.reaches, name)[index], getattr(delayed, name)[index]
            np.testing.assert_array_equal(aligned[now - go : now - go + len(own)], own)
            assert np.isnan(aligned).sum() == (35 - 15) * own.shape[-1]
    shown = found.reaches.target_at_states[:, now - 1 : now + 1]
    np.testing.assert_allclose(shown[:, 1], TRIALS.goal, atol=1e-7)
    np.testing.assert_allclose(shown[:, 0], TRIALS.start, atol=1e-7)


def test_the_shares_are_those_of_the_trials_that_are_there(delayed):
    found = timeline(delayed, PARAMS, "target_on")
    begin = np.array([10, 5, 15])
    time = found.edges[:-1] + 0.01
    for at, share in zip(time, found.share.T, strict=True):
        step = begin + np.floor(at / 0.05)
        is_there = (step >= 0) & (step < 99)
        epoch = (step >= begin).astype(int) + (step >= GO)
        expected = [np.mean(epoch[is_there] == index) for index in range(3)]
        np.testing.assert_allclose(share, expected, atol=1e-7)


def test_aligned_time_courses_show_speed_distance_and_units_over_shaded_epochs(delayed):
    figure, axes = plot.aligned_time_courses(delayed, PARAMS, units=[4, 2])
    found = timeline(delayed, PARAMS, "movement")
    expected = [
        np.linalg.norm(found.reaches.vel, axis=-1),
        np.linalg.norm(found.reaches.pos - found.reaches.target_at_states, axis=-1),
        found.reaches.activity[..., 4],
        found.reaches.activity[..., 2],
    ]
    for ax, courses in zip(axes, expected, strict=True):
        lines = [line for line in ax.lines if line.get_zorder() == 2]
        for line, course in zip(lines, courses, strict=True):
            np.testing.assert_allclose(line.get_ydata(), course, rtol=1e-6)
        (shades,) = ax.collections
        colors = shades.get_array()[0]
        np.testing.assert_allclose(colors[0], to_rgb(plot.timeline.TINTS[0]))
        np.testing.assert_allclose(colors[-1], to_rgb(plot.timeline.TINTS[2]))
    assert axes[-1].get_xlabel() == "Time since “movement” began [s]"
    labels = [text.get_text() for text in axes[-1].get_legend().get_texts()]
    assert labels == ["hold", "target on", "movement"]
    assert plot.aligned_time_courses(delayed, PARAMS, axes[:2])[0] is figure


def test_a_task_of_one_epoch_has_no_shades(delayed):
    _, axes = plot.aligned_time_courses(run(), ReachParams())
    assert [ax.get_xlabel() for ax in axes] == ["Time [s]", "Time [s]"]
    assert not any(ax.collections for ax in axes)


def test_position_and_target_share_a_panel_for_each_trial():
    trajectory = run(task=Circling())
    _, axes = plot.position_and_target(trajectory)
    assert [ax.get_title() for ax in axes] == [f"trial {index}" for index in range(4)]
    for index, ax in enumerate(axes):
        for axis in range(2):
            own, target = ax.lines[2 * axis : 2 * axis + 2]
            np.testing.assert_array_equal(own.get_ydata(), trajectory.pos[index, :, axis])
            np.testing.assert_array_equal(
                target.get_ydata()[1:], trajectory.target.pos[index, :, axis]
            )
    assert len(plot.position_and_target(take(trajectory, 0))[1]) == 1


def test_nonsense_is_refused(delayed):
    with pytest.raises(ValueError, match="no epoch 'go'; there are hold, target_on, movement"):
        plot.aligned_time_courses(delayed, PARAMS, epoch="go")
    with pytest.raises(TypeError, match="params must be a ReachParams, got 3"):
        plot.aligned_time_courses(delayed, 3)
    with pytest.raises(ValueError, match="units must be at most 49, got 50"):
        plot.aligned_time_courses(delayed, PARAMS, units=[50])
    with pytest.raises(ValueError, match="at most 12 trials, got 13"):
        plot.position_and_target(take(run(), np.zeros(13, int)))
