"""Interactive figures: the counterparts of ``fbx_env.plot``, by the same names, with Plotly.

They take the arguments of their counterparts, but for axes, refuse what these refuse, and return a
``plotly.graph_objects.Figure``. Hover over a curve to read it, click on the legend to hide it.
"""

from __future__ import annotations

import math
from itertools import cycle, product
from typing import Any

import numpy as np
from jaxtyping import Float, PRNGKeyArray

from fbx_env import analysis, checks
from fbx_env.figures import colors, layout, records
from fbx_env.figures.records import LossCurve, LossHistory, Reaches
from fbx_env.parts.tasks.trial import Trial
from fbx_env.rollout import Trajectory

try:
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots
except ImportError as error:
    raise ImportError(
        'fbx_env.plotly needs Plotly; install it with: pip install "fbx-env[plotly]"'
    ) from error

GUIDE = "#999999"
GRID = "#e5e5e5"
NOT_FINITE = "#cccccc"

DASHES = ("solid", "dash", "dot")
"""Of loss terms, when there are more of them than colours."""


def loss_history(history: LossHistory) -> go.Figure:
    """The training loss in total and by term, and the validation loss, over the updates.

    Of replicates the arithmetic mean is drawn, within a band from the lowest to the highest.

    Args:
        history: as for ``fbx_env.plot.loss_history``.

    Raises:
        TypeError: if ``history`` is not a history.
        ValueError: if it has no updates, or a column has the wrong shape.

    Example:
        >>> loss_history(history).show()
    """
    figure = go.Figure()
    total = records.loss_curve(history, "training_total")
    _add_loss(figure, total, "#000000", "total", width=3)
    for term, (dash, color) in zip(history.terms, cycle(product(DASHES, colors.PALETTE))):
        curve = records.loss_curve(history, f"training_{term}")
        _add_loss(figure, curve, color, term.replace("_", " "), dash=dash)
    curve = records.loss_curve(history, "validation_total")
    _add_marks(figure, curve, "total, validation")
    return _tidy_losses(figure, "Loss", total)


def training_and_validation(history: LossHistory) -> go.Figure:
    """The total training loss against the total validation loss.

    Args:
        history: as for ``fbx_env.plot.training_and_validation``.

    Raises:
        TypeError: if ``history`` is not a history.
        ValueError: if it has no updates, or a column has the wrong shape.

    Example:
        >>> training_and_validation(history).show()
    """
    figure = go.Figure()
    training = records.loss_curve(history, "training_total")
    validation = records.loss_curve(history, "validation_total")
    _add_loss(figure, training, colors.PALETTE[0], "training")
    _add_loss(figure, validation, colors.PALETTE[1], "validation", width=3, mode="lines+markers")
    return _tidy_losses(figure, "Total loss", training)


def effector_trajectories(
    trajectory: Trajectory, *, straight_guides: bool = True, workspace: Any = None
) -> go.Figure:
    """Reaches in three panels: position, velocity and command. Hovering tells the time.

    Args:
        trajectory: one trial, or a batch with one leading axis.
        straight_guides: whether to draw the straight way from each start to its goal.
        workspace: lower left and upper right corner [m] of a frame to draw, ``(2, 2)``.

    Raises:
        TypeError: if ``trajectory`` is not a ``Trajectory``, or ``straight_guides`` not a bool.
        ValueError: if it has more than one leading axis or commands that are not on a plane, or the
            workspace is not two corners.

    Example:
        >>> effector_trajectories(trajectory, workspace=params.task.workspace).show()
    """
    reaches = records.reaches_on_plane(trajectory)
    straight_guides = checks.flag("straight_guides", straight_guides)
    figure = make_subplots(
        1, 3, subplot_titles=("Position", "Velocity", "Command"), horizontal_spacing=0.09
    )
    if straight_guides:
        figure.add_trace(_straight_ways(reaches.start, reaches.goal, dash="dash"), 1, 1)
    panels = (
        ("m", reaches.pos, reaches.time),
        ("m/s", reaches.vel, reaches.time),
        ("N", reaches.command, reaches.step_time),
    )
    names = _names(reaches)
    for column, (unit, values, times) in enumerate(panels, start=1):
        for name, color, value, time in zip(
            names, colors.cyclic(reaches.direction), values, times, strict=True
        ):
            figure.add_scatter(
                x=value[:, 0],
                y=value[:, 1],
                customdata=time,
                mode="lines+markers",
                line={"color": color, "width": 2},
                marker={"size": 3},
                name=name,
                legendgroup=name,
                showlegend=column == 1,
                hovertemplate=(
                    f"(%{{x:.3f}}, %{{y:.3f}}) {unit} at %{{customdata:.2f}} s<extra>{name}</extra>"
                ),
                row=1,
                col=column,
            )
        _equal_aspect(figure, column, unit)
    _add_ends(figure, reaches)
    if workspace is not None:
        _add_workspace(figure, workspace)
    return _tidy(figure, 1080, 400)


def speed_profiles(trajectory: Trajectory) -> go.Figure:
    """Speed over time, one curve a trial; of more than eight also the mean, in black.

    Args:
        trajectory: one trial, or a batch with one leading axis.

    Raises:
        TypeError: if ``trajectory`` is not a ``Trajectory``.
        ValueError: if it has more than one leading axis.

    Example:
        >>> speed_profiles(trajectory).show()
    """
    reaches = records.reaches(trajectory)
    figure = go.Figure()
    speed = analysis.speed(reaches.vel)
    _add_courses(figure, reaches, reaches.time, speed)
    if len(reaches) > layout.MANY:
        figure.add_scatter(
            x=reaches.time.mean(axis=0),
            y=speed.mean(axis=0),
            mode="lines",
            line={"color": "#000000", "width": 3},
            name=f"mean of {len(speed)}",
            legendrank=1,
        )
    figure.update_xaxes(title="Time [s]")
    figure.update_yaxes(title="Speed [m/s]", rangemode="tozero")
    return _tidy(figure, 720, 400)


def reach_endpoints(trials: Trial, *, workspace: Any = None) -> go.Figure:
    """Where the trials of a task start, and where their goals are.

    Args:
        trials: one trial, or a batch with one leading axis.
        workspace: lower left and upper right corner [m] of a frame to draw, ``(2, 2)``.

    Raises:
        TypeError: if ``trials`` is not a ``Trial``.
        ValueError: if it has more than one leading axis, or the workspace is not two corners.

    Example:
        >>> reach_endpoints(trials, workspace=params.task.workspace).show()
    """
    start, goal = records.endpoints(trials)
    figure = make_subplots(1, 1)
    figure.add_trace(_straight_ways(start, goal, color="#d0d0d0"))
    marks = (
        ("start", start, {"symbol": "square", "size": 6, "color": colors.PALETTE[0]}),
        ("goal", goal, {"symbol": "circle-open", "size": 9, "color": colors.PALETTE[1]}),
    )
    for name, points, marker in marks:
        figure.add_scatter(
            x=points[:, 0],
            y=points[:, 1],
            mode="markers",
            marker={**marker, "line": {"width": 2, "color": marker["color"]}},
            name=name,
            hovertemplate=f"{name} (%{{x:.3f}}, %{{y:.3f}}) m<extra></extra>",
        )
    if workspace is not None:
        _add_workspace(figure, workspace)
    _equal_aspect(figure, 1, "m")
    return _tidy(figure, 620, 520)


def activity_heatmap(trajectory: Trajectory) -> go.Figure:
    """The activity of all units over time on one trial; white is no activity, grey not finite.

    Args:
        trajectory: one trial.

    Raises:
        TypeError: if ``trajectory`` is not a ``Trajectory``.
        ValueError: if it is a batch; take one trial of it.

    Example:
        >>> activity_heatmap(fbx_env.tree_take(trajectory, 0)).show()
    """
    reach = records.one_reach(trajectory)
    limit = layout.largest(reach.activity)
    heatmap = go.Heatmap(
        # Steps last from one state to the next: edges, one more than columns.
        x=reach.time[0],
        y=np.arange(reach.activity.shape[-1]),
        z=reach.activity[0].T,
        colorscale=colors.DIVERGING,
        zmin=-limit,
        zmax=limit,
        colorbar={"title": {"text": "Activity", "side": "right"}},
        hovertemplate="unit %{y} at %{x:.2f} s: %{z:.3f}<extra></extra>",
    )
    figure = go.Figure(heatmap)
    figure.update_xaxes(title="Time [s]")
    figure.update_yaxes(title="Unit", showgrid=False)
    figure.update_xaxes(showgrid=False)
    return _tidy(figure, 720, 460).update_layout(plot_bgcolor=NOT_FINITE)


def activity_sample_units(trajectory: Trajectory, n_units: int, *, key: PRNGKeyArray) -> go.Figure:
    """The activity of a random sample of units over time, a panel a unit, for all trials.

    The same key samples the same units as in ``fbx_env.plot``.

    Args:
        trajectory: one trial, or a batch with one leading axis.
        n_units: how many units to draw.
        key: of the random choice.

    Raises:
        TypeError: if ``trajectory`` is not a ``Trajectory``, or ``n_units`` not a whole number.
        ValueError: if the trajectory has more than one leading axis, or ``n_units`` is less than 1
            or more than there are.

    Example:
        >>> activity_sample_units(trajectory, 4, key=jax.random.key(3)).show()
    """
    reaches = records.reaches(trajectory)
    units = analysis.sample_units(n_units, reaches.activity.shape[-1], key)
    columns = layout.grid_columns(n_units)
    rows = math.ceil(n_units / columns)
    figure = make_subplots(
        rows,
        columns,
        shared_xaxes="all",
        shared_yaxes="all",
        subplot_titles=[f"Unit {unit}" for unit in units],
        horizontal_spacing=0.05,
        vertical_spacing=min(0.14, 0.5 / rows),
    )
    for index, unit in enumerate(units):
        cell = {"row": index // columns + 1, "col": index % columns + 1}
        values = reaches.activity[..., unit]
        _add_courses(figure, reaches, reaches.step_time, values, legend=index == 0, **cell)
        if index + columns >= n_units:
            figure.update_xaxes(title="Time [s]", showticklabels=True, **cell)
        if index % columns == 0:
            figure.update_yaxes(title="Activity", **cell)
    return _tidy(figure, 320 * columns + 200, 190 * rows + 140)


def preferred_directions(
    trajectory: Trajectory, *, window: tuple[float, float] | None = None
) -> go.Figure:
    """The direction of reach that each unit prefers, on a circle. Hovering tells the unit.

    A unit's length is how far its activity rises there above its average over directions.

    Args:
        trajectory: a batch with reaches in at least three directions.
        window: first and last time [s] of the steps over which activity is averaged; if not given,
            from the start until the mean speed is highest.

    Raises:
        TypeError: if ``trajectory`` is not a ``Trajectory``.
        ValueError: if it has more than one leading axis, reaches in fewer than three directions, or
            activity that is not finite; or if there are no steps in the window.

    Example:
        >>> preferred_directions(trajectory).show()
    """
    reaches = records.reaches(trajectory)
    window = records.speeding_up(reaches) if window is None else window
    tuning = analysis.cosine_tuning(records.mean_activity(reaches, window), reaches.direction)
    degrees = np.rad2deg(tuning.direction)
    figure = go.Figure()
    gaps = np.full_like(degrees, np.nan)
    figure.add_scatterpolar(
        theta=np.stack([degrees, degrees, gaps], axis=-1).ravel(),
        r=np.stack([np.zeros_like(gaps), tuning.depth, gaps], axis=-1).ravel(),
        mode="lines",
        line={"color": GUIDE, "width": 1.5},
        hoverinfo="skip",
    )
    figure.add_scatterpolar(
        theta=degrees,
        r=tuning.depth,
        mode="markers",
        marker={
            "size": 8,
            "color": tuning.explained,
            "colorscale": [[0, "#d9d9d9"], [1, colors.PALETTE[0]]],
            "cmin": 0,
            "cmax": 1,
            "colorbar": {
                "title": {"text": "Explained by direction", "side": "right"},
                "tickformat": ".0%",
                "x": 1.14,
            },
        },
        customdata=np.arange(len(degrees)),
        hovertemplate=(
            "unit %{customdata}: %{theta:.0f}°, rises by %{r:.3g}, "
            "%{marker.color:.0%} explained<extra></extra>"
        ),
    )
    begin, end = (round(time, 2) for time in window)
    figure.update_layout(
        title={
            "text": f"Rise of activity in the preferred direction<br>({begin:g} to {end:g} s)",
            "x": 0.4,
            "font": {"size": 14},
        },
        polar={
            "bgcolor": "white",
            "angularaxis": {"gridcolor": GRID, "linecolor": GUIDE, "ticksuffix": "°"},
            "radialaxis": {"gridcolor": GRID, "nticks": 4},
        },
        showlegend=False,
    )
    return _tidy(figure, 640, 560).update_layout(margin_t=110)


def principal_components(trajectory: Trajectory) -> go.Figure:
    """The activity of all units along the directions in which it varies most, in four panels.

    Args:
        trajectory: one trial, or a batch with one leading axis.

    Raises:
        TypeError: if ``trajectory`` is not a ``Trajectory``.
        ValueError: if it has more than one leading axis, fewer than two units or steps, or activity
            that is not finite.

    Example:
        >>> principal_components(trajectory).show()
    """
    reaches = records.reaches_of_units(trajectory)
    components = analysis.principal_components(reaches.activity)
    figure = make_subplots(2, 2, horizontal_spacing=0.13, vertical_spacing=0.15)
    first, second = components.scores[..., 0], components.scores[..., 1]
    _add_courses(figure, reaches, first, second, row=1, col=1)
    explained = components.explained[:10]
    number = 1 + np.arange(len(explained))
    figure.add_bar(
        x=number, y=explained, marker_color=colors.PALETTE[0], name="each component", row=1, col=2
    )
    figure.add_scatter(
        x=number, y=explained.cumsum(), line_color="#000000", name="together", row=1, col=2
    )
    for column, values in ((1, first), (2, second)):
        cell = {"row": 2, "col": column}
        _add_courses(figure, reaches, reaches.step_time, values, legend=False, **cell)
        figure.update_xaxes(title="Time [s]", **cell)
        figure.update_yaxes(title=f"Component {column}", **cell)
    figure.update_xaxes(title="Component 1", row=1, col=1)
    figure.update_yaxes(title="Component 2", scaleanchor="x", row=1, col=1)
    figure.update_xaxes(title="Component", dtick=1, row=1, col=2)
    figure.update_yaxes(title="Variance explained", tickformat=".0%", row=1, col=2)
    return _tidy(figure, 960, 700)


def animate_reaches(trajectory: Trajectory, *, playback: float = 1.0) -> go.Figure:
    """Reaches in motion, with a button that plays them.

    Args:
        trajectory: one trial, or a batch with one leading axis.
        playback: how fast to play, as a multiple of real time.

    Raises:
        TypeError: if ``trajectory`` is not a ``Trajectory``, or ``playback`` not a number.
        ValueError: if it has more than one leading axis or trials of different durations, or
            ``playback`` is not greater than 0.

    Example:
        >>> animate_reaches(trajectory).show()
    """
    reaches = records.simultaneous_reaches(trajectory)
    playback = float(checks.real("playback", playback, above=0))
    figure = make_subplots(1, 1)
    _add_ends(figure, reaches)
    n_still = len(figure.data)
    shades = colors.cyclic(reaches.direction)

    def trails(step: int) -> list[go.Scatter]:
        return [
            go.Scatter(
                x=pos[: step + 1, 0],
                y=pos[: step + 1, 1],
                mode="lines+markers",
                line={"color": color, "width": 2},
                marker={"size": [0] * step + [9], "opacity": 1},
                name=name,
            )
            for pos, color, name in zip(reaches.pos, shades, _names(reaches), strict=True)
        ]

    figure.add_traces(trails(0))
    moving = list(range(n_still, n_still + len(reaches)))
    time = reaches.time[0]
    names = [f"{seconds:.2f}" for seconds in time]
    figure.frames = [
        go.Frame(data=trails(step), traces=moving, name=name) for step, name in enumerate(names)
    ]
    frame = {"duration": 1000 * float(time[1] - time[0]) / playback, "redraw": False}
    timing = {"frame": frame, "transition": {"duration": 0}}
    slide = {**timing, "mode": "immediate"}
    figure.update_layout(
        updatemenus=[
            {
                "type": "buttons",
                "buttons": [{"label": "Play", "method": "animate", "args": [None, timing]}],
                "x": 0,
                "xanchor": "right",
                "y": -0.15,
                "yanchor": "top",
                "pad": {"r": 12},
            }
        ],
        sliders=[
            {
                "steps": [
                    {"label": name, "method": "animate", "args": [[name], slide]} for name in names
                ],
                "currentvalue": {"prefix": "Time ", "suffix": " s", "font": {"color": "#000000"}},
                "y": -0.12,
                "ticklen": 0,
                "minorticklen": 0,
                # A label a step would be a blur: only the current one is shown.
                "font": {"color": colors.translucent("#000000", 0)},
            }
        ],
    )
    points = np.concatenate([reaches.pos.reshape(-1, 2), reaches.start, reaches.goal])
    low, high = layout.square_around(points)
    _equal_aspect(figure, 1, "m")
    figure.update_xaxes(range=[low[0], high[0]])
    figure.update_yaxes(range=[low[1], high[1]])
    return _tidy(figure, 620, 640)


def _add_loss(
    figure: go.Figure,
    curve: LossCurve,
    color: str,
    name: str,
    width: float = 1.5,
    mode: str = "lines",
    dash: str = "solid",
) -> None:
    """The mean as a line, a single update as a point; the band if there are replicates."""
    if curve.n_replicates > 1:
        figure.add_scatter(
            x=np.concatenate([curve.update, curve.update[::-1]]),
            y=np.concatenate([curve.low, curve.high[::-1]]),
            mode="lines",
            line={"width": 0},
            fill="toself",
            fillcolor=colors.translucent(color, 0.2),
            legendgroup=name,
            showlegend=False,
            hoverinfo="skip",
        )
    figure.add_scatter(
        x=curve.update,
        y=curve.mean,
        mode="lines+markers" if len(curve.update) == 1 else mode,
        line={"color": color, "width": width, "dash": dash},
        name=name,
        legendgroup=name,
        hovertemplate=f"%{{y:.3g}} at update %{{x}}<extra>{name}</extra>",
    )


def _add_marks(figure: go.Figure, curve: LossCurve, name: str) -> None:
    """Hollow marks at the mean, with a bar from lowest to highest if there are replicates."""
    bars = None
    if curve.n_replicates > 1:
        bars = {
            "type": "data",
            "symmetric": False,
            "array": curve.high - curve.mean,
            "arrayminus": curve.mean - curve.low,
            "width": 0,
            "color": "#000000",
        }
    figure.add_scatter(
        x=curve.update,
        y=curve.mean,
        error_y=bars,
        mode="markers",
        marker={"size": 8, "color": "white", "line": {"color": "#000000", "width": 1.5}},
        line={"color": "#000000"},
        name=name,
        hovertemplate=f"%{{y:.3g}} at update %{{x}}<extra>{name}</extra>",
    )


def _tidy_losses(figure: go.Figure, title: str, curve: LossCurve) -> go.Figure:
    powers = {"type": "log", "dtick": 1, "exponentformat": "power"}
    figure.update_xaxes(title="Update", **powers)
    figure.update_yaxes(title=title, **powers)
    meaning = layout.describe_band(curve.n_replicates)
    if meaning is not None:
        figure.update_layout(legend_title_text=meaning.replace("\n", "<br>"))
    return _tidy(figure, 760, 460)


def _add_courses(
    figure: go.Figure,
    reaches: Reaches,
    x: Float[np.ndarray, "trials n"],
    y: Float[np.ndarray, "trials n"],
    *,
    legend: bool = True,
    **cell: int,
) -> None:
    """A curve a trial, in its colour; the legend hides or shows a trial in all panels."""
    width = 2 if len(reaches) <= layout.MANY else 1
    for name, color, along, up in zip(
        _names(reaches), colors.cyclic(reaches.direction), x, y, strict=True
    ):
        figure.add_scatter(
            x=along,
            y=up,
            mode="lines",
            line={"color": color, "width": width},
            name=name,
            legendgroup=name,
            showlegend=legend,
            hovertemplate=f"(%{{x:.3g}}, %{{y:.3g}})<extra>{name}</extra>",
            **cell,
        )


def _names(reaches: Reaches) -> list[str]:
    """Number of each trial, and the direction of its reach."""
    degrees = np.rad2deg(reaches.direction)
    return [f"trial {index}, {angle:.0f}°" for index, angle in enumerate(degrees)]


def _add_ends(figure: go.Figure, reaches: Reaches) -> None:
    """Starts as small squares, goals as circles in the colours of the trials."""
    figure.add_scatter(
        x=reaches.goal[:, 0],
        y=reaches.goal[:, 1],
        mode="markers",
        marker={
            "symbol": "circle-open",
            "size": 14 if len(reaches) <= layout.MANY else 9,
            "color": colors.cyclic(reaches.direction),
            "line": {"width": 2},
        },
        name="goal",
        showlegend=False,
        hovertemplate="goal (%{x:.3f}, %{y:.3f}) m<extra></extra>",
        row=1,
        col=1,
    )
    figure.add_scatter(
        x=reaches.start[:, 0],
        y=reaches.start[:, 1],
        mode="markers",
        marker={"symbol": "square", "size": 6, "color": "#4d4d4d"},
        name="start",
        showlegend=False,
        hovertemplate="start (%{x:.3f}, %{y:.3f}) m<extra></extra>",
        row=1,
        col=1,
    )


def _straight_ways(
    start: Float[np.ndarray, "trials 2"],
    goal: Float[np.ndarray, "trials 2"],
    color: str = GUIDE,
    dash: str = "solid",
) -> go.Scatter:
    """Lines from starts to goals, as one curve with gaps."""
    gap = np.full_like(start, np.nan)
    x, y = np.stack([start, goal, gap], axis=1).reshape(-1, 2).T
    return go.Scatter(
        x=x,
        y=y,
        mode="lines",
        line={"color": color, "width": 1, "dash": dash},
        name="straight way",
        showlegend=False,
        hoverinfo="skip",
    )


def _add_workspace(figure: go.Figure, workspace: Any) -> None:
    """A frame around the workspace."""
    (left, bottom), (right, top) = records.corners(workspace)
    figure.add_scatter(
        x=[left, right, right, left, left],
        y=[bottom, bottom, top, top, bottom],
        mode="lines",
        line={"color": "#666666", "width": 1},
        name="workspace",
        hoverinfo="skip",
        row=1,
        col=1,
    )


def _equal_aspect(figure: go.Figure, column: int, unit: str) -> None:
    """Axes of a plane, on which a metre is as long up as across."""
    axis = "x" if column == 1 else f"x{column}"
    figure.update_xaxes(title=f"x [{unit}]", row=1, col=column)
    figure.update_yaxes(title=f"y [{unit}]", scaleanchor=axis, row=1, col=column)


def _tidy(figure: go.Figure, width: int, height: int) -> go.Figure:
    """A white page with only the lines that help reading; size in pixels."""
    axes = {"gridcolor": GRID, "zeroline": False, "linecolor": "#333333", "ticks": "outside"}
    figure.update_xaxes(**axes)
    figure.update_yaxes(**axes, title_standoff=8)
    return figure.update_layout(
        width=width,
        height=height,
        plot_bgcolor="white",
        paper_bgcolor="white",
        font={"size": 13, "color": "#000000"},
        margin={"l": 70, "r": 30, "t": 60, "b": 60},
    )
