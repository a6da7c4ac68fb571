"""Figures of the body: postures during reaches, and the state of joints and muscles over time."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle, product
from typing import Any

import jax
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fbx_env import checks
from fbx_env.figures import records
from fbx_env.figures.colors import PALETTE
from fbx_env.figures.layout import MANY, opacity
from fbx_env.figures.records import Reaches
from fbx_env.parts.plants.visible_plant import Outline, VisiblePlant
from fbx_env.plot import style
from fbx_env.plot.reaches import draw_ends
from fbx_env.rollout import Trajectory

REGION = "0.95"
"""Grey of where the effector can be."""

DASHES = ("-", "--", ":")
"""Of parts of a body, when there are more of them than colours."""


def postures(
    trajectory: Trajectory, plant: VisiblePlant, ax: Axes | None = None
) -> tuple[Figure, Axes]:
    """Draw the body at the start and at the end of reaches, with the paths between.

    The posture at a start is grey, and that at an end has the colour of the trial. Where the
    effector can be is shaded.

    Args:
        trajectory: one trial or many, with any leading axes.
        plant: whose states they are, ``params.plant``.
        ax: where to draw; a new figure if not given.

    Returns:
        Figure and axes.

    Raises:
        TypeError: if ``trajectory`` is not a ``Trajectory``, or the plant shows nothing.
        ValueError: if there are no trials.

    Example:
        >>> figure, ax = postures(trajectory, params.plant)
    """
    reaches = records.reaches(trajectory)
    outlines = outlines_of(trajectory, plant, reaches)
    ax = style.one_axes(ax, (5.2, 3.8))
    if outlines.region.shape[-2]:
        ax.fill(*outlines.region[0, 0].T, color=REGION, zorder=0, label="reachable region")
    width, alpha = style.points(3 if len(reaches) <= MANY else 1), opacity(len(reaches))
    link: dict[str, Any] = {"marker": "o", "mfc": "white", "ms": style.points(6), "lw": width}
    for index, color in enumerate(reaches.colors):
        ax.plot(*outlines.links[index, 0].T, color="0.6", alpha=alpha, zorder=1, **link)
        ax.plot(*outlines.links[index, -1].T, color=color, alpha=alpha, zorder=1.5, **link)
        ax.plot(*reaches.pos[index].T, color=color, lw=style.points(1.5), zorder=2)
    draw_ends(ax, reaches)
    style.tidy(ax, xlabel="x [m]", ylabel="y [m]")
    style.equal_aspect(ax)
    style.color_key(ax, reaches)
    return style.figure_of(ax), ax


def body_signals(
    trajectory: Trajectory, plant: VisiblePlant, axes: Sequence[Axes] | np.ndarray | None = None
) -> tuple[Figure, np.ndarray]:
    """Draw the state of joints and muscles over a trial, a panel for each quantity.

    Args:
        trajectory: one trial.
        plant: whose states they are, ``params.plant``.
        axes: as many axes as there are quantities; a new figure if not given.

    Returns:
        Figure and axes.

    Raises:
        TypeError: if ``trajectory`` is not a ``Trajectory``, or the plant shows nothing.
        ValueError: if it is a batch; take one trial of it.

    Example:
        >>> figure, axes = body_signals(fbx_env.tree_take(trajectory, 0), params.plant)
    """
    reach = records.one_reach(trajectory)
    checks.instance("plant", plant, VisiblePlant)
    signals = jax.tree.map(np.asarray, jax.vmap(plant.signals)(trajectory.plant))
    height = 1.1 + 1.15 * len(signals)
    made = style.new_axes(len(signals), 1, (6.0, height), sharex=True)[1] if axes is None else axes
    flat = style.given_axes(made, len(signals))
    named: set[str] = set()
    for ax, (label, parts) in zip(flat, signals.items(), strict=True):
        for (part, values), (dashes, color) in zip(parts.items(), cycle(product(DASHES, PALETTE))):
            ax.plot(reach.time[0], values, color=color, ls=dashes, label=style.plain(part))
        name, _, unit = label.partition(" [")
        style.tidy(ax, ylabel=style.plain(name.replace(" ", "\n", 1) + (unit and f" [{unit}")))
        ax.margins(x=0.01)
        # One legend for all panels that have the same parts.
        if not named.issuperset(parts):
            style.legend_beside(ax)
            named.update(parts)
    flat[-1].set_xlabel("Time [s]")
    return style.figure_of(flat[0]), flat


def outlines_of(trajectory: Trajectory, plant: VisiblePlant, reaches: Reaches) -> Outline:
    """How the body looks in every state, with axes of trials and states.

    Raises:
        TypeError: if the plant shows nothing.
    """
    checks.instance("plant", plant, VisiblePlant)
    n = len(reaches.shape) + 1
    states = jax.tree.map(lambda x: x.reshape(-1, *x.shape[n:]), trajectory.plant)
    every = jax.jit(jax.vmap(plant.outline))(states)
    shape = reaches.pos.shape[:2]
    outlines: Outline = jax.tree.map(lambda x: np.asarray(x).reshape(*shape, *x.shape[1:]), every)
    return outlines


def new_links(ax: Axes, reaches: Reaches) -> list[Line2D]:
    """Lines for the links of each trial, without data yet, in the colours of the trials."""
    return [
        ax.plot([], [], "-o", color=color, mfc="white", lw=2.5, alpha=opacity(len(reaches)))[0]
        for color in reaches.colors
    ]
