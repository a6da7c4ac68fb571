"""Figures show the numbers they are given."""

import subprocess
import sys

import jax
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex
from PIL import Image

from agents import GRUPolicy, History
from fbx_env import Trial, analysis, colors, make, plot, rollout


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture
def batch(trained, key):
    env, params = trained.params()
    return rollout(env, params, trained.policy(), params.task.validation_trials(), key)


@pytest.fixture
def history():
    history = History()
    rows = {"final_velocity": [2.0, 1.0], "total": [4.0, 3.0]}
    rows |= {"gradient_norm": [1.0, 1.0], "learning_rate": [0.1, 0.1]}
    history.extend({name: np.array(values) for name, values in rows.items()}, seconds=1.0)
    history.add_validation({"final_velocity": 0.5, "total": 0.7})
    return history


@pytest.fixture
def replicates(history):
    factors = np.array([0.5, 1.0, 1.5])
    columns = {
        name: values if name == "iteration" else values[:, None] * factors
        for name, values in history.columns.items()
    }
    return History(columns)


def take(trajectory, index):
    return jax.tree.map(lambda leaf: leaf[index], trajectory)


def directions_of(trajectory):
    return analysis.directions(np.asarray(trajectory.trial.start), trajectory.trial.goal)


def labelled(ax):
    return {line.get_label(): line.get_xydata().tolist() for line in ax.lines}


def curves(ax):
    """The lines that are no guides or marks: all with more than two points."""
    return [line for line in ax.lines if len(line.get_xdata()) > 2]


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


def test_loss_history_of_replicates_draws_mean_and_spread(replicates):
    _, ax = plot.loss_history(replicates)
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


def test_training_and_validation_are_drawn_with_their_last_values(history, replicates):
    figure, ax = plot.training_and_validation(history)
    assert labelled(ax) == {
        "training\n  3.00e+00 at the end": [[1, 4], [2, 3]],
        "validation\n  7.00e-01 at the end": [[2, 0.7]],
    }
    assert plot.training_and_validation(history, ax)[0] is figure
    _, ax = plot.training_and_validation(replicates)
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
def test_the_key_shows_each_direction_or_the_whole_circle(n_directions, n_rays, trained, key):
    env, params = trained.params()
    trials = params.task.validation_trials(n_directions=n_directions)
    _, ax = plot.speed_profiles(rollout(env, params, trained.policy(), trials, key))
    (direction_key,) = ax.child_axes
    assert len(direction_key.collections[0].get_segments()) == n_rays


def test_trials_are_coloured_by_direction_wherever_they_start(trained, key):
    env, params = trained.params()
    trials = params.task.validation_trials(grid_n=2)
    trajectory = rollout(env, params, trained.policy(), trials, key)
    _, (ax, *_) = plot.effector_trajectories(trajectory)
    shades = np.array([line.get_color() for line in curves(ax)[:28]]).reshape(4, 7)
    assert (shades == shades[0]).all()


def test_one_trial_is_drawn_too(batch, key):
    one = take(batch, 2)
    _, axes = plot.effector_trajectories(one, straight_guides=False)
    assert [len(ax.lines) for ax in axes] == [3, 1, 1]
    _, ax = plot.speed_profiles(one)
    assert len(ax.lines) == 1
    assert not ax.child_axes
    assert len(plot.activity_sample_units(one, 1, key=key)[1][0].lines) == 1
    assert len(plot.principal_components(one)[1][2].lines) == 1


def test_speed_profiles_draw_speed_over_time(batch, trained, key):
    figure, ax = plot.speed_profiles(batch)
    for line, time, vel in zip(ax.lines, batch.time, batch.vel, strict=True):
        np.testing.assert_array_equal(line.get_xdata(), time)
        np.testing.assert_allclose(line.get_ydata(), np.hypot(*vel.T), rtol=1e-6)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Time [s]", "Speed [m/s]")
    assert ax.get_ylim()[0] == 0
    (key_to_colors,) = ax.child_axes
    assert len(key_to_colors.collections[0].get_segments()) == 7
    assert plot.speed_profiles(batch, ax)[0] is figure


def test_many_speed_profiles_have_a_mean(trained, key):
    env, params = trained.params()
    trials = params.task.validation_trials(n_directions=9)
    trajectory = rollout(env, params, trained.policy(), trials, key)
    _, ax = plot.speed_profiles(trajectory)
    *each, mean = [line.get_ydata() for line in ax.lines]
    assert len(each) == 9
    np.testing.assert_allclose(mean, np.mean(each, axis=0), rtol=1e-6)
    assert ax.lines[-1].get_label() == "mean of 9"


def test_reach_endpoints_draw_starts_goals_and_workspace(key):
    _, params = make()
    trials = jax.vmap(params.task.sample)(jax.random.split(key, 20))
    figure, ax = plot.reach_endpoints(trials, workspace=params.task.workspace)
    lines = labelled(ax)
    np.testing.assert_array_equal(lines["start"], trials.start)
    np.testing.assert_array_equal(lines["goal"], trials.goal)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        *("start", "goal", "workspace")
    ]
    assert len(ax.lines) == 22
    assert plot.reach_endpoints(Trial((0, 0), (1, 1)), ax)[0] is figure


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
    with pytest.raises(ValueError, match="one trial, got a batch of 7; take one with"):
        plot.activity_heatmap(batch)
    silent = take(batch, 0).replace(activity=np.zeros((99, 50)))
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


def test_the_same_units_are_sampled_of_another_network_as_large(batch, trained):
    env, params = trained.params()
    untrained = GRUPolicy(8, 2, 50, key=jax.random.key(1))
    other = rollout(env, params, untrained, params.task.validation_trials(), jax.random.key(2))
    titles = [
        [ax.get_title() for ax in plot.activity_sample_units(trajectory, 4, key=key)[1]]
        for trajectory, key in (
            (batch, jax.random.key(3)),
            (other, jax.random.key(3)),
            (other, jax.random.PRNGKey(3)),
        )
    ]
    assert titles[0] == titles[1] == titles[2]


def test_too_many_units_are_told_how_many_there_are(batch, key):
    with pytest.raises(ValueError, match="n_units must be at most 50, .* got 51"):
        plot.activity_sample_units(batch, 51, key=key)


def test_preferred_directions_are_those_of_the_cosines_that_made_the_activity(batch):
    preferred, depth = np.array([0.5, 2.0, 4.0]), np.array([0.1, 0.3, 0.2])
    cosine = np.cos(directions_of(batch)[:, None] - preferred) * depth
    activity = np.repeat(cosine[:, None], 99, axis=1)
    figure, ax = plot.preferred_directions(batch.replace(activity=activity))
    tips = np.array([line.get_xydata()[-1] for line in ax.lines[::2]])
    np.testing.assert_allclose(tips, np.stack([preferred, depth], axis=-1), rtol=1e-4)
    assert ax.get_ylim()[1] > 0.3
    assert "(0 to 1.15 s)" in ax.get_title()
    assert plot.preferred_directions(batch, ax)[0] is figure


def test_preferred_directions_use_the_steps_in_the_window(batch):
    activity = np.zeros((7, 99, 1))
    activity[:, 40:, 0] = np.cos(directions_of(batch))[:, None]
    trajectory = batch.replace(activity=activity)
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


def test_reaches_are_animated_as_a_small_gif(trained, key, tmp_path):
    env, params = trained.params()
    params = params.replace(max_steps_in_episode=20)
    trajectory = rollout(env, params, trained.policy(), params.task.validation_trials(), key)
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
    uneven = batch.replace(time=batch.time * np.arange(1, 8)[:, None])
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
def test_wrong_trajectories_and_axes_are_named(batch, name, arguments):
    draw = getattr(plot, name)
    with pytest.raises(ValueError, match=r"got pos of shape \(1, 7, 100, 2\)"):
        draw(take(batch, None), **arguments)
    with pytest.raises(TypeError, match="trajectory must be a Trajectory.* got ArrayImpl"):
        draw(batch.activity, **arguments)


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


def test_commands_that_are_not_on_a_plane_are_named(batch):
    with pytest.raises(ValueError, match=r"got command of shape \(7, 99, 3\)"):
        plot.effector_trajectories(batch.replace(command=np.zeros((7, 99, 3))))


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
