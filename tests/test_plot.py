"""Figures show the numbers they are given."""

import jax
import matplotlib.pyplot as plt
import numpy as np
import pytest

from agents import History
from fbx_env import Trial, plot, rollout


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_loss_history_draws_every_term_and_the_validation():
    history = History()
    rows = {"final_velocity": [2.0, 1.0], "total": [4.0, 3.0]}
    rows |= {"gradient_norm": [1.0, 1.0], "learning_rate": [0.1, 0.1]}
    history.extend({name: np.array(values) for name, values in rows.items()}, seconds=1.0)
    history.add_validation({"final_velocity": 0.5, "total": 0.7})
    figure, ax = plot.loss_history(history)
    lines = {line.get_label(): line.get_xydata().tolist() for line in ax.lines}
    assert lines == {
        "final velocity": [[1, 2], [2, 1]],
        "total": [[1, 4], [2, 3]],
        "total, validation trials": [[2, 0.7]],
    }
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert plot.loss_history(history, ax)[0] is figure


def test_effector_trajectories_draw_reaches_goals_and_units(trained, key):
    env, params = trained.params()
    trials = params.task.validation_trials()
    trajectory = rollout(env, params, trained.policy(), trials, key)
    figure, axes = plot.effector_trajectories(trajectory, workspace=params.task.workspace)
    for ax, values, unit in zip(
        axes, (trajectory.pos, trajectory.vel, trajectory.command), ("m", "m/s", "N"), strict=True
    ):
        curves = [line.get_xydata() for line in ax.lines if len(line.get_xdata()) > 2]
        np.testing.assert_array_equal(np.stack(curves), values)
        assert ax.get_xlabel() == f"x [{unit}]"
    goals = [line.get_xydata()[0] for line in axes[0].lines if line.get_marker() == "o"]
    np.testing.assert_array_equal(goals, trials.goal)
    colors = [line.get_color() for line in axes[1].lines]
    assert len({str(color) for color in colors}) == 7
    assert len(axes[0].patches) == 1
    assert plot.effector_trajectories(trajectory, axes)[0] is figure


def test_one_trial_is_drawn_too(trained, key):
    env, params = trained.params()
    trajectory = rollout(env, params, trained.policy(), Trial((0, 0), (0.5, 0)), key)
    _, axes = plot.effector_trajectories(trajectory, straight_guides=False)
    assert len(axes[1].lines) == 1


def test_wrong_shapes_are_named(trained, key):
    env, params = trained.params()
    trials = params.task.validation_trials()
    trajectory = rollout(env, params, trained.policy(), trials, key)
    with pytest.raises(ValueError, match=r"one trial or a batch .* got positions of shape \(1, 7"):
        plot.effector_trajectories(jax.tree.map(lambda leaf: leaf[None], trajectory))
    with pytest.raises(ValueError, match="axes must be three axes, got 1"):
        plot.effector_trajectories(trajectory, [plt.subplots()[1]])
