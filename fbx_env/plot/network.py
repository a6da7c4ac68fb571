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
    explains, with the median of each epoch. To the right, if there are several epochs, how far the
    preferred direction of each unit changes from one to the next, as a cumulative share of units.

    Args:
        table: with the columns ``epoch``, ``unit``, ``direction`` [rad] and ``explained``, as that
            of ``agents.analysis.tuning``; several networks may follow each other, with another
            number each in a column ``replicate``.
        axes: two to draw into, or one of a single epoch; a new figure if not given.

    Returns:
        Figure and axes.

    Raises:
        TypeError: if ``table`` has no columns.
        ValueError: if a column is missing, or there are no rows.

    Example:
        >>> figure, axes = tuning_by_epoch(agents.analysis.tuning(trajectory, params))
    """
    check_frame("table", table, ("epoch", "unit", "direction", "explained"))
    epochs = list(dict.fromkeys(table.epoch))
    n_axes = 1 if len(epochs) == 1 else 2
    new = style.new_axes(1, n_axes, (0.4 + 3.5 * n_axes, 3.0))[1] if axes is None else axes
    shares, *others = flat = style.given_axes(new, n_axes)
    places = np.random.default_rng(0)
    for place, epoch in enumerate(epochs):
        explained = table[table.epoch == epoch].explained.to_numpy()
        beside = place + places.uniform(-0.22, 0.22, len(explained))
        color = PALETTE[place % len(PALETTE)]
        shares.plot(beside, explained, "o", color=color, ms=style.points(3.5), mew=0, alpha=0.6)
        median = np.full(2, np.median(explained))
        shares.plot(place + np.array([-0.3, 0.3]), median, color="black", lw=style.points(2))
    style.tidy(shares, ylabel="Variance explained\nby direction (R²)", ylim=(-0.03, 1.03))
    shares.set_title("Each unit, and the median", fontsize=style.SMALL, loc="left")
    names = [style.plain(_in_words(epoch)) for epoch in epochs]
    shares.set_xticks(range(len(epochs)), [name.replace(" ", "\n") for name in names])
    shares.yaxis.set_major_formatter(PercentFormatter(1))
    for ax in others:
        _draw_turns(ax, table, epochs)
    return style.figure_of(shares), flat


def subspaces(
    dimensions: pandas.DataFrame,
    angles: pandas.DataFrame | None = None,
    axes: Sequence[Axes] | np.ndarray | None = None,
) -> tuple[Figure, np.ndarray]:
    """Draw in how many dimensions activity varies in each epoch, and how these lie to each other.

    Above, the variance that the first components explain together, with the participation ratio of
    each epoch; below, the principal angles between the subspaces of two epochs.
    With several networks, the curves are means, in bands of one standard deviation.

    Args:
        dimensions: with the columns ``epoch``, ``component``, ``together`` and
            ``participation_ratio``, as that of ``agents.analysis.dimensionality``.
        angles: with the columns ``first``, ``second``, ``index``, ``angle`` [rad] and
            ``alignment``, as that of ``agents.analysis.subspace_angles``; ``None`` of one epoch.
        axes: two to draw into, or one without angles; a new figure if not given.

    Returns:
        Figure and axes.

    Raises:
        TypeError: if an argument has no columns.
        ValueError: if a column is missing, or there are no rows.

    Example:
        >>> figure, axes = subspaces(dimensionality(trajectory, params), angles)
    """
    check_frame("dimensions", dimensions, ("epoch", "component", "together", "participation_ratio"))
    n_axes = 1 if angles is None else 2
    new = style.new_axes(n_axes, 1, (6.2, 2.5 * n_axes))[1] if axes is None else axes
    variance, *others = flat = style.given_axes(new, n_axes)
    shown = dimensions[dimensions.component <= 10]
    for color, (epoch, rows) in zip(PALETTE, shown.groupby("epoch", sort=False), strict=False):
        ratio = rows.participation_ratio.mean()
        label = f"{_in_words(str(epoch))} ({ratio:.2g})"
        draw_course(variance, rows.groupby("component").together, color, style.plain(label))
    style.tidy(variance, xlabel="Number of components", ylabel="Variance explained", ylim=(0, 1.03))
    variance.yaxis.set_major_formatter(PercentFormatter(1))
    variance.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    style.legend_beside(variance, "Epoch (participation ratio)")
    for ax in others:
        _draw_angles(ax, angles)
    return style.figure_of(variance), flat


def eigenvalues(
    table: pandas.DataFrame, axes: Sequence[Axes] | np.ndarray | None = None
) -> tuple[Figure, np.ndarray]:
    """Draw the eigenvalues at the end of trials, and how fast the slowest modes fade along them.

    To the left the plane of complex numbers with the circle within which deviations fade; to the
    right the decay rates of the slowest modes, means over trials, and over networks if there are
    several, in bands of one standard deviation. Below zero, deviations grow. Each eigenvalue of a
    complex pair is a mode.

    Args:
        table: with the columns ``time`` [s], ``system``, ``mode``, ``real``, ``imaginary`` and
            ``decay_rate`` [1/s], as that of ``agents.analysis.Linearisation.frame``.
        axes: two to draw into; a new figure if not given.

    Returns:
        Figure and axes.

    Raises:
        TypeError: if ``table`` has no columns.
        ValueError: if a column is missing, or there are no rows.

    Example:
        >>> figure, axes = eigenvalues(linearise(policy, params, trials).frame())
    """
    columns = ("time", "system", "mode", "real", "imaginary", "decay_rate")
    check_frame("table", table, columns)
    new = style.new_axes(1, 2, (7.6, 3.2))[1] if axes is None else axes
    plane, rates = style.given_axes(new, 2)
    plane.add_patch(Circle((0, 0), 1, fill=False, color=style.GUIDE, lw=style.points(1)))
    at_the_end = table[table.time == table.time.max()]
    n_modes = table["mode"].nunique()
    for (system, color), marker in zip(SYSTEMS.items(), "o+", strict=True):
        own = at_the_end[at_the_end.system == system]
        alpha = max(0.35, opacity(len(own) // n_modes))
        marks: dict[str, Any] = {"color": color, "ms": style.points(4), "alpha": alpha}
        plane.plot(own.real, own.imaginary, marker, mew=style.points(0.8), mfc="none", **marks)
        own = table[(table.system == system) & (table["mode"] < N_MODES)]
        own = own[np.isfinite(own.decay_rate)]
        for mode, rows in own.groupby("mode"):
            dashes = ("-", "--", ":")[int(str(mode))]
            draw_course(rates, rows.groupby("time").decay_rate, color, "_", dashes)
        rates.plot([], [], color=color, lw=style.points(1.8), label=system)
    style.tidy(plane, xlabel="Real part", ylabel="Imaginary part")
    plane.set_title("Eigenvalues at the end", fontsize=style.SMALL, loc="left")
    style.equal_aspect(plane)
    rates.axhline(0, color=style.GUIDE, lw=style.points(1), zorder=1)
    style.tidy(rates, xlabel="Time [s]", ylabel="Decay rate [1/s]")
    title = f"The {N_MODES} slowest modes (slowest: solid line)"
    rates.set_title(title, fontsize=style.SMALL, loc="left")
    rates.margins(x=0.01)
    style.legend_beside(rates)
    return style.figure_of(plane), np.array([plane, rates])


def fixed_points(
    points: Any, trajectory: Trajectory, ax: Axes | None = None
) -> tuple[Figure, Axes]:
    """Draw fixed and slow points among the activity of trials, along two principal components.

    Lines are trials, from squares at the start, in the colours of their directions if these differ.
    Points have the colour of the trial whose input is held: filled circles are stable fixed points,
    open ones unstable, and crosses are slow points.

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
            units or fewer trials than the points.

    Example:
        >>> found = agents.analysis.fixed_points(policy, params, trajectory, key=key)
        >>> figure, ax = fixed_points(found, trajectory)
    """
    reaches = records.reaches_of_units(trajectory)
    found = analysis.principal_components(reaches.activity)
    if max(points.trial, default=0) >= len(reaches):
        raise ValueError(
            f"points must be of the {len(reaches)} trials of the trajectory, got trial "
            f"{max(points.trial)}"
        )
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
    labels = [f"Component {at + 1} ({found.explained[at]:.0%})" for at in (0, 1)]
    style.tidy(ax, xlabel=labels[0], ylabel=labels[1])
    drop = style.color_key(ax, reaches)
    style.legend_beside(ax, drop=drop)
    return style.figure_of(ax), ax


def _draw_angles(ax: Axes, angles: Any) -> None:
    """The principal angles between the subspaces of each two epochs."""
    check_frame("angles", angles, ("first", "second", "index", "angle", "alignment"))
    pairs = angles.assign(angle=np.rad2deg(angles.angle)).groupby(["first", "second"], sort=False)
    for color, ((first, second), rows) in zip(PALETTE, pairs, strict=False):
        label = f"{_in_words(first)}, {_in_words(second)} ({rows.alignment.mean():.2g})"
        draw_course(ax, rows.groupby("index").angle, color, style.plain(label))
    style.tidy(ax, xlabel="Index of the principal angle", ylabel="Angle between\nsubspaces [°]")
    ax.set(ylim=(0, 93), yticks=np.arange(0, 91, 30))
    ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    style.legend_beside(ax, "Epochs (alignment)")


def _draw_turns(ax: Axes, table: pandas.DataFrame, epochs: Sequence[str]) -> None:
    """How far preferred directions change from an epoch to the next."""
    index = [name for name in ("replicate", "unit") if name in table.columns]
    directions = table.pivot(index=index, columns="epoch", values="direction")
    for color, (one, other) in zip(PALETTE[1:], itertools.pairwise(epochs), strict=False):
        turn = np.abs(np.angle(np.exp(1j * (directions[other] - directions[one]))))
        label = style.plain(f"{_in_words(one)} to\n{_in_words(other)}")
        ax.ecdf(np.rad2deg(turn), color=color, lw=style.points(1.8), label=label)
    style.tidy(ax, xlabel="Change in preferred direction [°]", ylabel="Cumulative share of units")
    ax.set(xlim=(0, 180), ylim=(0, 1.03), xticks=np.arange(0, 181, 45))
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    style.legend_beside(ax)


def _in_words(epoch: str) -> str:
    return epoch.replace("_", " ")
