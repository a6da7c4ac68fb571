"""Figures of lesions."""

from __future__ import annotations

import numpy as np
from jaxtyping import Array, Real
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from fbx_env import checks
from fbx_env.figures.colors import PALETTE
from fbx_env.figures.layout import opacity
from fbx_env.plot import style

MOST_NAMED = 20
"""Up to so many units in the order of their costs are named, more are counted."""


def lesion_costs(
    lesioned: Real[Array | np.ndarray, "units trials"],
    intact: Real[Array | np.ndarray, " trials"],
    *,
    sort: bool = False,
    ax: Axes | None = None,
) -> tuple[Figure, Axes]:
    """Draw how many times larger the loss is without each unit.

    A large dot is the ratio of the mean losses over trials, a small one that of a single trial.

    Args:
        lesioned: loss of each trial without each unit.
        intact: loss of each trial with all units, above 0.
        sort: whether the units are in the order of their cost, instead of that of their indices.
        ax: where to draw; a new figure if not given.

    Returns:
        Figure and axes, with the ratios of the means in ``ax.lines[0]``.

    Raises:
        TypeError: if a loss is no number.
        ValueError: if the shapes do not fit, or an intact loss is not above 0.

    Example:
        >>> lesions = agents.lesion(policy, env, params, trials, key)
        >>> figure, ax = lesion_costs(lesions.lesioned, lesions.intact, sort=True)
    """
    lesioned = checks.array("lesioned", lesioned).astype(float)
    intact = checks.array("intact", intact).astype(float)
    if lesioned.ndim != 2 or not lesioned.size or intact.shape != lesioned.shape[1:]:
        raise ValueError(
            "lesioned must be (units, trials) and intact (trials,), "
            f"got {lesioned.shape} and {intact.shape}"
        )
    if not np.all(intact > 0):
        raise ValueError(f"intact must be greater than 0, got {intact.min():g}")
    ratio = lesioned.mean(axis=1) / intact.mean()
    order = np.argsort(-ratio, kind="stable") if sort else np.arange(len(ratio))
    is_named = len(ratio) <= MOST_NAMED
    place = np.arange(len(ratio)) + (sort and not is_named)
    ax = style.one_axes(ax)
    ax.plot(place, ratio[order], "o", ms=style.points(5), color=PALETTE[0], zorder=3, label="mean")
    ax.vlines(place, 1, ratio[order], color=PALETTE[0], lw=style.points(1.2), zorder=2.5)
    ax.plot(
        np.repeat(place, len(intact)),
        (lesioned / intact)[order].ravel(),
        "o",
        ms=style.points(2),
        mew=0,
        color="0.15",
        alpha=opacity(len(intact)),
        zorder=3.5,
        label="one trial",
    )
    ax.axhline(1, color=style.GUIDE, lw=style.points(1), zorder=1)
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    across = "Unit" if is_named or not sort else "Rank of the unit by its cost"
    style.tidy(ax, xlabel=across, ylabel="Loss, times intact")
    ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    if sort and is_named:
        ax.set_xticks(place, [str(unit) for unit in order], fontsize=style.SMALL)
    style.legend_beside(ax)
    return style.figure_of(ax), ax
