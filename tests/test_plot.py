"""Figures show the numbers they are given."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.quiver import Quiver
from PIL import Image
from trajectories import (
    Circling,
    History,
    Joints,
    Lever,
    Muscles,
    controller,
    replicates,
    run,
    take,
)

from fbx_env import (
    ChoiceDraw,
    CurlField,
    SimpleReaches,
    Trial,
    UniformDraw,
    analysis,
    plot,
)
from fbx_env.figures import colors


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture
def batch():
    return run()


@pytest.fixture
def history():
    return History(
        {
            "iteration": np.arange(2),
            "training_final_velocity": np.array([2.0, 1.0]),
            "training_total": np.array([4.0, 3.0]),
            "validation_total": np.array([np.nan, 0.7]),
        }
    )


@pytest.fixture
def histories(history):
    factors = np.array([0.5, 1.0, 1.5])
    columns = {
        name: values if name == "iteration" else values[:, None] * factors
        for name, values in history.columns.items()
    }
    return History(columns)


def directions_of(trajectory):
    return analysis.directions(np.asarray(trajectory.trial.start), trajectory.trial.goal)


def labelled(ax):
    return {line.get_label(): line.get_xydata().tolist() for line in ax.lines}


def curves(ax):
    """The curves of trials: more than two points, and neither a mean nor a target's path."""
    lines = [line for line in ax.lines if line.get_label() != "target"]
    return [line for line in lines if len(line.get_xdata()) > 2 and line.get_zorder() == 2]


def means(ax):
    return [line for line in ax.lines if line.get_zorder() == 2.5]


def band_edges(collection):
    """Lowest and highest y of a band at each x."""
    x, y = collection.get_paths()[0].vertices.T
    return {at: (y[x == at].min(), y[x == at].max()) for at in np.unique(x)}


def test_importing_the_figures_is_what_imports_matplotlib_and_changes_no_setting():
    code = (
        "import sys, matplotlib; before = matplotlib.rcParams.copy(); import fbx_env;"
        "assert not [name for name in sys.modules if name.startswith(('fbx_env.plot', 'plotly'))];"
        "import fbx_env.plot; after = matplotlib.rcParams;"
        "assert not [name for name in set(after) - {'backend'} if after[name] != before[name]];"
        "assert not [name for name in sys.modules if name.split('.')[0] in ('plotly', 'agents')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_loss_history_draws_every_term_and_the_validation(history):
    figure, ax = plot.loss_history(history)
    assert labelled(ax) == {
        "final velocity": [[1, 2], [2, 1]],
        "total": [[1, 4], [2, 3]],
        "total, validation": [[2, 0.7]],
    }
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert not ax.collections
    assert plot.loss_history(history, ax)[0] is figure


def test_loss_history_of_replicates_draws_mean_and_spread(histories):
    _, ax = plot.loss_history(histories)
    lines = {label: np.array(line) for label, line in labelled(ax).items()}
    np.testing.assert_allclose(lines["total"], [[1, 4], [2, 3]])
    np.testing.assert_allclose(lines["total, validation"], [[2, 0.7]])
    bands, bars = ax.collections[:2], ax.collections[2]
    edges = [band_edges(band) for band in bands]
    assert edges == [{1: (2, 6), 2: (1.5, 4.5)}, {1: (1, 3), 2: (0.5, 1.5)}]
    np.testing.assert_allclose(bars.get_segments(), [[[2, 0.35], [2, 1.05]]])
    assert "mean of 3 replicates" in ax.get_legend().get_title().get_text()


def test_terms_beyond_the_palette_are_dashed():
    names = [f"training_term{index}" for index in range(8)]
    columns = {name: np.ones(2) for name in [*names, "training_total", "validation_total"]}
    _, ax = plot.loss_history(History({"iteration": np.arange(2), **columns}))
    looks = {(line.get_color(), line.get_linestyle()) for line in ax.lines[1:9]}
    assert len(looks) == 8


def test_training_and_validation_are_drawn_with_their_last_values(history, histories):
    figure, ax = plot.training_and_validation(history)
    assert labelled(ax) == {
        "training\n  3.00e+00 at the end": [[1, 4], [2, 3]],
        "validation\n  7.00e-01 at the end": [[2, 0.7]],
    }
    assert plot.training_and_validation(history, ax)[0] is figure
    _, ax = plot.training_and_validation(histories)
    assert len(ax.collections) == 2
    assert "mean of 3 replicates" in ax.get_legend().get_title().get_text()


def test_effector_trajectories_draw_reaches_goals_and_units(batch):
    figure, axes = plot.effector_trajectories(batch, workspace=((-1, -1), (1, 2)))
    panels = {"m": batch.pos, "m/s": batch.vel, "N": batch.command}
    for ax, (unit, values) in zip(axes, panels.items(), strict=True):
        np.testing.assert_array_equal([line.get_xydata() for line in curves(ax)[:7]], values)
        assert (ax.get_xlabel(), ax.get_ylabel()) == (f"x [{unit}]", f"y [{unit}]")
        assert ax.get_aspect() == 1
    goals = [line.get_xydata()[0] for line in axes[0].lines if line.get_label() == "goal"]
    np.testing.assert_array_equal(goals, batch.trial.goal)
    starts = [line.get_xydata() for line in axes[0].lines if line.get_label() == "start"]
    np.testing.assert_array_equal(starts[0], batch.trial.start)
    guides = [line.get_xydata() for line in axes[0].lines if len(line.get_xdata()) == 2]
    np.testing.assert_array_equal(guides, np.stack([batch.trial.start, batch.trial.goal], 1))
    (frame,) = axes[0].patches
    assert frame.get_bbox().get_points().tolist() == [[-1, -1], [1, 2]]
    assert plot.effector_trajectories(batch, axes)[0] is figure


def test_everything_drawn_is_within_the_limits(batch):
    figure, axes = plot.effector_trajectories(take(batch, 0), workspace=((-1, -1), (1, 1)))
    figure.draw_without_rendering()
    for ax, values in zip(axes, (batch.pos, batch.vel, batch.command), strict=True):
        shown = np.array([ax.get_xlim(), ax.get_ylim()])
        assert np.all(shown[:, 0] < np.min(values[0], axis=0))
        assert np.all(shown[:, 1] > np.max(values[0], axis=0))
        assert np.ptp(shown[1]) > 0.3 * np.ptp(shown[0])
    assert axes[0].get_xlim()[0] < -1
    assert axes[0].get_ylim()[1] > 1


def test_axes_that_share_limits_can_be_drawn_into(batch):
    figure, axes = plt.subplots(2, 3, sharex="col", sharey="col")
    for row in axes:
        plot.effector_trajectories(batch, row)
    figure.draw_without_rendering()
    assert axes[0, 0].get_xlim() == axes[1, 0].get_xlim()


def test_colours_are_those_of_the_direction_in_every_figure(batch, key):
    expected = [color.lower() for color in colors.cyclic(directions_of(batch))]
    assert len(set(expected)) == 7
    figures = (
        plot.effector_trajectories(batch)[1],
        [plot.speed_profiles(batch)[1]],
        plot.activity_sample_units(batch, 2, key=key)[1],
        plot.principal_components(batch)[1][[0, 2, 3]],
    )
    for axes in figures:
        for ax in axes:
            assert [to_hex(line.get_color()) for line in curves(ax)][:7] == expected
    two = take(batch, np.array([3, 5]))
    _, (ax, *_) = plot.effector_trajectories(two)
    assert [to_hex(line.get_color()) for line in curves(ax)][:2] == [expected[3], expected[5]]


@pytest.mark.parametrize(("n_directions", "n_rays"), [(7, 7), (30, 180)])
def test_the_key_shows_each_direction_or_the_whole_circle(n_directions, n_rays):
    _, ax = plot.speed_profiles(run(task=SimpleReaches(eval_n_directions=n_directions)))
    (direction_key,) = ax.child_axes
    assert len(direction_key.collections[0].get_segments()) == n_rays


STRENGTH = "loads.curl.strength"


def in_fields(draw, n=4):
    """The validation trials again and again, each in a curl field of its own."""
    trials = SimpleReaches().validation_trials()
    many = jax.tree.map(lambda leaf: jnp.tile(leaf, (n, 1)), trials)
    return run(many, loads=(CurlField(1.0),), draws=(draw,))


def test_trials_are_coloured_and_grouped_by_a_drawn_number(key):
    batch = in_fields(ChoiceDraw(STRENGTH, (-1.0, 0.0, 2.0)))
    strength = np.asarray(batch.drawn[STRENGTH])
    expected = [color.lower() for color in colors.sequential(strength)]
    _, speeds = plot.speed_profiles(batch, by=STRENGTH)
    figures = (
        plot.effector_trajectories(batch, by=STRENGTH)[1],
        [speeds],
        plot.activity_sample_units(batch, 2, key=key, by=STRENGTH)[1],
    )
    for axes in figures:
        for ax in axes:
            assert [to_hex(line.get_color()) for line in curves(ax)][:28] == expected
    (bar,) = speeds.child_axes
    assert bar.get_title(loc="left") == "strength"
    assert bar.get_ylim() == (-1.0, 2.0)
    mean, *_ = means(speeds)
    speed = np.linalg.norm(batch.vel, axis=-1)
    np.testing.assert_allclose(mean.get_ydata(), speed[strength == -1].mean(axis=0), rtol=1e-5)


def test_loads_are_arrows_along_the_paths():
    batch = run(loads=(CurlField(2.0),))
    _, (position, *others) = plot.effector_trajectories(batch)
    (arrows,) = (each for each in position.collections if isinstance(each, Quiver))
    assert not any(isinstance(each, Quiver) for ax in others for each in ax.collections)
    steps = np.unique(np.linspace(0, batch.load.shape[1] - 1, 15).astype(int))
    shown = np.stack([arrows.U, arrows.V], axis=-1).reshape(7, 15, 2)
    np.testing.assert_array_equal(shown, np.asarray(batch.load)[:, steps])
    np.testing.assert_array_equal(
        arrows.get_offsets().reshape(7, 15, 2), np.asarray(batch.pos)[:, steps]
    )
    longest = np.linalg.norm(batch.load, axis=-1).max()
    assert f"load, up to {longest:.2g} N" in position.get_xlabel()
    _, (position, *_) = plot.effector_trajectories(run())
    assert not any(isinstance(each, Quiver) for each in position.collections)

    figure, animation = plot.animate_reaches(batch)
    (arrows,) = (each for each in figure.axes[0].collections if isinstance(each, Quiver))
    animation._func(20)
    np.testing.assert_array_equal(np.stack([arrows.U, arrows.V], -1), batch.load[:, 20])
    animation._draw_was_started = True


def test_numbers_from_a_continuum_are_grouped_in_ranges():
    batch = in_fields(UniformDraw(STRENGTH, -1.0, 1.0), n=8)
    _, ax = plot.speed_profiles(batch, by=STRENGTH)
    assert len(means(ax)) == 5
    assert "in ranges of loads.curl.strength" in ax.get_legend().get_texts()[0].get_text()
    with pytest.raises(ValueError, match="no drawn number 'loads.curl.strenth'; did you mean"):
        plot.speed_profiles(batch, by="loads.curl.strenth")


def test_trials_are_coloured_by_direction_wherever_they_start():
    _, (ax, *_) = plot.effector_trajectories(run(task=SimpleReaches(eval_grid_n=2)))
    shades = np.array([line.get_color() for line in curves(ax)[:28]]).reshape(4, 7)
    assert (shades == shades[0]).all()


def test_one_trial_is_drawn_too(batch, key):
    one = take(batch, 2)
    _, axes = plot.effector_trajectories(one, straight_guides=False)
    assert [len(ax.lines) for ax in axes] == [3, 1, 1]
    plot.effector_trajectories(one)[0].draw_without_rendering()
    _, ax = plot.speed_profiles(one)
    assert len(ax.lines) == 1
    assert not ax.child_axes
    assert len(plot.activity_sample_units(one, 1, key=key)[1][0].lines) == 1
    assert len(plot.principal_components(one)[1][2].lines) == 1


def test_speed_profiles_draw_speed_over_time(batch):
    figure, ax = plot.speed_profiles(batch)
    for line, time, vel in zip(ax.lines, batch.time, batch.vel, strict=True):
        np.testing.assert_array_equal(line.get_xdata(), time)
        np.testing.assert_allclose(line.get_ydata(), np.hypot(*vel.T), rtol=1e-6)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Time [s]", "Speed [m/s]")
    assert ax.get_ylim()[0] == 0
    (key_to_colors,) = ax.child_axes
    assert len(key_to_colors.collections[0].get_segments()) == 7
    assert plot.speed_profiles(batch, ax)[0] is figure


def test_many_speed_profiles_have_a_mean():
    _, ax = plot.speed_profiles(run(task=SimpleReaches(eval_n_directions=9)))
    each = [line.get_ydata() for line in curves(ax)]
    assert len(each) == 9
    (mean,) = means(ax)
    np.testing.assert_allclose(mean.get_ydata(), np.mean(each, axis=0), rtol=1e-6)
    assert to_hex(mean.get_color()) == "#000000"
    assert curves(ax)[0].get_alpha() < 1
    (text,) = ax.get_legend().get_texts()
    assert text.get_text() == "mean ± SD, n = 9"


def test_replicates_have_mean_and_standard_deviation_by_direction(batch):
    several = replicates()
    _, ax = plot.speed_profiles(several)
    speed = np.linalg.norm(several.vel, axis=-1)
    assert len(curves(ax)) == 21
    np.testing.assert_allclose([m.get_ydata() for m in means(ax)], speed.mean(0), rtol=1e-5)
    expected = [color.lower() for color in colors.cyclic(directions_of(batch))]
    assert [to_hex(mean.get_color()) for mean in means(ax)] == expected
    for band, mean, sd in zip(ax.collections, speed.mean(0), speed.std(0, ddof=1), strict=True):
        low, high = np.array(list(band_edges(band).values())).T
        np.testing.assert_allclose(low, mean - sd, atol=1e-5)
        np.testing.assert_allclose(high, mean + sd, atol=1e-5)
    (text,) = ax.get_legend().get_texts()
    assert text.get_text() == "mean ± SD, n = 3\nby direction"
    for draw in (plot.effector_trajectories, plot.principal_components):
        figure, _ = draw(several)
        figure.draw_without_rendering()
        assert len(figure.legends) == 1


def test_reach_endpoints_draw_starts_goals_and_workspace(key):
    task = SimpleReaches()
    trials = jax.vmap(task.sample)(jax.random.split(key, 20))
    figure, ax = plot.reach_endpoints(trials, workspace=task.workspace)
    lines = labelled(ax)
    np.testing.assert_array_equal(lines["start"], trials.start)
    np.testing.assert_array_equal(lines["goal"], trials.goal)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        *("start", "goal", "workspace")
    ]
    assert len(ax.lines) == 22
    assert plot.reach_endpoints(Trial((0, 0), (1, 1)), ax)[0] is figure


def test_reach_endpoints_of_a_trajectory_show_where_it_ended(batch):
    _, ax = plot.reach_endpoints(take(batch, None))
    lines = labelled(ax)
    np.testing.assert_array_equal(lines["goal"], batch.trial.goal)
    np.testing.assert_array_equal(lines["end of reach"], batch.pos[:, -1])


def test_activity_heatmap_shows_units_over_time_with_white_for_none(batch):
    one = take(batch, 1)
    figure, ax = plot.activity_heatmap(one)
    (image,) = ax.images
    np.testing.assert_array_equal(image.get_array(), one.activity.T)
    assert image.norm.vmin == -image.norm.vmax == -np.abs(one.activity).max()
    np.testing.assert_allclose(image.get_extent(), [0, 4.95, -0.5, 49.5], rtol=1e-6)
    assert min(image.cmap(0.5)[:3]) > 0.95
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Time [s]", "Unit")
    assert image.colorbar.ax.get_ylabel() == "Activity"
    assert plot.activity_heatmap(one, ax)[0] is figure


def test_activity_heatmap_takes_one_trial(batch):
    with pytest.raises(ValueError, match=r"one trial, got a batch of shape \(7,\); take one with"):
        plot.activity_heatmap(batch)
    silent = take(batch, 0).replace(activity=jnp.zeros((99, 50)))
    plot.activity_heatmap(silent)[0].draw_without_rendering()


@pytest.mark.parametrize("n_units", [1, 3, 4, 5])
def test_sampled_units_are_drawn_for_all_trials(batch, n_units, key):
    figure, axes = plot.activity_sample_units(batch, n_units, key=key)
    assert len(axes) == n_units
    for ax, unit in zip(axes, analysis.sample_units(n_units, 50, key), strict=True):
        assert ax.get_title() == f"Unit {unit}"
        drawn = [line.get_ydata() for line in ax.lines]
        np.testing.assert_array_equal(drawn, batch.activity[..., unit])
        np.testing.assert_array_equal(ax.lines[0].get_xdata(), batch.time[0, :-1])
    assert axes[0].get_ylabel() == "Activity"
    assert axes[-1].get_xlabel() == "Time [s]"
    assert plot.activity_sample_units(batch, n_units, key=key, axes=axes)[0] is figure


def test_the_same_units_are_sampled_of_another_network_as_large(batch):
    other = run(policy=controller(seed=1))
    titles = [
        [ax.get_title() for ax in plot.activity_sample_units(trajectory, 4, key=key)[1]]
        for trajectory, key in (
            (batch, jax.random.key(3)),
            (other, jax.random.key(3)),
            (other, jax.random.PRNGKey(3)),
        )
    ]
    assert titles[0] == titles[1] == titles[2]


def test_units_can_be_given(batch):
    _, axes = plot.activity_sample_units(batch, units=[7, 3])
    assert [ax.get_title() for ax in axes] == ["Unit 7", "Unit 3"]
    np.testing.assert_array_equal(
        [line.get_ydata() for line in axes[1].lines], batch.activity[..., 3]
    )


def test_wrong_units_are_named(batch, key):
    draw = plot.activity_sample_units
    for arguments, error, match in (
        ({"n_units": 51, "key": key}, ValueError, "n_units must be at most 50, .* got 51"),
        ({"units": [3, 50]}, ValueError, "units must be .*49, got 50"),
        ({"units": [-1]}, ValueError, "units must be .*0, got -1"),
        ({"units": [1.5]}, TypeError, "units .* got 1.5"),
        ({"units": []}, ValueError, "units must have at least one"),
        ({}, ValueError, "n_units and key must be given, or units"),
        ({"n_units": 3}, ValueError, "n_units and key must be given, or units; got n_units=3"),
        ({"units": [1], "key": key}, ValueError, "units must be given alone"),
    ):
        with pytest.raises(error, match=match):
            draw(batch, **arguments)


def test_preferred_directions_are_those_of_the_cosines_that_made_the_activity(batch):
    preferred, depth = np.array([0.5, 2.0, 4.0]), np.array([0.1, 0.3, 0.2])
    cosine = np.cos(directions_of(batch)[:, None] - preferred) * depth
    activity = jnp.repeat(jnp.asarray(cosine)[:, None], 99, axis=1)
    figure, ax = plot.preferred_directions(batch.replace(activity=activity))
    tips = np.array([line.get_xydata()[-1] for line in ax.lines[::2]])
    np.testing.assert_allclose(tips, np.stack([preferred, depth], axis=-1), rtol=1e-4)
    assert ax.get_ylim()[1] > 0.3
    assert "(0 to 0.65 s)" in ax.get_title()
    assert plot.preferred_directions(batch, ax)[0] is figure


def test_preferred_directions_use_the_steps_in_the_window(batch):
    activity = np.zeros((7, 99, 1))
    activity[:, 40:, 0] = np.cos(directions_of(batch))[:, None]
    trajectory = batch.replace(activity=jnp.asarray(activity))
    for window, depth in (((2, 4), 1), ((0, 1.9), 0)):
        _, ax = plot.preferred_directions(trajectory, window=window)
        assert ax.lines[0].get_ydata()[-1] == pytest.approx(depth)
        ax.figure.draw_without_rendering()


def test_preferred_directions_need_three_directions_and_polar_axes(batch):
    with pytest.raises(ValueError, match="in at least 3 directions, got 2"):
        plot.preferred_directions(take(batch, slice(0, 2)))
    with pytest.raises(ValueError, match="in at least 3 directions, got 1"):
        plot.preferred_directions(take(batch, 0))
    with pytest.raises(ValueError, match="ax must be polar axes, got rectilinear ones"):
        plot.preferred_directions(batch, plt.subplots()[1])


def test_principal_components_are_drawn_in_four_panels(batch):
    figure, axes = plot.principal_components(batch)
    plane, shares, first, second = axes
    found = analysis.principal_components(np.asarray(batch.activity))
    np.testing.assert_array_equal(
        [line.get_xydata() for line in curves(plane)], found.scores[..., :2]
    )
    for ax, index in ((first, 0), (second, 1)):
        np.testing.assert_array_equal(
            [line.get_ydata() for line in ax.lines], found.scores[..., index]
        )
    heights = [bar.get_height() for bar in shares.patches]
    np.testing.assert_array_equal(heights, found.explained[:10])
    np.testing.assert_allclose(shares.lines[0].get_ydata(), np.cumsum(heights))
    assert plot.principal_components(batch, axes)[0] is figure
    with pytest.raises(ValueError, match=r"two steps and two units, .* \(7, 99, 1\)"):
        plot.principal_components(batch.replace(activity=batch.activity[..., :1]))


def test_reaches_are_animated_as_a_small_gif(tmp_path):
    trajectory = run(max_steps_in_episode=20)
    path = tmp_path / "reaches.gif"
    figure, _ = plot.animate_reaches(trajectory, path, frames_per_second=10)
    assert list(tmp_path.iterdir()) == [path]
    assert path.stat().st_size < 300_000
    with Image.open(path) as gif:
        durations = []
        for frame in range(gif.n_frames):
            gif.seek(frame)
            durations.append(gif.info["duration"])
    assert sum(durations) == pytest.approx(1000 + 1000 + 100)
    trails = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 21]
    np.testing.assert_array_equal([line.get_xydata() for line in trails], trajectory.pos)
    assert figure.axes[0].get_title() == "1.0 s"


def test_an_animation_steps_through_the_trial(batch):
    figure, animation = plot.animate_reaches(batch, playback=2, frames_per_second=10)
    frames = list(animation.new_frame_seq())
    assert frames[:3] == [0, 4, 8]
    assert frames[-11:] == [99] * 11
    animation._draw_frame(frames[2])
    assert figure.axes[0].get_title() == "0.4 s"
    trails = [line.get_xydata() for line in figure.axes[0].lines if len(line.get_xdata()) == 9]
    np.testing.assert_array_equal(trails, batch.pos[:, :9])
    animation._draw_was_started = True


def test_wrong_animations_are_named(batch, tmp_path):
    with pytest.raises(ValueError, match="path must end in .gif, got 'reaches.mp4'"):
        plot.animate_reaches(batch, "reaches.mp4")
    with pytest.raises(ValueError, match="playback must be finite and greater than 0, got 0"):
        plot.animate_reaches(batch, playback=0)
    with pytest.raises(ValueError, match="frames_per_second must be at most 50, got 60"):
        plot.animate_reaches(batch, frames_per_second=60)
    uneven = batch.replace(time=batch.time * jnp.arange(1.0, 8.0)[:, None])
    with pytest.raises(ValueError, match="trials of the same times"):
        plot.animate_reaches(uneven)
    with pytest.raises(FileNotFoundError, match="in a folder that exists, got .*nowhere"):
        plot.animate_reaches(take(batch, 0), tmp_path / "nowhere" / "reaches.gif")


DRAWN_FROM_TRAJECTORIES = {
    "effector_trajectories": {},
    "speed_profiles": {},
    "activity_heatmap": {},
    "activity_sample_units": {"n_units": 2, "key": jax.random.key(0)},
    "preferred_directions": {},
    "principal_components": {},
    "animate_reaches": {},
}


@pytest.mark.parametrize(("name", "arguments"), DRAWN_FROM_TRAJECTORIES.items())
def test_wrong_trajectories_are_named(batch, name, arguments):
    draw = getattr(plot, name)
    with pytest.raises(ValueError, match=r"got pos of shape \(0, 100, 2\)"):
        draw(take(batch, slice(0, 0)), **arguments)
    with pytest.raises(TypeError, match="trajectory must be a Trajectory.* got ArrayImpl"):
        draw(batch.activity, **arguments)


TRAJECTORIES = {
    "one command, three leading axes": lambda: take(run(plant=Lever()), (None, None)),
    "six commands, one trial": lambda: take(run(plant=Muscles()), 0),
    "six commands, replicates and trials": lambda: replicates(Muscles),
    "moving targets": lambda: run(task=Circling()),
    "100 trials": lambda: run(
        jax.vmap(SimpleReaches().sample)(jax.random.split(jax.random.key(2), 100))
    ),
}


@pytest.mark.parametrize("kind", TRAJECTORIES)
def test_every_figure_is_drawn_of_any_trajectory(kind):
    trajectory = TRAJECTORIES[kind]()
    drawn = {**DRAWN_FROM_TRAJECTORIES, "reach_endpoints": {}}
    del drawn["preferred_directions" if trajectory.pos.ndim == 2 else "activity_heatmap"]
    for name, arguments in drawn.items():
        figure, what = getattr(plot, name)(trajectory, **arguments)
        assert figure.axes
        if name == "animate_reaches":
            what._draw_was_started = True
        plt.close(figure)


def test_wrong_axes_are_named(batch, key):
    _, ax = plt.subplots()
    with pytest.raises(ValueError, match="axes must be 3 in number, got 1"):
        plot.effector_trajectories(batch, [ax])
    with pytest.raises(ValueError, match="axes must be 4 in number, got 1"):
        plot.principal_components(batch, ax)
    with pytest.raises(ValueError, match="axes must be 2 in number, got 1"):
        plot.activity_sample_units(batch, 2, key=key, axes=ax)
    with pytest.raises(TypeError, match="must be matplotlib axes, got Figure"):
        plot.speed_profiles(batch, ax.figure)


COMMANDS = {
    Muscles: ([f"Muscle {index}" for index in range(6)], "Command"),
    Joints: (["Shoulder torque", "Elbow torque"], "Command [N m]"),
    Lever: (["Torque"], "Command [N m]"),
}


@pytest.mark.parametrize("plant", COMMANDS)
def test_commands_that_are_no_force_are_drawn_over_time_with_names_and_units(plant):
    trajectory = run(plant=plant())
    figure, axes = plot.effector_trajectories(trajectory)
    titles, label = COMMANDS[plant]
    assert [ax.get_title() for ax in axes] == ["Position", "Velocity", *titles]
    for index, ax in enumerate(axes[2:]):
        drawn = [line.get_xydata() for line in curves(ax)]
        command = trajectory.command[..., index]
        np.testing.assert_array_equal(drawn, np.stack([trajectory.time[:, :-1], command], -1))
    assert axes[2].get_ylabel() == label
    assert axes[-1].get_xlabel() == "Time [s]"
    assert plot.effector_trajectories(trajectory, axes)[0] is figure
    with pytest.raises(ValueError, match=f"axes must be {len(axes)} in number, got 1"):
        plot.effector_trajectories(trajectory, axes[:1])


def test_moving_targets_have_paths_and_no_straight_lines(batch):
    moving = run(task=Circling())
    _, (ax, *_) = plot.effector_trajectories(moving)
    paths = [line.get_xydata() for line in ax.lines if line.get_label() == "target"]
    np.testing.assert_array_equal(paths, moving.target.pos)
    assert not [line for line in ax.lines if len(line.get_xdata()) == 2]
    _, (ax, *_) = plot.effector_trajectories(batch)
    assert "target" not in labelled(ax)
    figure, animation = plot.animate_reaches(moving)
    animation._draw_frame(9)
    (crosses,) = [line for line in figure.axes[0].lines if line.get_marker() == "+"]
    np.testing.assert_array_equal(crosses.get_xydata(), moving.target.pos[:, 8])
    animation._draw_was_started = True


def test_names_are_never_taken_for_mathematics(batch):
    names = ("$", r"$\frac{$", "a_b$c", r"\$", "<b>")
    losses = {f"training_{name}": np.ones(2) for name in names}
    history = {"iteration": np.arange(2), "training_total": np.ones(2), **losses}
    figure, ax = plot.loss_history(History({**history, "validation_total": np.ones(2)}))
    figure.draw_without_rendering()
    assert "a b\\$c" in [text.get_text() for text in ax.get_legend().get_texts()]
    figure, axes = plot.effector_trajectories(
        batch.replace(controls=((names[0], names[1]), (names[3], "$")))
    )
    figure.draw_without_rendering()
    assert len(axes) == 4


def test_trials_that_diverged_are_drawn_as_far_as_they_are_finite(batch):
    lost = batch.replace(
        pos=batch.pos.at[2, 9:].set(np.nan), activity=batch.activity.at[2, 9:].set(np.inf)
    )
    for figure, _ in (
        plot.effector_trajectories(lost),
        plot.activity_heatmap(take(lost, 2)),
        plot.activity_sample_units(lost, 2, key=jax.random.key(0)),
    ):
        figure.draw_without_rendering()
    figure, animation = plot.animate_reaches(lost)
    assert np.isfinite(figure.axes[0].get_xlim()).all()
    animation._draw_was_started = True
    with pytest.raises(ValueError, match="must be finite"):
        plot.preferred_directions(lost)
    with pytest.raises(ValueError, match="must be finite"):
        plot.principal_components(lost)


def test_losses_that_are_zero_or_not_finite_leave_gaps_in_the_figure():
    history = History(
        {
            "iteration": np.arange(3),
            "training_command": np.zeros(3),
            "training_total": np.array([2.0, 1.0, np.inf]),
            "validation_total": np.array([1.0, np.nan, np.inf]),
        }
    )
    figure, ax = plot.loss_history(history)
    figure.draw_without_rendering()
    assert np.isfinite(ax.get_ylim()).all()
    assert ax.get_ylim()[0] > 0


def test_figures_for_paper_are_as_wide_as_a_column_and_change_no_setting(batch, tmp_path):
    before = plt.rcParams.copy()
    for columns, width in ((1, 3.5), (2, 7.2)):
        with plot.paper_style(columns):
            figure, _ = plot.effector_trajectories(batch)
            assert figure.get_figwidth() == width
            assert plt.rcParams["font.size"] == 7
        assert plt.rcParams == before
    assert plot.effector_trajectories(batch)[0].get_figwidth() > 7.2
    with pytest.raises(ValueError, match="columns must be .* got 3"), plot.paper_style(3):
        pass


def test_saved_fonts_are_true_type(batch, tmp_path):
    figure, _ = plot.speed_profiles(batch)
    before = plt.rcParams.copy()
    plot.save_figure(figure, tmp_path / "speed.pdf")
    written = (tmp_path / "speed.pdf").read_bytes()
    assert b"/CIDFontType2" in written
    assert b"/Type3" not in written
    plot.save_figure(figure, tmp_path / "speed", format="svg")
    assert (tmp_path / "speed").read_text().startswith("<?xml")
    assert plt.rcParams == before


def overlapping(figure):
    """Pairs of words of a figure that overlap."""
    figure.draw_without_rendering()
    words = []
    for ax in figure.axes:
        if ax.axison and ax.name != "polar":
            for axis in (ax.xaxis, ax.yaxis):
                low, high = sorted(axis.get_view_interval())
                ticks = [*axis.get_major_ticks()]
                words += [each.label1 for each in ticks if low <= each.get_loc() <= high]
        legend = ax.get_legend()
        words += [*([] if legend is None else legend.get_texts())]
        words += [ax.xaxis.label, ax.yaxis.label, ax.title]
    words += [text for legend in figure.legends for text in legend.get_texts()]
    words = [word for word in words if word.get_text() and word.get_visible()]
    boxes = [(word.get_text(), word.get_window_extent().padded(-0.5)) for word in words]
    return [
        (first, second)
        for index, (first, one) in enumerate(boxes)
        for second, other in boxes[:index]
        if one.overlaps(other)
    ]


@pytest.mark.parametrize(("columns", "plant"), [(1, None), (1, Muscles), (2, Muscles)])
def test_no_words_overlap_in_a_paper(columns, plant):
    trajectory = replicates(plant)
    with plot.paper_style(columns):
        for figure, _ in (
            plot.effector_trajectories(trajectory),
            plot.effector_trajectories(take(trajectory, 0)),
            plot.speed_profiles(trajectory),
            plot.activity_sample_units(trajectory, 6, key=jax.random.key(0)),
            plot.principal_components(trajectory),
            plot.reach_endpoints(trajectory),
            plot.lesion_costs(np.geomspace(1, 300, 100).reshape(50, 2), np.ones(2), sort=True),
        ):
            assert overlapping(figure) == []
