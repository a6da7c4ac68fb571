"""Panels have the curves of the trials, and means of many."""

import jax
import numpy as np
import pytest
from trajectories import Joints, Muscles, replicates, run, take

from fbx_env import SimpleReaches
from fbx_env.figures import colors, panels, records


def many_directions(n):
    """Reaches in the plane in ``n`` directions, without the time to run them."""
    batch = records.reaches(run(task=SimpleReaches(eval_n_directions=n)))
    assert len(batch) == n
    return batch


def test_a_force_in_the_plane_has_one_panel_and_other_commands_one_a_number():
    found = panels.effector_panels(records.reaches(run()))
    assert [(panel.title, panel.x_label, panel.y_label) for panel in found] == [
        ("Position", "x [m]", "y [m]"),
        ("Velocity", "x [m/s]", "y [m/s]"),
        ("Command", "x [N]", "y [N]"),
    ]
    found = panels.effector_panels(records.reaches(run(plant=Joints())))[2:]
    assert [(panel.title, panel.x_label, panel.y_label) for panel in found] == [
        ("Shoulder torque", "Time [s]", "Command [N m]"),
        ("Elbow torque", "Time [s]", "Command [N m]"),
    ]
    trajectory = run(plant=Muscles())
    found = panels.effector_panels(records.reaches(trajectory))[2:]
    np.testing.assert_array_equal(
        [panel.y for panel in found], np.moveaxis(trajectory.command, -1, 0)
    )
    assert {panel.y_label for panel in found} == {"Command"}


@pytest.mark.parametrize(
    "controls", [(("force x", "N"), ("force y", "")), (("x", "N"), ("y", "N"))]
)
def test_only_a_force_in_newtons_is_a_force_in_the_plane(controls):
    found = panels.effector_panels(records.reaches(run().replace(controls=controls)))
    assert len(found) == 4
    assert not found[2].is_plane


def test_a_few_trials_have_no_means():
    assert panels.speed_panel(records.reaches(run())).means == ()


def test_trials_of_the_same_direction_have_a_mean():
    reaches = records.reaches(replicates())
    panel = panels.speed_panel(reaches)
    speed = panel.y.reshape(3, 7, 100)
    np.testing.assert_allclose([mean.y for mean in panel.means], speed.mean(0), rtol=1e-6)
    np.testing.assert_allclose([m.sd for m in panel.means], speed.std(0, ddof=1), rtol=1e-4)
    assert [mean.group.color for mean in panel.means] == reaches.colors[:7]
    assert [mean.group.name for mean in panel.means][:3] == ["0°", "51°", "103°"]
    assert panel.describe_means == ["mean ± SD, n = 3", "by direction"]
    assert panels.legend_groups(reaches)[7:10] == ["0°", "51°", "103°"]
    position = panels.effector_panels(reaches)[0]
    averaged = {mean.group.name: mean.x for mean in position.means}
    x = reaches.pos[..., 0].reshape(3, 7, 100)
    np.testing.assert_allclose(averaged["51°"], x[:, 1].mean(0), rtol=1e-5)
    assert position.describe_means == ["mean, n = 3", "by direction"]


def test_positions_are_averaged_only_over_trials_with_the_same_start_and_goal():
    reaches = records.reaches(run(task=SimpleReaches(eval_grid_n=2)))
    position, velocity, _ = panels.effector_panels(reaches)
    assert (len(position.means), len(velocity.means)) == (0, 7)


def test_other_directions_have_one_mean_or_sectors():
    reaches = many_directions(9)
    (mean,) = panels.speed_panel(reaches).means
    assert (mean.group.name, mean.group.color, len(mean.group.trials)) == (
        "all trials",
        "#000000",
        9,
    )
    assert panels.speed_panel(reaches).describe_means == ["mean ± SD, n = 9"]
    assert panels.legend_groups(reaches) == reaches.names

    reaches = many_directions(30)
    means = panels.speed_panel(reaches).means
    assert [len(mean.group.trials) for mean in means] == [3, 4, 4, 4, 3, 4, 4, 4]
    assert [mean.group.name for mean in means][:2] == ["0°", "45°"]
    assert means[2].group.color == colors.cyclic(np.array([np.pi / 2]))[0]
    assert panels.speed_panel(reaches).describe_means == [
        "mean ± SD, n = 3 to 4",
        "in sectors of 45°",
    ]


def test_what_is_not_finite_has_no_standard_deviation():
    several = replicates()
    lost = several.replace(vel=several.vel.at[0, 2, 9:].set(np.inf))
    first, _, third, *_ = panels.speed_panel(records.reaches(lost)).means
    assert np.isfinite(first.sd).all()
    assert np.isfinite(third.sd[:9]).all()
    assert np.isnan(third.sd[9:]).all()


def test_principal_components_are_labelled():
    trajectory = run()
    found = panels.component_panels(records.reaches_of_units(trajectory))
    assert (found.plane.x_label, found.plane.y_label) == ("Component 1", "Component 2")
    assert [panel.y_label for panel in found.courses] == ["Component 1", "Component 2"]
    assert found.number.tolist() == list(range(1, 11))
    one = take(trajectory, slice(0, 1))
    narrow = one.replace(activity=jax.numpy.asarray(one.activity[..., :2]))
    assert len(panels.component_panels(records.reaches(narrow)).number) == 2
