"""Interactive figures of training: losses over the updates."""

from __future__ import annotations

from itertools import cycle, product

import plotly.graph_objects as go

from fbx_env.figures import colors
from fbx_env.figures.layout import describe_band
from fbx_env.figures.loss_curves import LossCurve, LossHistory, loss_curve, term_curves
from fbx_env.plotly.style import add_band, plain, tidy

DASHES = ("solid", "dash", "dot")
"""Of loss terms, when there are more of them than colours."""

HOVER = "%{y:.3g} at update %{x}<extra>%{fullData.name}</extra>"


def loss_history(history: LossHistory) -> go.Figure:
    """Draw the training loss in total and by term, and the validation loss, over the updates.

    Of replicates the arithmetic mean is drawn, within a band from the lowest to the highest.

    Args:
        history: as for ``fbx_env.plot.loss_history``.

    Raises:
        TypeError: if ``history`` is not a history.
        ValueError: if it has no updates, or a column has the wrong shape.

    Example:
        >>> loss_history(history).show()
    """
    figure = go.Figure()
    total = loss_curve(history, "training_total")
    _add_loss(figure, total, "#000000", "total", width=3)
    for (term, curve), (dash, color) in zip(
        term_curves(history), cycle(product(DASHES, colors.PALETTE))
    ):
        _add_loss(figure, curve, color, plain(term), dash=dash)
    _add_marks(figure, loss_curve(history, "validation_total"), "total, validation")
    return _tidy_losses(figure, "Loss", total)


def training_and_validation(history: LossHistory) -> go.Figure:
    """Draw the total training loss against the total validation loss.

    Args:
        history: as for ``fbx_env.plot.training_and_validation``.

    Raises:
        TypeError: if ``history`` is not a history.
        ValueError: if it has no updates, or a column has the wrong shape.

    Example:
        >>> training_and_validation(history).show()
    """
    figure = go.Figure()
    training = loss_curve(history, "training_total")
    validation = loss_curve(history, "validation_total")
    _add_loss(figure, training, colors.PALETTE[0], "training")
    _add_loss(figure, validation, colors.PALETTE[1], "validation", width=3, mode="lines+markers")
    return _tidy_losses(figure, "Total loss", training)


def _add_loss(
    figure: go.Figure,
    curve: LossCurve,
    color: str,
    name: str,
    width: float = 1.5,
    mode: str = "lines",
    dash: str = "solid",
) -> None:
    """Add the mean as a line, a single update as a point; the band if there are replicates."""
    if curve.n_replicates > 1:
        add_band(figure, curve.update, curve.low, curve.high, color, name)
    figure.add_scatter(
        x=curve.update,
        y=curve.mean,
        mode="lines+markers" if len(curve.update) == 1 else mode,
        line={"color": color, "width": width, "dash": dash},
        name=name,
        legendgroup=name,
        hovertemplate=HOVER,
    )


def _add_marks(figure: go.Figure, curve: LossCurve, name: str) -> None:
    """Add hollow marks at the mean, with a bar from lowest to highest if there are replicates."""
    bars = None
    if curve.n_replicates > 1:
        bars = {
            "type": "data",
            "symmetric": False,
            "array": curve.high - curve.mean,
            "arrayminus": curve.mean - curve.low,
            "width": 0,
            "color": "#000000",
        }
    figure.add_scatter(
        x=curve.update,
        y=curve.mean,
        error_y=bars,
        mode="markers",
        marker={"size": 8, "color": "white", "line": {"color": "#000000", "width": 1.5}},
        line={"color": "#000000"},
        name=name,
        hovertemplate=HOVER,
    )


def _tidy_losses(figure: go.Figure, title: str, curve: LossCurve) -> go.Figure:
    powers = {"type": "log", "dtick": 1, "exponentformat": "power"}
    figure.update_xaxes(title="Update", **powers)
    figure.update_yaxes(title=title, **powers)
    meaning = describe_band(curve.n_replicates)
    if meaning is not None:
        figure.update_layout(legend_title_text=meaning.replace("\n", "<br>"))
    return tidy(figure, 460)
