"""Interactive figures of reaches: where trials lead, how fast, and by which commands."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float
from plotly.subplots import make_subplots

from fbx_env import checks
from fbx_env.figures import colors, records
from fbx_env.figures.layout import DOTTED, MANY, grid_columns
from fbx_env.figures.panels import Panel, effector_panels, speed_panel
from fbx_env.figures.records import Reaches
from fbx_env.parts.tasks.trial import Trial
from fbx_env.plotly.style import GUIDE, add_panel, equal_aspect, plain, tidy
from fbx_env.rollout import Trajectory


def effector_trajectories(
    trajectory: Trajectory,
    *,
    straight_guides: bool = True,
    workspace: Any = None,
    by: str = "",
) -> go.Figure:
    """Draw reaches in panels: position, velocity and command. Hovering tells the time.

    A command that is a force in the plane has one panel; any other a panel for each of its numbers,
    over time.

    Args:
        trajectory: one trial or many, with any leading axes, such as replicates and trials.
        straight_guides: whether to draw the straight line from each start to its goal.
        workspace: lower left and upper right corner [m] of a frame to draw, ``(2, 2)``.
        by: the name of a number drawn for the trials, as in ``trajectory.drawn``, by which they are
            coloured and grouped; their direction if empty.

    Raises:
        TypeError: if ``trajectory`` is not a ``Trajectory``, or ``straight_guides`` not a bool.
        ValueError: if there are no trials, or the workspace is not two corners.

    Example:
        >>> effector_trajectories(trajectory, workspace=params.task.workspace).show()
    """
    reaches = records.reaches(trajectory, by)
    straight_guides = checks.flag("straight_guides", straight_guides)
    panels = effector_panels(reaches)
    figure, cells, height = _subplots(panels)
    if straight_guides:
        still = ~reaches.has_moving_target
        _add_straight_lines(figure, reaches.start[still], reaches.goal[still], dash="dash")
    for index, (panel, cell) in enumerate(zip(panels, cells, strict=True)):
        add_panel(figure, panel, reaches, legend=index == 1, dots=panel.is_plane, **cell)
    _label_rows(figure, panels, cells)
    add_targets(figure, reaches)
    if workspace is not None:
        _add_workspace(figure, workspace)
    return tidy(figure, height)


def speed_profiles(trajectory: Trajectory, *, by: str = "") -> go.Figure:
    """Draw speed over time, a curve a trial; of more than eight also mean and standard deviation.

    Args:
        trajectory: one trial or many, with any leading axes, such as replicates and trials.
        by: the name of a number drawn for the trials, as in ``trajectory.drawn``, by which they are
            coloured and grouped; their direction if empty.

    Raises:
        TypeError: if ``trajectory`` is not a ``Trajectory``.
        ValueError: if there are no trials, or no such number was drawn.

    Example:
        >>> speed_profiles(trajectory).show()
    """
    reaches = records.reaches(trajectory, by)
    figure = make_subplots(1, 1)
    add_panel(figure, speed_panel(reaches), reaches)
    figure.update_yaxes(rangemode="tozero")
    return tidy(figure, 400)


def reach_endpoints(trials: Trial | Trajectory, *, workspace: Any = None) -> go.Figure:
    """Draw where trials start, where their goals are, and where they ended if that is known.

    Args:
        trials: one trial or many, with any leading axes, or their trajectory.
        workspace: lower left and upper right corner [m] of a frame to draw, ``(2, 2)``.

    Raises:
        TypeError: if ``trials`` is neither a ``Trial`` nor a ``Trajectory``.
        ValueError: if there are no trials, or the workspace is not two corners.

    Example:
        >>> reach_endpoints(trials, workspace=params.task.workspace).show()
    """
    ends = records.endpoints(trials)
    figure = make_subplots(1, 1)
    _add_straight_lines(figure, ends.start, ends.goal, color="#d0d0d0")
    marks = (
        ("start", ends.start, "square", 6, colors.PALETTE[0]),
        ("goal", ends.goal, "circle-open", 9, colors.PALETTE[1]),
        ("end of reach", ends.reached, "x-thin", 6, "#000000"),
    )
    for name, points, symbol, size, color in marks:
        if points is not None:
            edge = {"width": 2, "color": color}
            marker = {"symbol": symbol, "size": size, "color": color, "line": edge}
            _add_marks(figure, points, name, marker)
    if workspace is not None:
        _add_workspace(figure, workspace)
    equal_aspect(figure)
    figure.update_xaxes(title="x [m]")
    figure.update_yaxes(title="y [m]")
    return tidy(figure, 520)


def add_targets(figure: go.Figure, reaches: Reaches) -> None:
    """Add goals as circles in the colours of the trials, starts as squares, paths of targets."""
    for index in np.flatnonzero(reaches.has_moving_target):
        figure.add_scatter(
            x=reaches.target[index, :, 0],
            y=reaches.target[index, :, 1],
            mode="lines",
            line={"color": reaches.colors[index], "width": 1.5, "dash": "dot"},
            name="target",
            showlegend=False,
            hoverinfo="skip",
            row=1,
            col=1,
        )
    n = len(reaches)
    ring = {
        "symbol": "circle-open",
        "size": 14 if n <= MANY else 9 if n <= DOTTED else 6,
        "color": reaches.colors,
        "line": {"width": 2},
    }
    _add_marks(figure, reaches.goal, "goal", ring, showlegend=False)
    square = {"symbol": "square", "size": 6 if n <= DOTTED else 4, "color": "#4d4d4d"}
    _add_marks(figure, reaches.start, "start", square, showlegend=False)


Cell = dict[str, int]


def _subplots(panels: list[Panel]) -> tuple[go.Figure, list[Cell], int]:
    """A figure with planes side by side and what goes over time in rows below.

    Returns:
        The figure, the cell of each panel, and the height in pixels.
    """
    titles = [plain(panel.title) for panel in panels]
    n_courses = sum(not panel.is_plane for panel in panels)
    if not n_courses:
        figure = make_subplots(1, 3, subplot_titles=titles, horizontal_spacing=0.13)
        return figure, [{"row": 1, "col": column} for column in (1, 2, 3)], 400
    columns = grid_columns(n_courses)
    rows, n_cells = math.ceil(n_courses / columns), math.lcm(2, columns)
    cells = [{"row": 1, "col": 1}, {"row": 1, "col": 1 + n_cells // 2}]
    for index in range(n_courses):
        row, column = divmod(index, columns)
        cells.append({"row": 2 + row, "col": 1 + column * (n_cells // columns)})
    specs: list[list[Any]] = [[None] * n_cells for _ in range(1 + rows)]
    for cell in cells:
        span = n_cells // (2 if cell["row"] == 1 else columns)
        specs[cell["row"] - 1][cell["col"] - 1] = {"colspan": span}
    plane, course, gap = 260, 90, 90
    height = plane + rows * (course + gap)
    figure = make_subplots(
        1 + rows,
        n_cells,
        specs=specs,
        subplot_titles=titles,
        row_heights=[plane, *[course] * rows],
        horizontal_spacing=min(0.13, 0.6 / (n_cells - 1)),
        vertical_spacing=gap / height,
    )
    return figure, cells, height + 120


def _label_rows(figure: go.Figure, panels: list[Panel], cells: list[Cell]) -> None:
    """Give what goes over time common axes, labelled once a column and, of one unit, once a row."""
    courses = [cell for panel, cell in zip(panels, cells, strict=True) if not panel.is_plane]
    same_unit = len({panel.y_label for panel in panels[2:]}) == 1
    for index, cell in enumerate(courses):
        figure.update_xaxes(matches="x3", **cell)
        if index + grid_columns(len(courses)) < len(courses):
            figure.update_xaxes(title=None, **cell)
        if same_unit:
            figure.update_yaxes(matches="y3", **cell)
            if cell["col"] > 1:
                figure.update_yaxes(title=None, **cell)


def _add_straight_lines(
    figure: go.Figure,
    start: Float[np.ndarray, "trials 2"],
    goal: Float[np.ndarray, "trials 2"],
    color: str = GUIDE,
    dash: str = "solid",
) -> None:
    """Add lines from starts to goals, as one curve with gaps."""
    gap = np.full_like(start, np.nan)
    x, y = np.stack([start, goal, gap], axis=1).reshape(-1, 2).T
    figure.add_scatter(
        x=x,
        y=y,
        mode="lines",
        line={"color": color, "width": 1, "dash": dash},
        name="straight line",
        showlegend=False,
        hoverinfo="skip",
        row=1,
        col=1,
    )


def _add_marks(
    figure: go.Figure,
    points: Float[np.ndarray, "trials 2"],
    name: str,
    marker: dict[str, Any],
    **trace: Any,
) -> None:
    figure.add_scatter(
        x=points[:, 0],
        y=points[:, 1],
        mode="markers",
        marker=marker,
        name=name,
        hovertemplate=f"{name} (%{{x:.3f}}, %{{y:.3f}}) m<extra></extra>",
        row=1,
        col=1,
        **trace,
    )


def _add_workspace(figure: go.Figure, workspace: Any) -> None:
    """Add a frame around the workspace."""
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
