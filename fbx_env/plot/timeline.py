"""Figures of trials with a timeline: aligned to an epoch, and beside their target."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from fbx_env.figures import records
from fbx_env.figures.colors import PALETTE
from fbx_env.figures.panels import distance_panel, speed_panel, unit_panels
from fbx_env.figures.timeline import Timeline, timeline
from fbx_env.params import ReachParams
from fbx_env.plot import grids, style
from fbx_env.plot.curves import draw_panel, means_legend_below
from fbx_env.rollout import Trajectory

MOST_TRIALS = 12
"""As many trials have a panel each."""

TINTS = ("#EDEDED", "#FBE9C6", "#FFFFFF", "#DCEBF5")
"""Pale colours of epochs, from the first to the last; repeated where there are more."""


def aligned_time_courses(
    trajectory: Trajectory,
    params: ReachParams,
    axes: Sequence[Axes] | np.ndarray | None = None,
    *,
    epoch: str = "",
    units: Iterable[int] = (),
    by: str = "",
) -> tuple[Figure, np.ndarray]:
    """Draw speed, distance to the target and activity over the time since an epoch began: the go.

    The background has the colours of the epochs, mixed by how many of the trials are in each.
    Colours are those of the trials in ``effector_trajectories``; more than eight trials are
    transparent, under mean and standard deviation, for each direction if several trials go the same
    way, at times that all of these have.

    Args:
        trajectory: one trial or many, with any leading axes.
        params: the experiment that they are of.
        axes: two to draw into, and one for each unit; a new figure if not given.
        epoch: the name of the one that begins at 0; the task's last one by default.
        units: the units whose activity is drawn.
        by: the name of a number drawn for the trials, as in ``trajectory.drawn``, by which they are
            coloured and grouped; their direction if empty.

    Returns:
        Figure and axes.

    Raises:
        TypeError: for arguments of the wrong kind.
        ValueError: if there are no trials, no such epoch, or no such unit.

    Example:
        >>> figure, axes = aligned_time_courses(trajectory, params, units=[7, 12])
    """
    found = timeline(trajectory, params, epoch, by)
    panels = [speed_panel(found.reaches), distance_panel(found.reaches)]
    if chosen := list(units):
        every = records.chosen_units(found.reaches, None, chosen, None)
        panels += unit_panels(found.reaches, every)
    made = grids.new_grid(len(panels), sharey=False) if axes is None else axes
    flat = style.given_axes(made, len(panels))
    name = f"since “{_words(found.epoch)}” began " if len(found.names) > 1 else ""
    for ax, panel in zip(flat, panels, strict=True):
        draw_panel(ax, replace(panel, x_label=f"Time {name}[s]"), found.reaches)
        if panel.unit:
            ax.set_ylim(bottom=0)
        if len(found.names) > 1:
            _draw_epochs(ax, found)
    grids.label_outer(flat, sharey=False)
    used = style.color_key(grids.upper_right(flat), found.reaches)
    _epochs_legend(flat[-1], found, 0.1 + used if flat[-1] is grids.upper_right(flat) else 0.0)
    if axes is None:
        means_legend_below(style.figure_of(flat[0]), panels[0])
    return style.figure_of(flat[0]), flat


def position_and_target(
    trajectory: Trajectory, axes: Sequence[Axes] | np.ndarray | None = None
) -> tuple[Figure, np.ndarray]:
    """Draw where the effector is and where it should be over time, a panel for each trial.

    Args:
        trajectory: up to twelve trials, with any leading axes.
        axes: as many axes as trials to draw into; a new figure if not given.

    Returns:
        Figure and axes.

    Raises:
        TypeError: if ``trajectory`` is not a ``Trajectory``.
        ValueError: if there are no trials or more than twelve.

    Example:
        >>> figure, axes = position_and_target(trajectory)
    """
    reaches = records.reaches(trajectory)
    if len(reaches) > MOST_TRIALS:
        raise ValueError(
            f"trajectory must have at most {MOST_TRIALS} trials, got {len(reaches)}; take some "
            "with jax.tree.map(lambda leaf: leaf[:4], trajectory)"
        )
    flat = style.given_axes(grids.new_grid(len(reaches)) if axes is None else axes, len(reaches))
    dotted: dict[str, Any] = {
        "color": "black",
        "ls": (0, (1, 1.2)),
        "lw": style.points(1.3),
        "zorder": 3,
    }
    for index, ax in enumerate(flat):
        time, target = reaches.time[index], reaches.target_at_states[index]
        for axis, color in enumerate(PALETTE[:2]):
            own, label = reaches.pos[index, :, axis], f"{'xy'[axis]} of effector"
            ax.plot(time, own, color=color, label=label, lw=style.points(2.2))
            ax.plot(time, target[:, axis], label="target" if axis else None, **dotted)
        title = reaches.names[index].split(",")[0] if reaches.shape else ""
        style.tidy(ax, title=title, xlabel="Time [s]", ylabel="Position [m]")
        ax.margins(x=0.01)
    grids.label_outer(flat)
    style.legend_beside(grids.upper_right(flat))
    return style.figure_of(flat[0]), flat


def _draw_epochs(ax: Axes, found: Timeline) -> None:
    """Shade the background by the shares of the trials in each epoch, and mark where 0 is."""
    tints = np.array([to_rgb(TINTS[index % len(TINTS)]) for index in range(len(found.names))])
    limits = ax.get_ylim()
    ax.pcolormesh(
        found.edges,
        [0, 1],
        (found.share.T @ tints)[None],
        transform=ax.get_xaxis_transform(),
        zorder=0,
        rasterized=True,
    )
    ax.axvline(0, color=style.GUIDE, lw=style.points(1), zorder=1)
    ax.set(xlim=(found.edges[0], found.edges[-1]), ylim=limits)


def _epochs_legend(ax: Axes, found: Timeline, drop: float) -> None:
    """Say to the right of the axes which shade is which epoch, if there are several."""
    if len(found.names) > 1:
        patches = [
            Patch(fc=TINTS[index % len(TINTS)], ec=style.GUIDE, lw=0.5, label=_words(name))
            for index, name in enumerate(found.names)
        ]
        style.legend_beside(ax, "Epoch", drop, handles=patches)


def _words(name: str) -> str:
    return style.plain(name.replace("_", " "))
