"""The common style of figures: their size, how axes look, and the key to trials' colours."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import LineCollection
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import Locator, MaxNLocator
from matplotlib.transforms import ScaledTranslation, Transform

from fbx_env import checks
from fbx_env.figures import colors
from fbx_env.figures.panels import MOST_DIRECTIONS
from fbx_env.figures.records import Reaches

GUIDE = "0.6"
"""Grey of lines that help reading, such as straight lines to goals."""

SMALL = "small"
"""Font size of legends and keys."""

COLUMN_WIDTHS = (3.5, 7.2)
"""Widths [inches] of a figure in one column of a journal's page, and in two."""

TRUETYPE: Any = {"pdf.fonttype": 42, "ps.fonttype": 42}
"""Settings by which fonts are embedded such that text can be searched and edited."""

PAPER: Any = {
    **TRUETYPE,
    "font.size": 7,
    "axes.titlesize": 7.5,
    "axes.linewidth": 0.6,
    "axes.labelpad": 2,
    "axes.titlepad": 4,
    **{
        f"{axis}tick.major.{what}": 2.5 if what == "size" else 0.6
        for axis in "xy"
        for what in ("size", "width")
    },
    **{
        f"{axis}tick.minor.{what}": 1.5 if what == "size" else 0.4
        for axis in "xy"
        for what in ("size", "width")
    },
    "xtick.major.pad": 2,
    "ytick.major.pad": 2,
}
"""Settings of ``paper_style``."""

_paper_width: ContextVar[float | None] = ContextVar("paper_width", default=None)


@contextmanager
def paper_style(columns: int = 1) -> Iterator[None]:
    """Within this context, new figures have the width and the type of a journal's page.

    Figures are 3.5 inches (89 mm) wide in one column and 7.2 inches (183 mm) in two, with type of
    7 points, and what is saved within the context as PDF has its TrueType fonts embedded.

    Args:
        columns: 1 or 2.

    Raises:
        TypeError: if ``columns`` is not a whole number.
        ValueError: if it is neither 1 nor 2.

    Example:
        >>> with paper_style(columns=1):
        ...     figure, ax = speed_profiles(trajectory)
        ...     figure.savefig("speed.pdf")
    """
    columns = checks.whole("columns", columns, at_least=1, at_most=len(COLUMN_WIDTHS))
    token = _paper_width.set(COLUMN_WIDTHS[columns - 1])
    try:
        with mpl.rc_context(PAPER):
            yield
    finally:
        _paper_width.reset(token)


def save_figure(figure: Figure, path: str | os.PathLike[str], **options: Any) -> None:
    """Save a figure; as PDF or PostScript with embedded TrueType fonts.

    Args:
        figure: to save.
        path: of the file, whose name ends in the format, as ``.pdf``, ``.svg`` or ``.png``.
        **options: of ``matplotlib.figure.Figure.savefig``, such as ``dpi``.

    Raises:
        ValueError: if there is no such format.

    Example:
        >>> save_figure(figure, "reaches.pdf")
    """
    with mpl.rc_context(TRUETYPE):
        figure.savefig(path, **options)


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of a size [inches], or in ``paper_style`` as wide as the column."""
    paper = _paper_width.get()
    if paper is not None:
        # Type shrinks less than the width, and so must the height.
        width, height = paper, height * (paper / width) ** 0.65
    return plt.figure(
        figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.06)
    )


def new_axes(
    rows: int, columns: int, size: tuple[float, float], **kwargs: Any
) -> tuple[Figure, np.ndarray]:
    """A new figure of ``size`` [inches] with rows times columns of axes, in one flat array."""
    figure = new_figure(*size)
    return figure, figure.subplots(rows, columns, squeeze=False, **kwargs).ravel()


def given_axes(axes: Axes | Sequence[Axes] | np.ndarray, n: int) -> np.ndarray:
    """Axes that a caller wants drawn into, in one flat array.

    Raises:
        TypeError: if something else than axes is among them.
        ValueError: if there are not ``n``.
    """
    if not isinstance(axes, Axes | Sequence | np.ndarray):
        raise TypeError(f"axes must be matplotlib axes, got {type(axes).__name__}")
    flat = np.asarray(axes, dtype=object).ravel()
    for ax in flat:
        if not isinstance(ax, Axes):
            raise TypeError(f"axes must be matplotlib axes, got {type(ax).__name__}")
    if len(flat) != n:
        raise ValueError(f"axes must be {n} in number, got {len(flat)}")
    return flat


def one_axes(ax: Axes | None, size: tuple[float, float] = (6.4, 3.9), **kwargs: Any) -> Axes:
    """The axes that a caller wants drawn into, or those of a new figure of ``size`` [inches]."""
    axes: Axes = given_axes(new_axes(1, 1, size, **kwargs)[1] if ax is None else ax, 1)[0]
    return axes


def figure_of(ax: Axes) -> Figure:
    """The figure that axes belong to, also through subfigures."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    return figure


def plain(text: str) -> str:
    """A text that matplotlib shows as it is, and never takes for mathematics."""
    return text.replace("$", r"\$")


def tidy(ax: Axes, **labels: Any) -> None:
    """Label axes, and leave only the lines that help reading them."""
    ax.set(**labels)
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(alpha=0.3, lw=0.6)
    ax.set_axisbelow(True)


class SparseLocator(Locator):
    """Round ticks: two or more, but one where the labels of two would run into each other."""

    def __call__(self) -> list[float]:
        assert isinstance(self.axis, Axis)
        return self.tick_values(*self.axis.get_view_interval())

    def tick_values(self, vmin: float, vmax: float) -> list[float]:
        assert isinstance(self.axis, Axis)
        room = int(self.axis.get_tick_space())
        for least in (2, 1):
            locator = MaxNLocator(min(6, max(1, room)), steps=[1, 2, 5, 10], min_n_ticks=least)
            ticks = [float(tick) for tick in locator.tick_values(vmin, vmax)]
            if abs(vmax - vmin) <= (room + 1) * (ticks[1] - ticks[0]):
                break
        return ticks


def equal_aspect(ax: Axes) -> None:
    """Show a metre as long up as across, by wider limits where the axes may choose their own."""
    shared = [group.get_siblings(ax) for group in (ax.get_shared_x_axes(), ax.get_shared_y_axes())]
    both_shared = all(len(siblings) > 1 for siblings in shared)
    ax.set_aspect("equal", adjustable="box" if both_shared else "datalim")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(SparseLocator())
    # Four decimals would run into each other: a common power of ten instead.
    ax.ticklabel_format(scilimits=(-2, 4), useMathText=True)


def points(size: float) -> float:
    """A width of lines or a size of marks that goes with type of 10 points, for that in use."""
    return size * float(mpl.rcParams["font.size"]) / 10


def legend_beside(ax: Axes, title: str | None = None, drop: float = 0.0, **legend: Any) -> None:
    """A legend to the right of the axes, hiding nothing, ``drop`` inches below their top."""
    ax.legend(
        frameon=False,
        loc="upper left",
        bbox_to_anchor=(0, -drop),
        bbox_transform=_inches_from_corner(ax),
        borderaxespad=0.3,
        fontsize=SMALL,
        title=title,
        title_fontsize=SMALL,
        alignment="left",
        **legend,
    )


def color_key(ax: Axes, reaches: Reaches) -> float:
    """Show to the right of the axes which colour is which direction of reach, or drawn number.

    Nothing is shown if all trials have one colour.

    Returns:
        How much of the height of the axes is used [inches].
    """
    if len(np.unique(reaches.condition)) == 1:
        return 0.0
    return _value_key(ax, reaches) if reaches.by else _direction_key(ax, reaches.direction)


def _value_key(ax: Axes, reaches: Reaches) -> float:
    """Show which colour is which number, as a bar."""
    low, high = reaches.condition.min(), reaches.condition.max()
    size, title = points(0.9), points(0.4)
    box = (0.15, -size - title, points(0.15), size)
    key = ax.inset_axes(box, transform=_inches_from_corner(ax), label="color key")
    shades = ListedColormap(colors.sequential(np.linspace(low, high, 64)))
    key.imshow(
        np.linspace(low, high, 64)[:, None],
        cmap=shades,
        origin="lower",
        aspect="auto",
        extent=(0, 1, low, high),
    )
    key.set_xticks([])
    key.yaxis.tick_right()
    key.yaxis.set_major_locator(MaxNLocator(4))
    key.tick_params(labelsize=SMALL)
    name = reaches.by.rpartition(".")[2].replace("_", " ")
    key.set_title(plain(name), fontsize=SMALL, pad=points(6), loc="left")
    return size + title


def _direction_key(ax: Axes, direction: Float[np.ndarray, " trials"]) -> float:
    """Show which colour is which direction of reach, as rays."""
    angles = np.unique(direction)
    if len(angles) > MOST_DIRECTIONS:
        angles = np.linspace(0, 2 * np.pi, 180, endpoint=False)
    size, title = points(0.6), points(0.3)
    key = ax.inset_axes(
        (0.1, -size - title, size, size), transform=_inches_from_corner(ax), label="direction key"
    )
    rays = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    lines = np.stack([0.35 * rays, rays], axis=1)
    key.add_collection(
        LineCollection(
            list(lines), colors=colors.cyclic(angles), linewidths=points(2), capstyle="round"
        )
    )
    key.set(xlim=(-1.1, 1.1), ylim=(-1.1, 1.1), aspect="equal", anchor="NW")
    key.set_title("Direction\nof reach", fontsize=SMALL, pad=points(3))
    key.axis("off")
    return size + title


def _inches_from_corner(ax: Axes) -> Transform:
    """Inches from the upper right corner of the axes, however large these become."""
    corner = ScaledTranslation(1.0, 1.0, ax.transAxes)  # type: ignore[arg-type]
    return figure_of(ax).dpi_scale_trans + corner
