"""Figures of analyses show the numbers that they are given."""

import jax
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from trajectories import controller, run

from agents import GRUPolicy
from agents.analysis import (
    dimensionality,
    fixed_points,
    linearise,
    subspace_angles,
    tuning,
)
from fbx_env import ReachParams, analysis, plot

PARAMS = ReachParams()


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def reaches():
    return run()


def test_a_point_is_a_unit_and_its_height_the_share_that_direction_explains(reaches):
    table = tuning(reaches, PARAMS)
    _, (shares, turns) = plot.tuning_by_epoch(table)
    drawn = [line.get_ydata() for line in shares.lines if line.get_marker() == "o"]
    for heights, (_, rows) in zip(drawn, table.groupby("epoch", sort=False), strict=True):
        np.testing.assert_array_equal(heights, rows.explained)
    medians = [line.get_ydata()[0] for line in shares.lines if line.get_marker() != "o"]
    np.testing.assert_allclose(medians, table.groupby("epoch", sort=False).explained.median())
    assert [text.get_text() for text in shares.get_xticklabels()] == ["speeding\nup", "braking"]
    (curve,) = turns.lines
    one, other = (table[table.epoch == name] for name in ("speeding up", "braking"))
    turn = np.rad2deg(other.direction.to_numpy() - one.direction.to_numpy())
    turn = np.sort(np.abs((turn + 180) % 360 - 180))
    np.testing.assert_allclose(curve.get_xdata()[1:], turn, atol=1e-9)


def test_subspaces_draw_variance_and_angles(reaches):
    dimensions, angles = dimensionality(reaches, PARAMS), subspace_angles(reaches, PARAMS)
    _, (variance, between) = plot.subspaces(dimensions, angles)
    first = dimensions[dimensions.epoch == "speeding up"]
    np.testing.assert_allclose(variance.lines[0].get_ydata(), first.together[:10])
    np.testing.assert_allclose(between.lines[0].get_ydata(), np.rad2deg(angles.angle))
    (label,) = [text.get_text() for text in between.get_legend().get_texts()]
    assert label == f"speeding up, braking ({angles.alignment[0]:.2g})"


def test_eigenvalues_are_drawn_at_the_end_and_decay_rates_along_the_trial():
    table = linearise(controller(), PARAMS, PARAMS.task.validation_trials()).frame()
    _, (plane, rates) = plot.eigenvalues(table)
    end = table[table.time == table.time.max()]
    for line, system in zip(plane.lines, ("network", "closed loop"), strict=True):
        rows = end[end.system == system]
        np.testing.assert_array_equal(line.get_xydata(), rows[["real", "imaginary"]])
    (circle,) = plane.patches
    assert circle.radius == 1
    slowest = table[(table.system == "closed loop") & (table["mode"] == 0)]
    logarithm = np.log(slowest.magnitude).groupby(slowest.time).mean()
    blue = [line for line in rates.lines if line.get_color() == plane.lines[1].get_color()]
    np.testing.assert_allclose(blue[0].get_ydata(), -logarithm / 0.05, rtol=1e-6, atol=1e-9)


def test_one_epoch_has_one_panel(reaches):
    epochs = ["movement"]
    assert len(plot.tuning_by_epoch(tuning(reaches, PARAMS, epochs))[1]) == 1
    assert len(plot.subspaces(dimensionality(reaches, PARAMS, epochs))[1]) == 1


def test_fixed_points_are_drawn_where_the_activity_would_be():
    policy = GRUPolicy(8, 2, 6, key=jax.random.key(3))
    reaches = run(policy=policy)
    found = fixed_points(policy, PARAMS, reaches, n_starts=2, key=jax.random.key(0))
    _, ax = plot.fixed_points(found, reaches)
    components = analysis.principal_components(reaches.activity)
    wanted = ((found.activity - components.mean) @ components.components.T)[:, :2]
    drawn = [line.get_xydata() for line in ax.lines if line.get_zorder() == 3]
    np.testing.assert_allclose(np.concatenate(drawn), wanted, atol=1e-12)
    assert found.is_stable.all()
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["stable fixed point"]
    with pytest.raises(ValueError, match="must be of the 50 units of the trajectory, got 6"):
        plot.fixed_points(found, run())
    few = jax.tree.map(lambda leaf: leaf[:3], reaches)
    with pytest.raises(ValueError, match="of the 3 trials of the trajectory, got trial 6"):
        plot.fixed_points(found, few)


@pytest.mark.parametrize(
    "draw",
    [
        plot.tuning_by_epoch,
        plot.eigenvalues,
        lambda table: plot.subspaces(table, table),
    ],
)
def test_tables_without_what_is_drawn_are_refused(draw):
    with pytest.raises(ValueError, match=r"must have rows and the columns .*; got 0 rows of unit"):
        draw(pd.DataFrame({"unit": []}))
    with pytest.raises(TypeError, match="must be a pandas frame, got dict"):
        draw({})
