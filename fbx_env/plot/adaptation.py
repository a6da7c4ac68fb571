"""Figures of adaptation to a force field: errors, after-effects, forces in a channel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fbx_env import checks
from fbx_env.figures import records
from fbx_env.figures.colors import PALETTE
from fbx_env.figures.panels import effector_panels
from fbx_env.plot import grids, style
from fbx_env.plot.curves import draw_panel
from fbx_env.plot.frames import check_frame, draw_course
from fbx_env.plot.reaches import draw_ends, draw_straight_lines
from fbx_env.rollout import Trajectory

if TYPE_CHECKING:
    import pandas

FIELD_TINT = "#FBE9C6"
"""Background of what happens in the field."""

MET, AFTER, INDEX = PALETTE[0], PALETTE[2], PALETTE[4]


def adaptation_curve(
    frame: pandas.DataFrame,
    references: pandas.DataFrame | None = None,
    axes: Sequence[Axes] | np.ndarray | None = None,
) -> tuple[Figure, np.ndarray]:
    """Draw the perpendicular error and the adaptation index over the updates.

    The error is that in the conditions in which the policy is trained, and, in the field, that of
    trials without it, the after-effect. Bands are one standard deviation between trials to either
    side. Updates in the field have a coloured background. Errors keep their signs in the mean, as
    suits a field that pushes to the same side in all directions, like a curl field.

    Args:
        frame: with the columns ``phase``, ``n_updates``, ``condition``, ``trial``,
            ``perpendicular_error`` [m] and ``adaptation_index``, as that of ``agents.adapt``.
        references: with the column ``perpendicular_error``, drawn in the field as lines with the
            names of the index.
        axes: two to draw into; a new figure if not given.

    Returns:
        Figure and axes.

    Raises:
        TypeError: if ``frame`` has no columns.
        ValueError: if a column is missing, or there are no rows.

    Example:
        >>> figure, axes = adaptation_curve(adaptation.frame, adaptation.references)
    """
    check_frame(
        "frame",
        frame,
        ("phase", "n_updates", "condition", "trial", "perpendicular_error", "adaptation_index"),
    )
    new = style.new_axes(2, 1, (6.4, 4.8), sharex=True)[1] if axes is None else axes
    error, index = style.given_axes(new, 2)
    in_field = frame.phase == "field"
    span = (
        frame[in_field].n_updates.min(),
        frame[~in_field & (frame.phase != "baseline")].n_updates.min(),
    )
    for ax in (error, index):
        ax.axvspan(*span, color=FIELD_TINT, lw=0, zorder=0)
        ax.axhline(0, color=style.GUIDE, lw=style.points(0.8), zorder=1)
    met = frame[frame.condition == np.where(in_field, "field", "no_field")]
    draw_course(error, met.groupby("n_updates").perpendicular_error, MET, "current condition")
    without = frame[in_field & (frame.condition == "no_field")]
    draw_course(error, without.groupby("n_updates").perpendicular_error, AFTER, "after-effect")
    known = {} if references is None else references.perpendicular_error.to_dict()
    for (name, value), dashes in zip(known.items(), ("--", ":", "-."), strict=False):
        line: dict[str, Any] = {"color": "black", "ls": dashes, "lw": style.points(1.2)}
        error.plot(span, [value, value], label=f"{style.plain(str(name))} in the field", **line)
    channel = frame[frame.condition == "channel"]
    draw_course(index, channel.groupby("n_updates").adaptation_index, INDEX, "in the channel")
    index.axhline(1, color=style.GUIDE, lw=style.points(0.8), ls="--", zorder=1)
    style.tidy(error, ylabel="Perpendicular error [m]\n(positive: left)")
    style.tidy(index, xlabel="Update", ylabel="Adaptation index")
    error.set_title("Background: updates in the field", fontsize=style.SMALL, loc="left")
    error.margins(x=0.01)
    for ax in (error, index):
        style.legend_beside(ax)
    return style.figure_of(error), np.array([error, index])


def channel_forces(
    forces: pandas.DataFrame, axes: Sequence[Axes] | np.ndarray | None = None
) -> tuple[Figure, np.ndarray]:
    """Draw the force on the walls of a channel over time, beside the ideal one, by stage.

    The curves are means over trials, within bands of one standard deviation to either side.

    Args:
        forces: with the columns ``stage``, ``trial``, ``time`` [s], ``measured`` and ``ideal`` [N],
            as that of ``agents.adapt``.
        axes: one for each stage to draw into; a new figure if not given.

    Returns:
        Figure and axes.

    Raises:
        TypeError: if ``forces`` has no columns.
        ValueError: if a column is missing, or there are no rows.

    Example:
        >>> figure, axes = channel_forces(adaptation.forces)
    """
    check_frame("forces", forces, ("stage", "trial", "time", "measured", "ideal"))
    stages = list(dict.fromkeys(forces.stage))
    flat = style.given_axes(grids.new_grid(len(stages)) if axes is None else axes, len(stages))
    kinds = (("ideal", "0.35", "--"), ("measured", INDEX, "-"))
    for ax, stage in zip(flat, stages, strict=True):
        of_time = forces[forces.stage == stage].groupby("time")
        for kind, color, dashes in kinds:
            draw_course(ax, of_time[kind], color, kind, dashes)
        ax.axhline(0, color=style.GUIDE, lw=style.points(0.8), zorder=1)
        style.tidy(ax, title=style.plain(str(stage)).capitalize(), xlabel="Time [s]")
        ax.set_ylabel("Force on the channel [N]\n(positive: left)")
        ax.margins(x=0.01)
    grids.label_outer(flat)
    style.legend_beside(grids.upper_right(flat))
    return style.figure_of(flat[0]), flat


def reaches_by_stage(
    reaches: Mapping[str, Trajectory], axes: Sequence[Axes] | np.ndarray | None = None
) -> tuple[Figure, np.ndarray]:
    """Draw the paths of several sets of trials side by side, such as before and after learning.

    Args:
        reaches: by name, which is the title of their panel.
        axes: one for each to draw into; a new figure if not given.

    Returns:
        Figure and axes.

    Raises:
        TypeError: if one is not a ``Trajectory``.
        ValueError: if there are none, or one has no trials.

    Example:
        >>> figure, axes = reaches_by_stage(adaptation.reaches)
    """
    if not reaches:
        raise ValueError("reaches must be of one stage or more, got none")
    n = len(reaches)
    if axes is None:
        figure, axes = style.new_axes(1, n, (2.5 * n + 0.6, 2.9), sharex=True, sharey=True)
        # Without it, the first drawing leaves the titles of panels of equal aspect no room.
        figure.set_layout_engine("compressed", w_pad=0.08, h_pad=0.06)
    flat = style.given_axes(axes, n)
    for ax, (name, trajectory) in zip(flat, reaches.items(), strict=True):
        batch = records.reaches(trajectory)
        panel = effector_panels(batch)[0]
        draw_panel(ax, panel, batch)
        draw_ends(ax, batch)
        draw_straight_lines(ax, batch)
        ax.set_title(style.plain(name).capitalize())
    grids.label_outer(flat)
    return style.figure_of(flat[0]), flat


def generalisation(
    frame: pandas.DataFrame, trained: Sequence[float] = (), ax: Axes | None = None
) -> tuple[Figure, Axes]:
    """Draw the adaptation index over the direction of the reach, at the end of the field.

    Args:
        frame: as of ``adaptation_curve``, with the column ``direction`` [rad].
        trained: directions of the reaches in which the policy was trained [rad], which are marked.
        ax: where to draw; a new figure if not given.

    Returns:
        Figure and axes.

    Raises:
        TypeError: if ``frame`` has no columns.
        ValueError: if a column is missing, or there are no rows.

    Example:
        >>> figure, ax = generalisation(adaptation.frame, trained=[0.0])
    """
    check_frame(
        "frame", frame, ("phase", "n_updates", "condition", "direction", "adaptation_index")
    )
    marked: Float[np.ndarray, " directions"] = np.asarray(checks.real("trained", trained))
    ax = style.one_axes(ax, (5.4, 3.2))
    washout = frame[(frame.condition == "channel") & (frame.phase == "washout")]
    last = washout[washout.n_updates == washout.n_updates.min()]
    by_direction = last.groupby("direction").adaptation_index.mean()
    degrees = np.rad2deg(by_direction.index)
    ax.plot(degrees, by_direction, "o-", color=INDEX, ms=style.points(5), lw=style.points(1.4))
    for index, angle in enumerate(np.rad2deg(marked) % 360):
        label = "trained" if index == 0 else None
        ax.axvline(angle, color=AFTER, ls="--", lw=style.points(1.2), label=label, zorder=1)
    for value in (0, 1):
        ax.axhline(value, color=style.GUIDE, lw=style.points(0.8), zorder=1)
    style.tidy(ax, xlabel="Direction of the reach [°]", ylabel="Adaptation index")
    ax.set_xticks(np.arange(0, 361, 90))
    if len(marked):
        style.legend_beside(ax)
    return style.figure_of(ax), ax
