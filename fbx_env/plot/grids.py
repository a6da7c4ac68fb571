"""Grids of axes with labels at their outer edges only."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes

from fbx_env.figures.layout import grid_columns
from fbx_env.plot import style


def new_grid(n: int, *, sharey: bool = True) -> np.ndarray:
    """A new figure of ``n`` axes over the same times, and by default on the same scale."""
    columns = grid_columns(n)
    rows = math.ceil(n / columns)
    size = (2.5 * columns + 1.4, 1.6 * rows + 0.7)
    _, axes = style.new_axes(rows, columns, size, sharex=True, sharey=sharey)
    for ax in axes[n:]:
        ax.remove()
    return axes[:n]


def label_outer(axes: np.ndarray, *, sharey: bool = True) -> None:
    """Keep the labels of those axes of a grid that have no others below, or to the left.

    Args:
        axes: of the grid.
        sharey: whether they are on the same scale; if not, all keep their labels of y.
    """
    cells = [_cell(ax) for ax in axes]
    for ax, (row, column) in zip(axes, cells, strict=True):
        if (row + 1, column) in cells:
            ax.set_xlabel("")
        else:
            ax.tick_params(labelbottom=True)
        if sharey and (row, column - 1) in cells:
            ax.set_ylabel("")
        else:
            ax.tick_params(labelleft=True)


def upper_right(axes: np.ndarray) -> Axes:
    """The axes of a grid that stand furthest right in its first row."""
    corner: Axes = min(axes, key=lambda ax: (_cell(ax)[0], -_cell(ax)[1]))
    return corner


def _cell(ax: Axes) -> tuple[float, float]:
    """Row and column of axes in their grid; nowhere if they are in none."""
    spec = ax.get_subplotspec()
    return (math.nan, math.nan) if spec is None else (spec.rowspan.start, spec.colspan.start)
