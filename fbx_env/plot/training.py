"""Figures of training: losses over the updates."""

from __future__ import annotations

from itertools import cycle, product
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fbx_env.figures.colors import PALETTE
from fbx_env.figures.layout import describe_band
from fbx_env.figures.loss_curves import LossCurve, LossHistory, loss_curve, term_curves
from fbx_env.plot import style

DASHES = ("-", "--", ":")
"""Of loss terms, when there are more of them than colours."""


def loss_history(history: LossHistory, ax: Axes | None = None) -> tuple[Figure, Axes]:
    """Draw the training loss over the updates, in total and by term, and the validation loss.

    Of replicates, which were trained at once, the arithmetic mean is drawn, within a band from the
    lowest to the highest. Terms then still add up to the total, which a geometric mean would break.

    Args:
        history: with ``terms`` and the columns ``iteration``, ``training_<term>``,
            ``training_total`` and ``validation_total``, the last with NaN where there was no
            validation; all but the first ``(updates,)`` or ``(updates, replicates)``.
        ax: where to draw; a new figure if not given.

    Returns:
        Figure and axes, both logarithmic; the first update is drawn at 1.

    Raises:
        TypeError: if ``history`` is not a history.
        ValueError: if it has no updates, or a column has the wrong shape.

    Example:
        >>> policy, history = agents.train(policy, env, params, key=key)
        >>> figure, ax = loss_history(history)
    """
    total = loss_curve(history, "training_total")
    terms = term_curves(history)
    ax = style.one_axes(ax)
    _draw(ax, total, "black", "total", 2.2, zorder=1.9)
    for (term, curve), (dashes, color) in zip(terms, cycle(product(DASHES, PALETTE))):
        _draw(ax, curve, color, style.plain(term), 1.0, ls=dashes)
    _draw_marks(ax, loss_curve(history, "validation_total"), "total, validation")
    return _finish(ax, "Loss", total)


def training_and_validation(history: LossHistory, ax: Axes | None = None) -> tuple[Figure, Axes]:
    """Draw the total training loss against the total validation loss, with their last values.

    The two differ even without overfitting, since validation trials are other reaches than those
    of training, and often shorter ones.

    Args:
        history: as for ``loss_history``.
        ax: where to draw; a new figure if not given.

    Returns:
        Figure and axes, both logarithmic; the first update is drawn at 1.

    Raises:
        TypeError: if ``history`` is not a history.
        ValueError: if it has no updates, or a column has the wrong shape.

    Example:
        >>> figure, ax = training_and_validation(history)
    """
    training = loss_curve(history, "training_total")
    validation = loss_curve(history, "validation_total")
    ax = style.one_axes(ax)
    _draw(ax, training, PALETTE[0], f"training{_last(training)}", 1.3)
    _draw(ax, validation, PALETTE[1], f"validation{_last(validation)}", 1.7, marker="o")
    return _finish(ax, "Total loss", training)


def _draw(ax: Axes, curve: LossCurve, color: str, label: str, width: float, **line: Any) -> None:
    """The mean as a line, a single update as a point; the band if there are replicates."""
    if len(curve.update) == 1:
        line["marker"] = "o"
    ax.plot(
        curve.update,
        curve.mean,
        color=color,
        label=label,
        lw=style.points(width),
        ms=style.points(4),
        **line,
    )
    if curve.n_replicates > 1:
        ax.fill_between(curve.update, curve.low, curve.high, color=color, alpha=0.2, lw=0)


def _draw_marks(ax: Axes, curve: LossCurve, label: str) -> None:
    """Hollow marks at the mean, with a bar from lowest to highest if there are replicates."""
    size, edge = map(style.points, (4.5, 1.2))
    marks: dict[str, Any] = {"marker": "o", "ms": size, "mfc": "white", "mew": edge}
    ax.plot(curve.update, curve.mean, color="black", ls="none", label=label, zorder=3, **marks)
    if curve.n_replicates > 1:
        ax.vlines(curve.update, curve.low, curve.high, color="black", lw=1, zorder=2.9)


def _finish(ax: Axes, label: str, curve: LossCurve) -> tuple[Figure, Axes]:
    style.tidy(ax, xscale="log", yscale="log", xlabel="Update", ylabel=label)
    style.legend_beside(ax, describe_band(curve.n_replicates))
    return style.figure_of(ax), ax


def _last(curve: LossCurve) -> str:
    return f"\n  {curve.mean[-1]:.2e} at the end" if len(curve.mean) else ""
