"""Figures of reaches: where trials lead, how fast, and by which commands."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.quiver import Quiver

from fbx_env import checks
from fbx_env.figures import colors, records
from fbx_env.figures.colors import LOAD
from fbx_env.figures.layout import DOTTED, MANY, grid_columns, opacity
from fbx_env.figures.panels import Panel, effector_panels, speed_panel
from fbx_env.figures.records import Reaches
from fbx_env.parts.tasks.trial import Trial
from fbx_env.plot import style
from fbx_env.plot.curves import draw_panel, means_legend, means_legend_below
from fbx_env.rollout import Trajectory

N_ARROWS = 15
"""Of loads along each path."""


def effector_trajectories(
    trajectory: Trajectory,
    axes: Sequence[Axes] | np.ndarray | None = None,
    *,
    straight_guides: bool = True,
    workspace: Any = None,
    by: str = "",
) -> tuple[Figure, np.ndarray]:
    """Draw reaches in panels: position, velocity and command.

    A command that is a force in the plane has one panel, like position and velocity. Any other has
    a panel for each of its numbers, over time. A trial's colour is the direction from its start to
    its goal, here and in every other figure. Dots along a curve are a time step apart. Starts are
    small squares and goals are circles; the path of a target that moves is dotted. Arrows along the
    paths of up to eight trials are loads. Trials of more than eight are transparent, under the
    means of those that are alike.

    Args:
        trajectory: one trial or many, with any leading axes, such as replicates and trials.
        axes: to draw into, three for a force in the plane, else two more than the command has
            numbers; a new figure if not given.
        straight_guides: whether to draw the straight line from each start to its goal.
        workspace: lower left and upper right corner [m] of a frame to draw, ``(2, 2)``.
        by: the name of a number drawn for the trials, as in ``trajectory.drawn``, by which they are
            coloured and grouped; their direction if empty.

    Returns:
        Figure and axes.

    Raises:
        TypeError: if ``trajectory`` is not a ``Trajectory``, or ``straight_guides`` not a bool.
        ValueError: if there are no trials, too few or too many axes, the workspace is not two
            corners, or no such number was drawn.

    Example:
        >>> trajectory = rollout(env, params, policy, params.task.validation_trials(), key)
        >>> figure, axes = effector_trajectories(trajectory, workspace=params.task.workspace)
    """
    reaches = records.reaches(trajectory, by)
    straight_guides = checks.flag("straight_guides", straight_guides)
    frame = None if workspace is None else records.corners(workspace)
    panels = effector_panels(reaches)
    flat = style.given_axes(_new_axes(panels) if axes is None else axes, len(panels))
    for ax, panel in zip(flat, panels, strict=True):
        draw_panel(ax, panel, reaches, dots=panel.is_plane)
    draw_ends(flat[0], reaches)
    draw_moving_targets(flat[0], reaches)
    if straight_guides:
        draw_straight_lines(flat[0], reaches)
    draw_loads(flat[0], reaches)
    if frame is not None:
        draw_workspace(flat[0], frame)
    if by:
        style.color_key(flat[min(2, len(flat) - 1)], reaches)
    if axes is None:
        _label_rows(flat, panels)
        means_legend_below(style.figure_of(flat[0]), panels[-1])
    return style.figure_of(flat[0]), flat


def speed_profiles(
    trajectory: Trajectory, ax: Axes | None = None, *, by: str = ""
) -> tuple[Figure, Axes]:
    """Draw speed over time, a curve a trial.

    More than eight trials are transparent, under mean and standard deviation: for each direction if
    several trials go the same way, else of all.

    Args:
        trajectory: one trial or many, with any leading axes, such as replicates and trials.
        ax: where to draw; a new figure if not given.
        by: the name of a number drawn for the trials, as in ``trajectory.drawn``, by which they are
            coloured and grouped; their direction if empty.

    Returns:
        Figure and axes.

    Raises:
        TypeError: if ``trajectory`` is not a ``Trajectory``.
        ValueError: if there are no trials, or no such number was drawn.

    Example:
        >>> figure, ax = speed_profiles(trajectory)
    """
    reaches = records.reaches(trajectory, by)
    ax = style.one_axes(ax, (6.4, 3.4))
    panel = speed_panel(reaches)
    draw_panel(ax, panel, reaches)
    ax.set_ylim(bottom=0)
    key_height = style.color_key(ax, reaches)
    means_legend(ax, panel, key_height + 0.1)
    return style.figure_of(ax), ax


def reach_endpoints(
    trials: Trial | Trajectory, ax: Axes | None = None, *, workspace: Any = None
) -> tuple[Figure, Axes]:
    """Draw where trials start, where their goals are, and where they ended if that is known.

    Args:
        trials: one trial or many, with any leading axes, or their trajectory.
        ax: where to draw; a new figure if not given.
        workspace: lower left and upper right corner [m] of a frame to draw, ``(2, 2)``.

    Returns:
        Figure and axes.

    Raises:
        TypeError: if ``trials`` is neither a ``Trial`` nor a ``Trajectory``.
        ValueError: if there are no trials, or the workspace is not two corners.

    Example:
        >>> trials = jax.vmap(params.task.sample)(jax.random.split(key, 100))
        >>> figure, ax = reach_endpoints(trials, workspace=params.task.workspace)
    """
    ends = records.endpoints(trials)
    frame = None if workspace is None else records.corners(workspace)
    ax = style.one_axes(ax, (5.6, 4.4))
    for line in np.stack([ends.start, ends.goal], axis=1):
        ax.plot(*line.T, color="0.82", lw=style.points(0.7), zorder=1)
    (start, goal), (small, large) = colors.PALETTE[:2], map(style.points, (5, 6))
    ring: dict[str, Any] = {"mfc": "none", "mec": goal, "mew": style.points(1.4)}
    ax.plot(*ends.start.T, "s", ms=small, mew=0, color=start, label="start", zorder=3)
    ax.plot(*ends.goal.T, "o", ms=large, label="goal", zorder=3, **ring)
    if ends.reached is not None:
        ax.plot(*ends.reached.T, "x", ms=small, color="black", label="end of reach", zorder=4)
    if frame is not None:
        draw_workspace(ax, frame)
    style.tidy(ax, xlabel="x [m]", ylabel="y [m]")
    style.equal_aspect(ax)
    style.legend_beside(ax)
    return style.figure_of(ax), ax


def draw_ends(ax: Axes, reaches: Reaches) -> None:
    """Draw starts as small squares, goals as circles in the colours of the trials."""
    n = len(reaches)
    size, square, edge = (10.0, 5.5, 1.5) if n <= MANY else (7.0, 4.0, 1.5)
    if n > DOTTED:
        size, square, edge = 4.0, 2.5, 1.0
    size, square, edge = map(style.points, (size, square, edge))
    for point, color in zip(reaches.goal, reaches.colors, strict=True):
        ax.plot(*point, "o", ms=size, mfc="none", mec=color, mew=edge, zorder=3, label="goal")
    ax.plot(*reaches.start.T, "s", ms=square, mew=0, color="0.3", zorder=3, label="start")


def draw_moving_targets(ax: Axes, reaches: Reaches) -> None:
    """Draw the paths of targets that move, dotted, in the colours of the trials."""
    for index in np.flatnonzero(reaches.has_moving_target):
        ax.plot(
            *reaches.target[index].T,
            color=reaches.colors[index],
            ls=":",
            lw=style.points(1.2),
            alpha=opacity(len(reaches)),
            zorder=1.5,
            label="target",
        )


def draw_loads(ax: Axes, reaches: Reaches) -> None:
    """Draw the forces of the world along the paths of a few trials, and say how large they are."""
    if len(reaches) > MANY or not reaches.load_per_metre:
        return
    n_steps = reaches.load.shape[1]
    steps = np.unique(np.linspace(0, n_steps - 1, min(n_steps, N_ARROWS)).astype(int))
    arrows(ax, reaches, steps)
    longest = np.nanmax(np.linalg.norm(reaches.load, axis=-1))
    ax.set_xlabel(f"{ax.get_xlabel()}\narrows: load, up to {longest:.2g} N")


def arrows(ax: Axes, reaches: Reaches, steps: Int[np.ndarray, " shown"]) -> Quiver:
    """Add arrows of the loads at some steps of all trials, to scale."""
    return ax.quiver(
        *np.moveaxis(reaches.pos[:, steps].reshape(-1, 2), -1, 0),
        *np.moveaxis(reaches.load[:, steps].reshape(-1, 2), -1, 0),
        color=LOAD,
        angles="xy",
        scale_units="xy",
        scale=reaches.load_per_metre or 1.0,
        width=0.006,
        zorder=2.8,
    )


def draw_straight_lines(ax: Axes, reaches: Reaches) -> None:
    """Draw dashed lines from starts to goals, but for targets that move."""
    width = style.points(0.9 if len(reaches) <= MANY else 0.5)
    lines = np.stack([reaches.start, reaches.goal], axis=1)[~reaches.has_moving_target]
    for line in lines:
        ax.plot(*line.T, color=style.GUIDE, ls=(0, (4, 3)), lw=width, zorder=1)


def draw_workspace(ax: Axes, corners: Float[np.ndarray, "2 2"]) -> None:
    """Draw a frame around the workspace."""
    low, high = corners
    ax.add_patch(
        Rectangle(tuple(low), *(high - low), fill=False, ec="0.4", lw=1, label="workspace")
    )


def _new_axes(panels: list[Panel]) -> np.ndarray:
    """Axes of a new figure: planes side by side, and what goes over time in rows below."""
    n_courses = sum(not panel.is_plane for panel in panels)
    if not n_courses:
        return style.new_axes(1, 3, (9.6, 3.4))[1]
    columns = grid_columns(n_courses)
    rows = math.ceil(n_courses / columns)
    figure = style.new_figure(7.4, 3.7 + 1.4 * rows)
    halves = figure.add_gridspec(2, 1, height_ratios=[2.3, rows])
    upper, grid = halves[0].subgridspec(1, 2), halves[1].subgridspec(rows, columns)
    axes = [figure.add_subplot(upper[0]), figure.add_subplot(upper[1])]
    same_unit = len({panel.y_label for panel in panels[2:]}) == 1
    for index in range(n_courses):
        first = axes[2] if index else None
        axes.append(
            figure.add_subplot(grid[index], sharex=first, sharey=first if same_unit else None)
        )
    return np.array(axes, dtype=object)


def _label_rows(axes: np.ndarray, panels: list[Panel]) -> None:
    """Label times once a column, and commands of one unit once a row."""
    columns = grid_columns(max(1, len(panels) - 2))
    same_unit = len({panel.y_label for panel in panels[2:]}) == 1
    for index, (ax, panel) in enumerate(zip(axes[2:], panels[2:], strict=True)):
        if panel.is_plane:
            continue
        if index + columns < len(panels) - 2:
            ax.set_xlabel("")
            ax.tick_params(labelbottom=False)
        if same_unit and index % columns:
            ax.set_ylabel("")
            ax.tick_params(labelleft=False)
