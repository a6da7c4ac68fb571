"""Figures of what a network is found to be: its tuning, its subspaces, its dynamics."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from matplotlib.ticker import MaxNLocator, PercentFormatter

from fbx_env import analysis
from fbx_env.figures import records
from fbx_env.figures.colors import PALETTE
from fbx_env.figures.layout import opacity
from fbx_env.plot import style
from fbx_env.plot.frames import check_frame, draw_course
from fbx_env.rollout import Trajectory

if TYPE_CHECKING:
    import pandas

SYSTEMS = {"network": PALETTE[1], "closed loop": PALETTE[0]}
"""The systems that can be linearised, and their colours."""

N_MODES = 3
"""The slowest modes are drawn over time, so many of each system."""


def tuning_by_epoch(
    table: pandas.DataFrame, axes: Sequence[Axes] | np.ndarray | None = None
) -> tuple[Figure, np.ndarray]:
    """Draw how well direction explains each unit's activity, and whether preferences turn.

    To the left, a point is a unit: how much of its variance over trials a cosine of direction
    explains, with the median of each epoch. To the right, how far the preferred direction of each
    unit turns from an epoch to the next, as a cumulative share of the units.

    Args:
        table: with the columns ``epoch``, ``unit``, ``direction`` [rad] and ``explained``, as that
            of ``agents.analysis.tuning``; several networks may follow each other, with another
            number each in a column ``replicate``.
        axes: two to draw into; a new figure if not given.

    Returns:
        Figure and axes.

    Raises:
        TypeError: if ``table`` has no columns.
        ValueError: if a column is missing, or there are no rows.

    Example:
        >>> figure, axes = tuning_by_epoch(agents.analysis.tuning(trajectory, params))
    """
    check_frame("table", table, ("epoch", "unit", "direction", "explained"))
    new = style.new_axes(1, 2, (7.4, 3.0))[1] if axes is None else axes
    shares, turns = style.given_axes(new, 2)
    epochs = list(dict.fromkeys(table.epoch))
    places = np.random.default_rng(0)
    for place, epoch in enumerate(epochs):
        explained = table[table.epoch == epoch].explained.to_numpy()
        beside = place + places.uniform(-0.22, 0.22, len(explained))
        color = PALETTE[place % len(PALETTE)]
        shares.plot(beside, explained, "o", color=color, ms=style.points(3.5), mew=0, alpha=0.6)
        median = np.full(2, np.median(explained))
        shares.plot(place + np.array([-0.3, 0.3]), median, color="black", lw=style.points(2))
    style.tidy(shares, ylabel="Explained by direction", ylim=(-0.03, 1.03))
    shares.set_title("Each unit, and the median", fontsize=style.SMALL, loc="left")
    names = [style.plain(_in_words(epoch)) for epoch in epochs]
    shares.set_xticks(range(len(epochs)), [name.replace(" ", "\n") for name in names])
    shares.yaxis.set_major_formatter(PercentFormatter(1))
    index = [name for name in ("replicate", "unit") if name in table.columns]
    directions = table.pivot(index=index, columns="epoch", values="direction")
    for place, (one, other) in enumerate(itertools.pairwise(range(len(epochs))), start=1):
        turn = np.abs(np.angle(np.exp(1j * (directions[epochs[other]] - directions[epochs[one]]))))
        color = PALETTE[place % len(PALETTE)]
        label = f"{names[one]} to\n{names[other]}"
        turns.ecdf(np.rad2deg(turn), color=color, lw=style.points(1.8), label=label)
    style.tidy(turns, xlabel="Turn of the preferred direction [°]", ylabel="Units up to there")
    turns.set(xlim=(0, 180), ylim=(0, 1.03), xticks=np.arange(0, 181, 45))
    turns.yaxis.set_major_formatter(PercentFormatter(1))
    if len(epochs) > 1:
        style.legend_beside(turns)
    return style.figure_of(shares), np.array([shares, turns])


def subspaces(
    dimensions: pandas.DataFrame,
    angles: pandas.DataFrame,
    axes: Sequence[Axes] | np.ndarray | None = None,
) -> tuple[Figure, np.ndarray]:
    """Draw in how many dimensions activity varies in each epoch, and how these lie to each other.

    To the left, the variance that the first components explain together, with the participation
    ratio of each epoch; to the right, the principal angles between the subspaces of two epochs.
    With several networks, the curves are means, in bands of one standard deviation.

    Args:
        dimensions: with the columns ``epoch``, ``component``, ``together`` and
            ``participation_ratio``, as that of ``agents.analysis.dimensionality``.
        angles: with the columns ``first``, ``second``, ``index``, ``angle`` [rad] and
            ``alignment``, as that of ``agents.analysis.subspace_angles``.
        axes: two to draw into; a new figure if not given.

    Returns:
        Figure and axes.

    Raises:
        TypeError: if an argument has no columns.
        ValueError: if a column is missing, or there are no rows.

    Example:
        >>> figure, axes = subspaces(dimensionality(trajectory, params), angles)
    """
    check_frame("dimensions", dimensions, ("epoch", "component", "together", "participation_ratio"))
    check_frame("angles", angles, ("first", "second", "index", "angle", "alignment"))
    new = style.new_axes(2, 1, (6.2, 5.0))[1] if axes is None else axes
    variance, between = style.given_axes(new, 2)
    shown = dimensions[dimensions.component <= 10]
    for color, (epoch, rows) in zip(PALETTE, shown.groupby("epoch", sort=False), strict=False):
        ratio = rows.participation_ratio.mean()
        label = f"{_in_words(str(epoch))} ({ratio:.2g})"
        draw_course(variance, rows.groupby("component").together, color, style.plain(label))
    style.tidy(variance, xlabel="Number of components", ylabel="Variance explained", ylim=(0, 1.03))
    variance.yaxis.set_major_formatter(PercentFormatter(1))
    pairs = angles.assign(angle=np.rad2deg(angles.angle)).groupby(["first", "second"], sort=False)
    for color, ((first, second), rows) in zip(PALETTE, pairs, strict=False):
        label = f"{_in_words(first)}, {_in_words(second)} ({rows.alignment.mean():.2g})"
        draw_course(between, rows.groupby("index").angle, color, style.plain(label))
    style.tidy(between, xlabel="Principal angle", ylabel="Angle between\nsubspaces [°]")
    between.set(ylim=(0, 93), yticks=np.arange(0, 91, 30))
    titles = ("Epoch (participation ratio)", "Epochs (alignment)")
    for ax, title in zip((variance, between), titles, strict=True):
        ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
        style.legend_beside(ax, title)
    return style.figure_of(variance), np.array([variance, between])


def eigenvalues(
    table: pandas.DataFrame, axes: Sequence[Axes] | np.ndarray | None = None
) -> tuple[Figure, np.ndarray]:
    """Draw the eigenvalues at the end of trials, and the slowest time constants along them.

    To the left the plane of complex numbers with the circle within which deviations fade; to the
    right the time constants of the slowest modes, means over trials in bands of one standard
    deviation. A mode that does not fade has none, and is left out there; those that last longer
    than the trial are beyond the axis.

    Args:
        table: with the columns ``time`` [s], ``system``, ``mode``, ``real``, ``imaginary`` and
            ``time_constant`` [s], as that of ``agents.analysis.Linearisation.frame``.
        axes: two to draw into; a new figure if not given.

    Returns:
        Figure and axes.

    Raises:
        TypeError: if ``table`` has no columns.
        ValueError: if a column is missing, or there are no rows.

    Example:
        >>> figure, axes = eigenvalues(linearise(policy, params, trials).frame())
    """
    columns = ("time", "system", "mode", "real", "imaginary", "time_constant")
    check_frame("table", table, columns)
    new = style.new_axes(1, 2, (7.6, 3.2))[1] if axes is None else axes
    plane, constants = style.given_axes(new, 2)
    plane.add_patch(Circle((0, 0), 1, fill=False, color=style.GUIDE, lw=style.points(1)))
    at_the_end = table[table.time == table.time.max()]
    n_modes = table["mode"].nunique()
    for (system, color), marker in zip(SYSTEMS.items(), "o+", strict=True):
        own = at_the_end[at_the_end.system == system]
        alpha = max(0.35, opacity(len(own) // n_modes))
        marks: dict[str, Any] = {"color": color, "ms": style.points(4), "alpha": alpha}
        plane.plot(own.real, own.imaginary, marker, mew=style.points(0.8), mfc="none", **marks)
        own = table[(table.system == system) & (table["mode"] < N_MODES)]
        own = own.assign(time_constant=own.time_constant.where(own.time_constant > 0))
        own = own.replace({"time_constant": {np.inf: np.nan}})
        for mode, rows in own.groupby("mode"):
            dashes = ("-", "--", ":")[int(str(mode))]
            draw_course(constants, rows.groupby("time").time_constant, color, "_", dashes)
        constants.plot([], [], color=color, lw=style.points(1.8), label=system)
    style.tidy(plane, title="Eigenvalues at the end", xlabel="Real part", ylabel="Imaginary part")
    style.equal_aspect(plane)
    title = f"The {N_MODES} slowest modes (slowest: solid line)"
    style.tidy(constants, xlabel="Time [s]", ylabel="Time constant [s]")
    constants.set_title(title, fontsize=style.SMALL, loc="left")
    constants.set_ylim(0, min(constants.get_ylim()[1], float(table.time.max())))
    constants.margins(x=0.01)
    style.legend_beside(constants)
    return style.figure_of(plane), np.array([plane, constants])


def fixed_points(
    points: Any, trajectory: Trajectory, ax: Axes | None = None
) -> tuple[Figure, Axes]:
    """Draw fixed and slow points among the activity of trials, along two principal components.

    Lines are trials, in the colours of their directions, from squares at the start. Points have the
    colour of the trial whose input is held: filled circles are stable fixed points, open ones
    unstable, and crosses are slow points.

    Args:
        points: with ``trial``, ``activity``, ``is_fixed`` and ``is_stable``, as found by
            ``agents.analysis.fixed_points`` in this trajectory.
        trajectory: one trial or many of one network, with any leading axes.
        ax: where to draw; a new figure if not given.

    Returns:
        Figure and axes.

    Raises:
        TypeError: if ``trajectory`` is not a ``Trajectory``.
        ValueError: if it has fewer than two units or steps, activity that is not finite, or other
            units than the points.

    Example:
        >>> found = agents.analysis.fixed_points(policy, trajectory, key=key)
        >>> figure, ax = fixed_points(found, trajectory)
    """
    reaches = records.reaches_of_units(trajectory)
    found = analysis.principal_components(reaches.activity)
    if points.activity.shape[-1] != len(found.mean):
        raise ValueError(
            f"points must be of the {len(found.mean)} units of the trajectory, "
            f"got {points.activity.shape[-1]}"
        )
    ax = style.one_axes(ax, (5.6, 4.0))
    colors, scores = reaches.colors, found.scores[..., :2]
    for (x, y), color in zip(scores.swapaxes(1, 2), colors, strict=True):
        width, alpha = style.points(1.4), max(0.4, opacity(len(reaches)))
        ax.plot(x, y, color=color, lw=width, alpha=alpha, zorder=2)
        ax.plot(x[0], y[0], "s", color=color, ms=style.points(4), mew=0, zorder=2.5)
    places: Float[np.ndarray, "points 2"] = ((points.activity - found.mean) @ found.components.T)[
        :, :2
    ]
    kinds = {
        "stable fixed point": (points.is_fixed & points.is_stable, "o", True),
        "unstable fixed point": (points.is_fixed & ~points.is_stable, "o", False),
        "slow point": (~points.is_fixed, "x", True),
    }
    for name, (chosen, marker, is_filled) in kinds.items():
        marks: dict[str, Any] = {"marker": marker, "ls": "none", "ms": style.points(7)}
        marks |= {"mew": style.points(1.4), "zorder": 3}
        for place, trial in zip(places[chosen], points.trial[chosen], strict=True):
            face = colors[trial] if is_filled else "white"
            edge = "black" if marker == "o" and is_filled else colors[trial]
            ax.plot(*place, mfc=face, mec=edge, **marks)
        if chosen.any():
            ax.plot([], [], mfc="0.6" if is_filled else "white", mec="black", label=name, **marks)
    style.tidy(ax, xlabel="Component 1", ylabel="Component 2")
    drop = style.color_key(ax, reaches)
    style.legend_beside(ax, drop=drop)
    return style.figure_of(ax), ax


def _in_words(epoch: str) -> str:
    return epoch.replace("_", " ")
