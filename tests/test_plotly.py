"""Interactive figures show the same numbers as their counterparts."""

import inspect
import subprocess
import sys

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pytest
from trajectories import Circling, History, Joints, Lever, Muscles, replicates, run, take

from fbx_env import SimpleReaches, analysis, plot, plotly
from fbx_env.figures import colors

MATPLOTLIB_ONLY = ("paper_style", "save_figure")
NAMES = [
    name
    for name in vars(plotly)
    if inspect.isfunction(getattr(plotly, name)) and name not in MATPLOTLIB_ONLY
]


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture
def batch():
    return run()


@pytest.fixture
def history():
    total = np.array([4.0, 3.0, 2.0])
    return History(
        {
            "iteration": np.arange(3),
            "training_final_velocity": total / 2,
            "training_total": total,
            "validation_total": np.array([1.0, np.nan, 0.5]),
        }
    )


def named(figure, name):
    (trace,) = [trace for trace in figure.data if trace.name == name]
    return trace


def of_trials(figure):
    """The curves of trials, in order of panels."""
    return [trace for trace in figure.data if (trace.name or "").startswith("trial")]


def points(trace):
    return np.stack([trace.x, trace.y], axis=-1)


def test_every_figure_has_the_arguments_of_its_counterpart():
    assert len(NAMES) == 10
    own_of_matplotlib = {"ax", "axes", "path", "frames_per_second", "plant"}
    for name in NAMES:
        expected = inspect.signature(getattr(plot, name)).parameters
        given = inspect.signature(getattr(plotly, name)).parameters
        assert list(given) == [name for name in expected if name not in own_of_matplotlib]


def test_without_plotly_the_message_says_what_to_install():
    code = (
        "import sys; sys.modules['plotly'] = None\n"
        "try:\n    import fbx_env.plotly\n"
        "except ImportError as error:\n    print(error)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], check=True, timeout=120, capture_output=True, text=True
    )
    assert 'pip install "fbx-env[plotly]"' in result.stdout


def test_loss_history_draws_every_term_and_the_validation(history):
    figure = plotly.loss_history(history)
    np.testing.assert_array_equal(points(named(figure, "total")), [[1, 4], [2, 3], [3, 2]])
    np.testing.assert_array_equal(named(figure, "final velocity").y, [2, 1.5, 1])
    np.testing.assert_array_equal(points(named(figure, "total, validation")), [[1, 1], [3, 0.5]])
    assert (figure.layout.xaxis.type, figure.layout.yaxis.type) == ("log", "log")
    assert len(figure.data) == 3


def test_loss_history_of_replicates_has_a_band(history):
    columns = {
        name: values if name == "iteration" else values[:, None] * np.array([0.5, 1.5])
        for name, values in history.columns.items()
    }
    figure = plotly.loss_history(History(columns))
    np.testing.assert_array_equal(named(figure, "total").y, [4, 3, 2])
    low, high = figure.data[:2]
    np.testing.assert_array_equal([low.y, high.y], [[2, 1.5, 1], [6, 4.5, 3]])
    assert high.fill == "tonexty"
    bars = named(figure, "total, validation").error_y
    np.testing.assert_array_equal(bars.array, [0.5, 0.25])
    assert "mean of 2 replicates" in figure.layout.legend.title.text


def test_training_and_validation_are_drawn(history):
    figure = plotly.training_and_validation(history)
    np.testing.assert_array_equal(named(figure, "training").y, [4, 3, 2])
    np.testing.assert_array_equal(points(named(figure, "validation")), [[1, 1], [3, 0.5]])


def test_effector_trajectories_draw_reaches_goals_and_units(batch):
    figure = plotly.effector_trajectories(batch, workspace=((-1, -1), (1, 2)))
    curves = of_trials(figure)
    for panel, values in enumerate((batch.pos, batch.vel, batch.command)):
        drawn = [points(trace) for trace in curves[7 * panel : 7 * panel + 7]]
        np.testing.assert_array_equal(drawn, values)
    shades = colors.cyclic(analysis.directions(batch.trial.start, batch.trial.goal))
    assert [trace.line.color for trace in curves] == 3 * shades
    np.testing.assert_array_equal(points(named(figure, "goal")), batch.trial.goal)
    np.testing.assert_array_equal(points(named(figure, "start")), batch.trial.start)
    frame = points(named(figure, "workspace"))
    assert (frame.min(0).tolist(), frame.max(0).tolist()) == ([-1, -1], [1, 2])
    guides = points(named(figure, "straight line")).reshape(7, 3, 2)
    np.testing.assert_array_equal(guides[:, 1], batch.trial.goal)
    assert figure.layout.xaxis2.title.text == "x [m/s]"
    assert figure.layout.yaxis3.scaleanchor == "x3"
    names = {
        trace.name for trace in plotly.effector_trajectories(batch, straight_guides=False).data
    }
    assert not names & {"straight line", "workspace"}


def test_speed_profiles_draw_speed(batch):
    curves = of_trials(plotly.speed_profiles(batch))
    speed = np.linalg.norm(batch.vel, axis=-1)
    np.testing.assert_allclose([trace.y for trace in curves], speed, rtol=1e-6)
    np.testing.assert_array_equal(curves[0].x, batch.time[0])


def test_many_trials_have_means_that_the_legend_lists():
    several = replicates()
    figure = plotly.speed_profiles(several)
    speed = np.linalg.norm(several.vel, axis=-1)
    listed = [trace for trace in figure.data if trace.showlegend]
    np.testing.assert_allclose([trace.y for trace in listed], speed.mean(0), rtol=1e-5)
    assert figure.layout.legend.title.text == "mean ± SD, n = 3<br>by direction"
    curves = of_trials(figure)
    assert [trace.legendgroup for trace in curves[:7]] == [trace.name for trace in listed]
    assert curves[0].opacity < 1
    low, high = [trace for trace in figure.data if trace.legendgroup == "51°"][3:5]
    np.testing.assert_allclose(high.y - low.y, 2 * speed.std(0, ddof=1)[1], atol=1e-5)
    nine = plotly.speed_profiles(run(task=SimpleReaches(eval_n_directions=9)))
    np.testing.assert_allclose(
        named(nine, "all trials").y, np.mean([trace.y for trace in of_trials(nine)], 0), rtol=1e-6
    )


@pytest.mark.parametrize("plant", [Muscles, Joints, Lever])
def test_commands_that_are_no_force_are_drawn_over_time_with_names_and_units(plant):
    trajectory = run(plant=plant())
    figure = plotly.effector_trajectories(trajectory)
    curves = of_trials(figure)[14:]
    command = np.moveaxis(np.asarray(trajectory.command), -1, 0)
    np.testing.assert_array_equal([trace.y for trace in curves], command.reshape(-1, 99))
    titles = [annotation.text for annotation in figure.layout.annotations]
    assert titles == [ax.get_title() for ax in plot.effector_trajectories(trajectory)[1]]
    unit = trajectory.controls[0][1]
    assert figure.layout.yaxis3.title.text == (f"Command [{unit}]" if unit else "Command")


def test_no_figure_has_a_width_of_its_own(batch):
    figures = (
        plotly.effector_trajectories(batch),
        plotly.effector_trajectories(run(plant=Muscles())),
        plotly.speed_profiles(batch),
        plotly.activity_heatmap(take(batch, 0)),
        plotly.animate_reaches(batch),
    )
    assert [figure.layout.width for figure in figures] == [None] * 5
    assert figures[3].data[0].colorbar.title.side == "top"


def test_moving_targets_are_drawn():
    moving = run(task=Circling())
    figure = plotly.animate_reaches(moving)
    paths = [points(trace) for trace in figure.data if trace.name == "target"][:4]
    np.testing.assert_array_equal(paths, moving.target.pos)
    crosses = figure.frames[9].data[-1]
    np.testing.assert_array_equal(points(crosses), moving.target.pos[:, 8])
    guides = named(plotly.effector_trajectories(moving), "straight line")
    assert len(guides.x) == 0


def test_names_are_shown_as_they_are():
    columns = {"training_<b>$a$": np.ones(2), "training_total": np.ones(2)}
    history = History({"iteration": np.arange(2), "validation_total": np.ones(2), **columns})
    named(plotly.loss_history(history), "&lt;b&gt;&#36;a&#36;")


def test_reach_endpoints_draw_starts_goals_and_workspace(batch, key):
    task = SimpleReaches()
    trials = jax.vmap(task.sample)(jax.random.split(key, 20))
    figure = plotly.reach_endpoints(trials, workspace=task.workspace)
    np.testing.assert_array_equal(points(named(figure, "start")), trials.start)
    np.testing.assert_array_equal(points(named(figure, "goal")), trials.goal)
    assert named(figure, "workspace").x == (-1, 1, 1, -1, -1)
    ends = named(plotly.reach_endpoints(batch), "end of reach")
    np.testing.assert_array_equal(points(ends), batch.pos[:, -1])


def test_activity_heatmap_shows_units_over_time_with_white_for_none(batch):
    one = take(batch, 1)
    figure = plotly.activity_heatmap(one)
    (heatmap,) = figure.data
    np.testing.assert_array_equal(heatmap.z, one.activity.T)
    assert len(heatmap.x) == heatmap.z.shape[1] + 1
    assert heatmap.zmin == -heatmap.zmax == -np.abs(one.activity).max()
    with pytest.raises(ValueError, match=r"one trial, got a batch of shape \(7,\)"):
        plotly.activity_heatmap(batch)


@pytest.mark.parametrize("n_units", [1, 5])
def test_sampled_units_are_those_of_the_counterpart(batch, n_units, key):
    figure = plotly.activity_sample_units(batch, n_units, key=key)
    _, axes = plot.activity_sample_units(batch, n_units, key=key)
    titles = [annotation.text for annotation in figure.layout.annotations]
    assert titles == [ax.get_title() for ax in axes]
    drawn = np.reshape([trace.y for trace in of_trials(figure)], (n_units, 7, 99))
    expected = [[line.get_ydata() for line in ax.lines] for ax in axes]
    np.testing.assert_array_equal(drawn, expected)
    assert sum(trace.showlegend for trace in of_trials(figure)) == 7
    with pytest.raises(ValueError, match="n_units must be at most 50, .* got 51"):
        plotly.activity_sample_units(batch, 51, key=key)
    chosen = plotly.activity_sample_units(batch, units=[7, 3])
    assert [annotation.text for annotation in chosen.layout.annotations] == ["Unit 7", "Unit 3"]


def test_preferred_directions_are_those_of_the_counterpart(batch):
    for window in (None, (0.5, 1.0)):
        lines, marks = plotly.preferred_directions(batch, window=window).data
        _, ax = plot.preferred_directions(batch, window=window)
        tips = np.array([line.get_xydata()[-1] for line in ax.lines[::2]])
        np.testing.assert_allclose(np.deg2rad(marks.theta), tips[:, 0])
        np.testing.assert_allclose(marks.r, tips[:, 1])
        np.testing.assert_allclose(lines.r[1::3], tips[:, 1])
    with pytest.raises(ValueError, match="in at least 3 directions, got 1"):
        plotly.preferred_directions(take(batch, 0))


def test_principal_components_are_those_of_the_analysis(batch):
    figure = plotly.principal_components(batch)
    found = analysis.principal_components(np.asarray(batch.activity))
    curves = of_trials(figure)
    np.testing.assert_array_equal([points(trace) for trace in curves[:7]], found.scores[..., :2])
    np.testing.assert_array_equal([trace.y for trace in curves[7:14]], found.scores[..., 0])
    np.testing.assert_array_equal([trace.y for trace in curves[14:]], found.scores[..., 1])
    np.testing.assert_array_equal(named(figure, "each").y, found.explained[:10])


def test_an_animation_steps_through_the_trial(batch):
    figure = plotly.animate_reaches(batch, playback=2)
    assert len(figure.frames) == 100
    frame = figure.frames[8]
    np.testing.assert_array_equal([points(trace) for trace in frame.data], batch.pos[:, :9])
    moved = [figure.data[index].name for index in frame.traces]
    assert moved == [trace.name for trace in of_trials(figure)]
    (button,) = figure.layout.updatemenus[0].buttons
    assert button.args[1]["frame"]["duration"] == pytest.approx(25)
    assert [step.label for step in figure.layout.sliders[0].steps[:2]] == ["0.00", "0.05"]
    uneven = batch.replace(time=batch.time * jnp.arange(1.0, 8.0)[:, None])
    with pytest.raises(ValueError, match="trials of the same times"):
        plotly.animate_reaches(uneven)
    with pytest.raises(ValueError, match="playback must be finite and greater than 0, got 0"):
        plotly.animate_reaches(batch, playback=0)


@pytest.mark.parametrize(
    ("name", "arguments"),
    {
        "effector_trajectories": {},
        "speed_profiles": {},
        "activity_heatmap": {},
        "activity_sample_units": {"n_units": 2, "key": jax.random.key(0)},
        "preferred_directions": {},
        "principal_components": {},
        "animate_reaches": {},
    }.items(),
)
def test_wrong_trajectories_are_named(batch, name, arguments):
    draw = getattr(plotly, name)
    with pytest.raises(ValueError, match=r"got pos of shape \(0, 100, 2\)"):
        draw(take(batch, slice(0, 0)), **arguments)
    with pytest.raises(TypeError, match="trajectory must be a Trajectory.* got ArrayImpl"):
        draw(batch.activity, **arguments)
