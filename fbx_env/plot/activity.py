"""Figures of a network's activity."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, PRNGKeyArray
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.projections.polar import PolarAxes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from fbx_env import analysis
from fbx_env.figures import colors, records
from fbx_env.figures.layout import MANY, grid_columns, largest
from fbx_env.plot import style
from fbx_env.figures.records import Reaches
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
    if ax is None:
        _, (ax,) = style.new_axes(1, 1, (6.4, 3.9))
    (ax,) = style.given_axes(ax, 1)
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
        extent=(time[0], time[-1], -0.5, activity.shape[-1] - 0.5),
    )
    ax.set(xlabel="Time [s]", ylabel="Unit", facecolor="0.8")
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    style.figure_of(ax).colorbar(image, ax=ax, label="Activity", pad=0.02)
    return style.figure_of(ax), ax


def activity_sample_units(
    trajectory: Trajectory,
    n_units: int,
    *,
    key: PRNGKeyArray,
    axes: Sequence[Axes] | np.ndarray | None = None,
) -> tuple[Figure, np.ndarray]:
    """Draw the activity of a random sample of units over time, a panel a unit, for all trials.

    The same key samples the same units of any network with as many units, and a larger sample
    begins with the smaller one. Colours are those of the trials in ``effector_trajectories``.

    Args:
        trajectory: one trial, or a batch with one leading axis.
        n_units: how many units to draw.
        key: of the random choice.
        axes: as many axes to draw into; a new figure if not given.

    Returns:
        Figure and axes, one a unit.

    Raises:
        TypeError: if ``trajectory`` is not a ``Trajectory``, or ``n_units`` not a whole number.
        ValueError: if the trajectory has more than one leading axis, or ``n_units`` is less than 1
            or more than there are.

    Example:
        >>> figure, axes = activity_sample_units(trajectory, 4, key=jax.random.key(3))
    """
    reaches = records.reaches(trajectory)
    units = analysis.sample_units(n_units, reaches.activity.shape[-1], key)
    if axes is None:
        axes = _grid(n_units)
    panels = style.given_axes(axes, n_units)
    for panel, unit in zip(panels, units, strict=True):
        _draw_courses(panel, reaches, reaches.activity[..., unit])
        style.tidy(panel, title=f"Unit {unit}")
    _label_outer(panels, xlabel="Time [s]", ylabel="Activity")
    style.direction_key(_upper_right(panels), reaches.direction)
    return style.figure_of(panels[0]), panels


def preferred_directions(
    trajectory: Trajectory,
    ax: Axes | None = None,
    *,
    window: tuple[float, float] | None = None,
) -> tuple[Figure, Axes]:
    """Draw the direction of reach that each unit prefers, on a circle.

    A unit is a line from the centre: it points where the unit is most active, is as long as the
    activity rises there above its average over directions, and is blue as far as a cosine explains
    how activity goes with direction.

    Args:
        trajectory: a batch with reaches in at least three directions.
        ax: polar axes to draw into; a new figure if not given.
        window: first and last time [s] of the steps over which activity is averaged. If not given,
            from the start until the mean speed is highest: while the effector brakes, units that
            go with the force prefer the opposite direction, and the two would cancel.

    Returns:
        Figure and axes.

    Raises:
        TypeError: if ``trajectory`` is not a ``Trajectory``.
        ValueError: if it has more than one leading axis, reaches in fewer than three directions, or
            activity that is not finite; if there are no steps in the window; or if ``ax`` is not
            polar.

    Example:
        >>> figure, ax = preferred_directions(trajectory)
    """
    reaches = records.reaches(trajectory)
    window = records.speeding_up(reaches) if window is None else window
    tuning = analysis.cosine_tuning(records.mean_activity(reaches, window), reaches.direction)
    if ax is None:
        _, (ax,) = style.new_axes(1, 1, (5.2, 4.2), subplot_kw={"projection": "polar"})
    (ax,) = style.given_axes(ax, 1)
    if not isinstance(ax, PolarAxes):
        raise ValueError(f"ax must be polar axes, got {ax.name} ones")
    shades = ScalarMappable(Normalize(0, 1), SHADES)
    for direction, depth, explained in zip(
        tuning.direction, tuning.depth, tuning.explained, strict=True
    ):
        color = shades.to_rgba(explained)
        ax.plot([direction, direction], [0, depth], color=color, lw=1.4, zorder=1.2)
        ax.plot(direction, depth, "o", color=color, ms=4, zorder=1.3)
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
    begin, end = (round(time, 2) for time in window)
    ax.set_title(
        f"Rise of activity in the preferred direction\n({begin:g} to {end:g} s)",
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
    ``effector_trajectories``.

    Args:
        trajectory: one trial, or a batch with one leading axis.
        axes: four axes to draw into; a new figure if not given.

    Returns:
        Figure and the four axes.

    Raises:
        TypeError: if ``trajectory`` is not a ``Trajectory``.
        ValueError: if it has more than one leading axis, fewer than two units or steps, or activity
            that is not finite.

    Example:
        >>> figure, axes = principal_components(trajectory)
    """
    reaches = records.reaches_of_units(trajectory)
    components = analysis.principal_components(reaches.activity)
    if axes is None:
        _, axes = style.new_axes(2, 2, (7.6, 5.6))
    plane, shares, *courses = panels = style.given_axes(axes, 4)
    for scores, color in zip(components.scores, colors.cyclic(reaches.direction), strict=True):
        plane.plot(*scores[:, :2].T, color=color, lw=1.3)
        plane.plot(*scores[0, :2], "s", color=color, ms=4, zorder=3)
        plane.plot(*scores[-1, :2], "o", color=color, ms=6, mfc="white", mew=1.4, zorder=3)
    style.tidy(plane, xlabel="Component 1", ylabel="Component 2")
    style.equal_aspect(plane)
    style.direction_key(plane, reaches.direction)

    explained = components.explained[:10]
    number = 1 + np.arange(len(explained))
    shares.bar(number, explained, color=colors.PALETTE[0], width=0.7, label="each")
    shares.plot(number, explained.cumsum(), color="black", marker="o", ms=4, label="together")
    style.tidy(shares, xlabel="Component", ylabel="Variance explained", ylim=(0, 1.05))
    shares.xaxis.set_major_locator(MaxNLocator(integer=True))
    shares.yaxis.set_major_formatter(PercentFormatter(1))
    shares.legend(frameon=False, loc="center right", fontsize=style.SMALL)

    for index, course in enumerate(courses):
        _draw_courses(course, reaches, components.scores[..., index])
        style.tidy(course, xlabel="Time [s]", ylabel=f"Component {index + 1}")
    return style.figure_of(plane), panels


def _draw_courses(ax: Axes, reaches: Reaches, values: Float[np.ndarray, "trials steps"]) -> None:
    """One number over the steps, a curve a trial."""
    width = 1.3 if len(reaches) <= MANY else 0.8
    for time, course, color in zip(
        reaches.step_time, values, colors.cyclic(reaches.direction), strict=True
    ):
        ax.plot(time, course, color=color, lw=width)
    ax.margins(x=0.01)


def _grid(n: int) -> np.ndarray:
    """A new figure of ``n`` axes on common scales."""
    columns = grid_columns(n)
    rows = math.ceil(n / columns)
    size = (2.5 * columns + 1.4, 1.6 * rows + 0.7)
    _, axes = style.new_axes(rows, columns, size, sharex=True, sharey=True)
    for ax in axes[n:]:
        ax.remove()
    return axes[:n]


def _label_outer(panels: np.ndarray, **labels: str) -> None:
    """Label the axes of a grid that have none below, or to the left of, them."""
    cells = [_cell(panel) for panel in panels]
    for panel, (row, column) in zip(panels, cells, strict=True):
        if (row + 1, column) not in cells:
            panel.set_xlabel(labels["xlabel"])
            panel.tick_params(labelbottom=True)
        if (row, column - 1) not in cells:
            panel.set_ylabel(labels["ylabel"])
            panel.tick_params(labelleft=True)


def _upper_right(panels: np.ndarray) -> Axes:
    """The axes of a grid that stand furthest right in its first row."""
    return min(panels, key=lambda panel: (_cell(panel)[0], -_cell(panel)[1]))


def _cell(ax: Axes) -> tuple[float, float]:
    """Row and column of axes in their grid; nowhere if they are in none."""
    spec = ax.get_subplotspec()
    return (math.nan, math.nan) if spec is None else (spec.rowspan.start, spec.colspan.start)


def _widest_gap(angles: Float[np.ndarray, " n"]) -> float:
    """Middle of the widest gap between angles [rad], in degrees, where a label hides nothing."""
    ordered = np.sort(angles)
    gaps = np.diff(ordered, append=ordered[0] + 2 * np.pi)
    widest = gaps.argmax()
    return float(np.rad2deg(ordered[widest] + gaps[widest] / 2))
