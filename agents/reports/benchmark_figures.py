"""The figure of a benchmark: how the time of an update grows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from agents.reports.benchmark import Curve
from fbx_env.figures.colors import PALETTE
from fbx_env.plot import style


def draw_growth(curves: Sequence[Curve]) -> Figure:
    """The time of an update as each quantity grows, beside growth in proportion."""
    figure, axes = style.new_axes(
        2, len(curves), (2.5 * len(curves) + 0.6, 5.0), sharey="row", sharex="col"
    )
    upper, lower = np.split(axes, 2)
    for above, below, curve in zip(upper, lower, curves, strict=True):
        values = np.array(curve.values)
        power = -1.0 if curve.quantity == "devices" else 1.0
        for ax, taken in ((above, 1e3 * np.array(curve.seconds)), (below, curve.mebibytes)):
            in_proportion = taken[0] * (values / values[0]) ** power
            ax.plot(
                values, in_proportion, color=style.GUIDE, ls="--", lw=1.2, label="in proportion"
            )
            ax.plot(values, taken, "o-", color=PALETTE[0], label="measured")
            style.tidy(ax, xscale="log", yscale="log")
            ax.set_xticks(values, [f"{value:,}" for value in values])
            ax.xaxis.set_minor_locator(NullLocator())
        below.set_xlabel(curve.quantity.capitalize())
    upper[0].set_ylabel("Time of an update [ms]")
    lower[0].set_ylabel("Memory of each device [MiB]")
    style.legend_beside(upper[-1])
    return figure
