"""Figures of reaches: where trials lead, and how fast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from fbx_env import analysis, checks, colors, records
from fbx_env.layout import MANY
from fbx_env.plot import style
from fbx_env.rollout import Trajectory
from fbx_env.tasks import Trial


def effector_trajectories(
    trajectory: Trajectory,
    axes: Sequence[Axes] | np.ndarray | None = None,
    *,
    straight_guides: bool = True,
    workspace: Any = None,
) -> tuple[Figure, np.ndarray]:
    """Draw reaches in three panels: position, velocity and command.

    A trial's colour is the direction from its start to its goal, here and in every other picture.
    Dots along a curve are a time step apart. Starts are small squares and goals are circles.

    Args:
        trajectory: one trial, or a batch with one leading axis.
        axes: three axes to draw into; a new figure if not given.
        straight_guides: whether to draw the straight way from each start to its goal.
        workspace: lower left and upper right corner [m] of a frame to draw, ``(2, 2)``.

    Returns:
        Figure and the three axes.

    Raises:
        TypeError: if ``trajectory`` is not a ``Trajectory``, or ``straight_guides`` not a bool.
        ValueError: if it has more than one leading axis or commands that are not on a plane, there
            are not three axes, or the workspace is not two corners.

    Example:
        >>> trajectory = rollout(env, params, policy, params.task.validation_trials(), key)
        >>> figure, axes = effector_trajectories(trajectory, workspace=params.task.workspace)
    """
    reaches = records.reaches_on_plane(trajectory)
    straight_guides = checks.flag("straight_guides", straight_guides)
    frame = None if workspace is None else records.corners(workspace)
    if axes is None:
        _, axes = style.new_axes(1, 3, (9.6, 3.4))
    panels = style.given_axes(axes, 3)
    width, dot = (1.5, 3) if len(reaches) <= MANY else (1.0, 1.5)
    for index, color in enumerate(colors.cyclic(reaches.direction)):
        for panel, values in zip(panels, (reaches.pos, reaches.vel, reaches.command), strict=True):
            panel.plot(*values[index].T, color=color, lw=width, marker=".", ms=dot, zorder=2)
    draw_ends(panels[0], reaches.start, reaches.goal, reaches.direction)
    if straight_guides:
        draw_straight_ways(panels[0], reaches.start, reaches.goal)
    if frame is not None:
        draw_workspace(panels[0], frame)
    titles = {"Position": "m", "Velocity": "m/s", "Command": "N"}
    for panel, (title, unit) in zip(panels, titles.items(), strict=True):
        style.tidy(panel, title=title, xlabel=f"x [{unit}]", ylabel=f"y [{unit}]")
        style.equal_aspect(panel)
    return style.figure_of(panels[0]), panels


def speed_profiles(trajectory: Trajectory, ax: Axes | None = None) -> tuple[Figure, Axes]:
    """Draw speed over time, one curve a trial; of more than eight also the mean, in black.

    Args:
        trajectory: one trial, or a batch with one leading axis.
        ax: where to draw; a new figure if not given.

    Returns:
        Figure and axes.

    Raises:
        TypeError: if ``trajectory`` is not a ``Trajectory``.
        ValueError: if it has more than one leading axis.

    Example:
        >>> figure, ax = speed_profiles(trajectory)
    """
    reaches = records.reaches(trajectory)
    if ax is None:
        _, (ax,) = style.new_axes(1, 1, (6.4, 3.4))
    (ax,) = style.given_axes(ax, 1)
    speed = analysis.speed(reaches.vel)
    many = len(reaches) > MANY
    for time, curve, color in zip(
        reaches.time, speed, colors.cyclic(reaches.direction), strict=True
    ):
        ax.plot(time, curve, color=color, lw=0.9 if many else 1.5, alpha=0.7 if many else 1)
    if many:
        ax.plot(
            reaches.time.mean(0), speed.mean(0), color="black", lw=2, label=f"mean of {len(speed)}"
        )
        style.legend_beside(ax, top=0.5)
    style.tidy(ax, xlabel="Time [s]", ylabel="Speed [m/s]")
    ax.set_ylim(bottom=0)
    ax.margins(x=0.01)
    style.direction_key(ax, reaches.direction)
    return style.figure_of(ax), ax


def reach_endpoints(
    trials: Trial, ax: Axes | None = None, *, workspace: Any = None
) -> tuple[Figure, Axes]:
    """Draw where the trials of a task start, and where their goals are.

    Args:
        trials: one trial, or a batch with one leading axis.
        ax: where to draw; a new figure if not given.
        workspace: lower left and upper right corner [m] of a frame to draw, ``(2, 2)``.

    Returns:
        Figure and axes.

    Raises:
        TypeError: if ``trials`` is not a ``Trial``.
        ValueError: if it has more than one leading axis, or the workspace is not two corners.

    Example:
        >>> trials = jax.vmap(params.task.sample)(jax.random.split(key, 100))
        >>> figure, ax = reach_endpoints(trials, workspace=params.task.workspace)
    """
    start, goal = records.endpoints(trials)
    frame = None if workspace is None else records.corners(workspace)
    if ax is None:
        _, (ax,) = style.new_axes(1, 1, (5.6, 4.4))
    (ax,) = style.given_axes(ax, 1)
    for line in np.stack([start, goal], axis=1):
        ax.plot(*line.T, color="0.82", lw=0.7, zorder=1)
    ax.plot(*start.T, "s", ms=4, color=colors.PALETTE[0], label="start", zorder=3)
    ax.plot(
        *(*goal.T, "o"), ms=6, mfc="none", mec=colors.PALETTE[1], mew=1.4, label="goal", zorder=3
    )
    if frame is not None:
        draw_workspace(ax, frame)
    style.tidy(ax, xlabel="x [m]", ylabel="y [m]")
    style.equal_aspect(ax)
    style.legend_beside(ax)
    return style.figure_of(ax), ax


def draw_ends(
    ax: Axes,
    start: Float[np.ndarray, "trials 2"],
    goal: Float[np.ndarray, "trials 2"],
    direction: Float[np.ndarray, " trials"],
) -> None:
    """Starts as small squares, goals as circles in the colours of the trials."""
    size, square = (10, 4.5) if len(start) <= MANY else (7, 3)
    for point, color in zip(goal, colors.cyclic(direction), strict=True):
        ax.plot(*point, "o", ms=size, mfc="none", mec=color, mew=1.5, zorder=3, label="goal")
    ax.plot(*start.T, "s", ms=square, color="0.3", zorder=3, label="start")


def draw_straight_ways(
    ax: Axes, start: Float[np.ndarray, "trials 2"], goal: Float[np.ndarray, "trials 2"]
) -> None:
    """Dashed lines from starts to goals."""
    width = 0.9 if len(start) <= MANY else 0.5
    for line in np.stack([start, goal], axis=1):
        ax.plot(*line.T, color=style.GUIDE, ls=(0, (4, 3)), lw=width, zorder=1)


def draw_workspace(ax: Axes, corners: Float[np.ndarray, "2 2"]) -> None:
    """A frame around the workspace."""
    low, high = corners
    ax.add_patch(
        Rectangle(tuple(low), *(high - low), fill=False, ec="0.4", lw=1, label="workspace")
    )
