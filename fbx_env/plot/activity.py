"""Figures of a network's activity."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Float, PRNGKeyArray
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.projections.polar import PolarAxes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from fbx_env.analysis import CosineTuning
from fbx_env.figures import colors, records
from fbx_env.figures.layout import MANY, largest
from fbx_env.figures.panels import Components, component_panels, unit_panels
from fbx_env.plot import grids, style
from fbx_env.plot.curves import draw_panel, means_legend_below
from fbx_env.rollout import Trajectory

SHADES = LinearSegmentedColormap.from_list("explained", ["0.85", colors.PALETTE[0]])
"""From a pale grey for nothing to blue for everything."""


def activity_heatmap(trajectory: Trajectory, ax: Axes | None = None) -> tuple[Figure, Axes]:
    """Draw the activity of all units over time on one trial; white is none, grey not finite.

    Args:
        trajectory: one trial.
        ax: where to draw; a new figure if not given. A colour bar is put beside it.

    Returns:
        Figure and axes, with the image in ``ax.images[0]``.

    Raises:
        TypeError: if ``trajectory`` is not a ``Trajectory``.
        ValueError: if it is a batch; take one trial of it.

    Example:
        >>> figure, ax = activity_heatmap(fbx_env.tree_take(trajectory, 0))
    """
    reach = records.one_reach(trajectory)
    ax = style.one_axes(ax)
    activity, time = reach.activity[0], reach.time[0]
    limit = largest(activity)
    image = ax.imshow(
        activity.T,
        cmap=colors.DIVERGING,
        vmin=-limit,
        vmax=limit,
        aspect="auto",
        origin="lower",
        interpolation="nearest",
        extent=(float(time[0]), float(time[-1]), -0.5, activity.shape[-1] - 0.5),
    )
    ax.set(xlabel="Time [s]", ylabel="Unit", facecolor="0.8")
    ax.yaxis.set_major_locator(MaxNLocator("auto", integer=True))
    style.figure_of(ax).colorbar(image, ax=ax, label="Activity", pad=0.02)
    return style.figure_of(ax), ax


def activity_sample_units(
    trajectory: Trajectory,
    n_units: int | None = None,
    *,
    units: Iterable[int] | None = None,
    key: PRNGKeyArray | None = None,
    by: str = "",
    axes: Sequence[Axes] | np.ndarray | None = None,
) -> tuple[Figure, np.ndarray]:
    """Draw the activity of some units over time, a panel a unit, for all trials.

    Give the units, or how many to choose at random and a key. The same key chooses the same units
    of any network with as many units, and a larger sample begins with the smaller one. Colours are
    those of the trials in ``effector_trajectories``; more than eight trials are transparent, under
    mean and standard deviation.

    Args:
        trajectory: one trial or many of one network, with any leading axes.
        n_units: how many units to choose.
        units: which units to draw, instead of ``n_units`` and ``key``.
        key: of the random choice.
        by: the name of a number drawn for the trials, as in ``trajectory.drawn``, by which they are
            coloured and grouped; their direction if empty.
        axes: as many axes to draw into; a new figure if not given.

    Returns:
        Figure and axes, one a unit.

    Raises:
        TypeError: if ``trajectory`` is not a ``Trajectory``, or a number not whole.
        ValueError: if there are no trials; if units that there are not are asked for, or none; or
            if neither ``units`` nor both of ``n_units`` and ``key`` are given.

    Example:
        >>> figure, axes = activity_sample_units(trajectory, 4, key=jax.random.key(3))
        >>> figure, axes = activity_sample_units(trajectory, units=[7, 12])
    """
    reaches = records.reaches(trajectory, by)
    panels = unit_panels(reaches, records.chosen_units(reaches, n_units, units, key))
    flat = style.given_axes(grids.new_grid(len(panels)) if axes is None else axes, len(panels))
    for ax, panel in zip(flat, panels, strict=True):
        draw_panel(ax, panel, reaches)
    grids.label_outer(flat)
    style.color_key(grids.upper_right(flat), reaches)
    if axes is None:
        means_legend_below(style.figure_of(flat[0]), panels[0])
    return style.figure_of(flat[0]), flat


def preferred_directions(
    trajectory: Trajectory,
    ax: Axes | None = None,
    *,
    window: tuple[float, float] | None = None,
) -> tuple[Figure, Axes]:
    """Draw the direction of reach that each unit prefers, on a circle.

    A unit is a line from the centre: it points where the unit is most active, is as long as the
    activity rises there above its average over directions, and is blue as far as a cosine explains
    how activity depends on direction.

    Args:
        trajectory: of one network, with reaches in at least three directions.
        ax: polar axes to draw into; a new figure if not given.
        window: first and last time [s] of the steps over which activity is averaged. If not given,
            from the start until the mean speed is highest: while the effector brakes, units that
            go with the force prefer the opposite direction, and the two would cancel.

    Returns:
        Figure and axes.

    Raises:
        TypeError: if ``trajectory`` is not a ``Trajectory``.
        ValueError: if it has reaches in fewer than three directions, or activity that is not
            finite; if there are no steps in the window; or if ``ax`` is not polar.

    Example:
        >>> figure, ax = preferred_directions(trajectory)
    """
    tuning, window = records.direction_tuning(trajectory, window)
    ax = style.one_axes(ax, (5.2, 4.2), subplot_kw={"projection": "polar"})
    if not isinstance(ax, PolarAxes):
        raise ValueError(f"ax must be polar axes, got {ax.name} ones")
    shades = ScalarMappable(Normalize(0, 1), SHADES)
    _draw_tuning(ax, tuning, shades)
    begin, end = (round(time, 2) for time in window)
    ax.set_title(
        f"Rise of activity in the\npreferred direction ({begin:g} to {end:g} s)",
        fontsize="medium",
        pad=10,
    )
    bar = style.figure_of(ax).colorbar(
        shades, ax=ax, label="Explained by direction", pad=0.12, shrink=0.7
    )
    bar.ax.yaxis.set_major_formatter(PercentFormatter(1))
    return style.figure_of(ax), ax


def principal_components(
    trajectory: Trajectory, axes: Sequence[Axes] | np.ndarray | None = None
) -> tuple[Figure, np.ndarray]:
    """Draw the activity of all units together, along the directions in which it varies most.

    Four panels: the first two principal components against each other (squares are starts,
    circles are ends), how much of the variance each of the first ten explains, and both over time.
    Components are computed over all trials and steps. Colours are those of the trials in
    ``effector_trajectories``; more than eight trials are transparent, under their means.

    Args:
        trajectory: one trial or many of one network, with any leading axes.
        axes: four axes to draw into; a new figure if not given.

    Returns:
        Figure and the four axes.

    Raises:
        TypeError: if ``trajectory`` is not a ``Trajectory``.
        ValueError: if it has no trials, fewer than two units or steps, or activity that is not
            finite.

    Example:
        >>> figure, axes = principal_components(trajectory)
    """
    reaches = records.reaches_of_units(trajectory)
    components = component_panels(reaches)
    new = style.new_axes(2, 2, (7.6, 5.6))[1] if axes is None else axes
    plane, shares, *courses = flat = style.given_axes(new, 4)
    draw_panel(plane, components.plane, reaches)
    square, circle = map(style.points, (5.0, 6.0) if len(reaches) <= MANY else (2.5, 3.0))
    scores = zip(components.plane.x, components.plane.y, reaches.colors, strict=True)
    for x, y, color in scores:
        plane.plot(x[0], y[0], "s", color=color, ms=square, mew=0, zorder=3)
        plane.plot(x[-1], y[-1], "o", color=color, ms=circle, mfc="white", mew=circle / 5, zorder=3)
    style.color_key(shares, reaches)
    _draw_shares(shares, components)
    for course, panel in zip(courses, components.courses, strict=True):
        draw_panel(course, panel, reaches)
    if axes is None:
        means_legend_below(style.figure_of(plane), components.courses[0])
    return style.figure_of(plane), flat


def _draw_tuning(ax: PolarAxes, tuning: CosineTuning, shades: ScalarMappable) -> None:
    """A line a unit, and a scale for their lengths where it hides none."""
    for direction, depth, explained in zip(
        tuning.direction, tuning.depth, tuning.explained, strict=True
    ):
        color = shades.to_rgba(explained)
        ax.plot([direction, direction], [0, depth], color=color, lw=style.points(1.4), zorder=1.2)
        ax.plot(direction, depth, "o", color=color, ms=style.points(4), zorder=1.3)
    ax.set_ylim(0, 1.08 * (tuning.depth.max() or 1.0))
    ax.yaxis.set_major_locator(MaxNLocator(3))
    ax.set_rlabel_position(_widest_gap(tuning.direction))
    for label in ax.get_yticklabels():
        label.set(
            fontsize=style.SMALL, bbox={"fc": "white", "ec": "none", "alpha": 0.8, "pad": 0.5}
        )
    ax.grid(alpha=0.4, lw=0.6)
    ax.set_axisbelow("line")
    ax.spines["polar"].set_color(style.GUIDE)


def _draw_shares(ax: Axes, components: Components) -> None:
    """How much of the variance each component explains, and all up to it together."""
    number, explained = components.number, components.explained
    ax.bar(number, explained, color=colors.PALETTE[0], width=0.7, label="each")
    ax.plot(
        number, explained.cumsum(), color="black", marker="o", ms=style.points(4), label="together"
    )
    style.tidy(ax, xlabel="Component", ylabel="Variance explained", ylim=(0, 1.05))
    ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    ax.legend(frameon=False, loc="best", fontsize=style.SMALL)


def _widest_gap(angles: Float[np.ndarray, " n"]) -> float:
    """Middle of the widest gap between angles [rad], in degrees, where a label hides nothing."""
    ordered = np.sort(angles)
    gaps = np.diff(ordered, append=ordered[0] + 2 * np.pi)
    widest = gaps.argmax()
    return float(np.rad2deg(ordered[widest] + gaps[widest] / 2))
