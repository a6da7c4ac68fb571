"""Panels of curves, drawn into axes."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend_handler import HandlerTuple
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from fbx_env.figures.layout import DOTTED, MANY, opacity
from fbx_env.figures.panels import Panel
from fbx_env.figures.records import Reaches
from fbx_env.plot import style


def draw_panel(ax: Axes, panel: Panel, reaches: Reaches, dots: bool = False) -> None:
    """Draw a curve a trial in the colour of its direction, and the means above them.

    Args:
        ax: where to draw.
        panel: the curves.
        reaches: the trials they belong to.
        dots: whether to mark time steps, if the trials are few enough.
    """
    n = len(reaches)
    width, dot = map(style.points, (1.5, 3.0) if n <= MANY else (0.9, 1.5))
    marker = "." if dots and n <= DOTTED else ""
    for x, y, color in zip(panel.x, panel.y, reaches.colors, strict=True):
        ax.plot(x, y, color=color, lw=width, alpha=opacity(n), marker=marker, ms=dot, zorder=2)
    for mean in panel.means:
        color = mean.group.color
        ax.plot(mean.x, mean.y, lw=style.points(2), color=color, zorder=2.5)
        if mean.sd is not None:
            low, high = mean.y - mean.sd, mean.y + mean.sd
            alpha = 0.2 if len(panel.means) == 1 else 0.12
            ax.fill_between(mean.x, low, high, color=color, alpha=alpha, lw=0, zorder=2.4)
    title = style.plain(panel.title)
    style.tidy(ax, title=title, xlabel=panel.x_label, ylabel=style.plain(panel.y_label))
    if panel.is_plane:
        style.equal_aspect(ax)
    else:
        ax.margins(x=0.01)


def means_legend(ax: Axes, panel: Panel, drop: float) -> None:
    """Say to the right of the axes, ``drop`` inches below their top, what the means are."""
    if panel.means:
        style.legend_beside(ax, drop=drop, **_legend_of(panel, "\n"))


def means_legend_below(figure: Figure, panel: Panel) -> None:
    """Say below all axes of a figure what the means are."""
    if panel.means:
        figure.legend(
            loc="outside lower center",
            frameon=False,
            fontsize=style.SMALL,
            **_legend_of(panel, ", "),
        )


def _legend_of(panel: Panel, separator: str) -> dict[str, Any]:
    color = panel.means[0].group.color if len(panel.means) == 1 else "0.3"
    line = Line2D([], [], color=color, lw=style.points(2))
    band = () if panel.is_plane else (Patch(color=color, alpha=0.2, lw=0),)
    return {
        "handles": [(*band, line)],
        "labels": [separator.join(panel.describe_means)],
        "handler_map": {tuple: HandlerTuple(ndivide=1, pad=0)},
    }
