"""Figures of pandas frames: their columns checked, and their means drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from matplotlib.axes import Axes

from fbx_env.plot import style

if TYPE_CHECKING:
    from pandas.core.groupby import SeriesGroupBy


def draw_course(
    ax: Axes, grouped: SeriesGroupBy[Any, Any], color: str, label: str, dashes: str = "-"
) -> None:
    """Means over trials, in a band of one standard deviation."""
    mean, sd = grouped.mean(), grouped.std().fillna(0.0)
    x = mean.index.to_numpy()
    ax.plot(x, mean, color=color, ls=dashes, lw=style.points(1.8), label=label, zorder=2.5)
    ax.fill_between(x, mean - sd, mean + sd, color=color, alpha=0.15, lw=0, zorder=2)


def check_frame(name: str, frame: Any, columns: Sequence[str]) -> None:
    """Raise ``TypeError`` or ``ValueError`` for what is no frame with rows and these columns."""
    there = getattr(frame, "columns", None)
    if there is None:
        raise TypeError(f"{name} must be a pandas frame, got {type(frame).__name__}")
    missing = [column for column in columns if column not in there]
    if missing or not len(frame):
        got = ", ".join(map(str, there))
        raise ValueError(
            f"{name} must have rows and the columns {', '.join(columns)}; got {len(frame)} rows "
            f"of {got}"
        )
