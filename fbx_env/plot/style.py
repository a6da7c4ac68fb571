"""What the figures have in common: how axes look, and the key to the colours of trials."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator

from fbx_env import colors

GUIDE = "0.6"
"""Grey of lines that help reading, such as straight ways and the edge of the workspace."""

SMALL = "small"
"""Font size of legends and keys."""


def new_axes(
    rows: int, columns: int, size: tuple[float, float], **kwargs: Any
) -> tuple[Figure, np.ndarray]:
    """A new figure of ``size`` [inches] with rows times columns of axes, in one flat array."""
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=size,
        layout=ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.06),
        squeeze=False,
        **kwargs,
    )
    return figure, axes.ravel()


def given_axes(axes: Axes | Sequence[Axes] | np.ndarray, n: int) -> np.ndarray:
    """Axes that a caller wants drawn into, in one flat array.

    Raises:
        TypeError: if something else than axes is among them.
        ValueError: if there are not ``n``.
    """
    flat = np.asarray(axes, dtype=object).ravel()
    for ax in flat:
        if not isinstance(ax, Axes):
            raise TypeError(f"axes must be matplotlib axes, got {type(ax).__name__}")
    if len(flat) != n:
        raise ValueError(f"axes must be {n} in number, got {len(flat)}")
    return flat


def figure_of(ax: Axes) -> Figure:
    """The figure that axes belong to, also through subfigures."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    return figure


def tidy(ax: Axes, **labels: Any) -> None:
    """Label axes, and leave only the lines that help reading them."""
    ax.set(**labels)
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(alpha=0.3, lw=0.6)
    ax.set_axisbelow(True)


def equal_aspect(ax: Axes) -> None:
    """Show a metre as long up as across, by wider limits where the axes may choose their own."""
    shared = [group.get_siblings(ax) for group in (ax.get_shared_x_axes(), ax.get_shared_y_axes())]
    both_shared = all(len(siblings) > 1 for siblings in shared)
    ax.set_aspect("equal", adjustable="box" if both_shared else "datalim")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    # Four decimals would run into each other: a common power of ten instead.
    ax.ticklabel_format(scilimits=(-2, 4), useMathText=True)


def legend_beside(ax: Axes, title: str | None = None, top: float = 1.02) -> None:
    """A legend to the right of the axes, where it hides nothing; ``top`` in heights of the axes."""
    ax.legend(
        frameon=False,
        loc="upper left",
        bbox_to_anchor=(1.0, top),
        borderaxespad=0.3,
        fontsize=SMALL,
        title=title,
        title_fontsize=SMALL,
        alignment="left",
    )


def direction_key(ax: Axes, direction: Float[np.ndarray, " trials"]) -> None:
    """Show to the right of the axes which colour is which direction of reach.

    Nothing is shown if all reaches go the same way, and so have one colour.
    """
    angles = np.unique(direction)
    if len(angles) == 1:
        return
    if len(angles) > 24:
        angles = np.linspace(0, 2 * np.pi, 180, endpoint=False)
    extent = ax.get_window_extent().transformed(figure_of(ax).dpi_scale_trans.inverted())
    width, height = 0.6 / extent.width, 0.6 / extent.height
    key = ax.inset_axes((1.03, 0.9 - height, width, height), label="direction key")
    rays = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    lines = np.stack([0.35 * rays, rays], axis=1)
    key.add_collection(
        LineCollection(list(lines), colors=colors.cyclic(angles), linewidths=2, capstyle="round")
    )
    key.set(xlim=(-1.1, 1.1), ylim=(-1.1, 1.1), aspect="equal", anchor="NW")
    key.set_title("Direction\nof reach", fontsize=SMALL, pad=3)
    key.axis("off")
