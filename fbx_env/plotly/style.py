"""The common style of interactive figures: panels of curves, and how axes look."""

from __future__ import annotations

import html

import plotly.graph_objects as go

from fbx_env.figures import colors
from fbx_env.figures.layout import DOTTED, MANY, opacity
from fbx_env.figures.panels import Mean, Panel, legend_groups
from fbx_env.figures.records import Reaches

GUIDE = "#999999"
GRID = "#e5e5e5"


def plain(text: str) -> str:
    """A text that Plotly shows as it is, and takes neither for HTML nor for mathematics."""
    return html.escape(text, quote=False).replace("$", "&#36;")


def add_panel(
    figure: go.Figure,
    panel: Panel,
    reaches: Reaches,
    *,
    legend: bool = True,
    dots: bool = False,
    row: int = 1,
    col: int = 1,
) -> None:
    """Add a curve a trial in the colour of its direction, and the means above them.

    Args:
        figure: with subplots.
        panel: the curves.
        reaches: the trials they belong to.
        legend: whether the legend lists them; what it hides and shows goes for all panels.
        dots: whether to mark time steps, if the trials are few enough.
        row, col: of the subplot, from 1.
    """
    n, cell = len(reaches), {"row": row, "col": col}
    names, groups = reaches.names, legend_groups(reaches)
    where = "(%{x:.3g}, %{y:.3g})" if panel.is_plane else "%{y:.3g}"
    hover = f"{where} {plain(panel.unit)} at %{{customdata:.2f}} s<extra>%{{fullData.name}}</extra>"
    for index, color in enumerate(reaches.colors):
        figure.add_scatter(
            x=panel.x[index],
            y=panel.y[index],
            customdata=panel.time[index],
            mode="lines+markers" if dots and n <= DOTTED else "lines",
            line={"color": color, "width": 2 if n <= MANY else 1},
            marker={"size": 3},
            opacity=opacity(n),
            name=names[index],
            legendgroup=groups[index],
            showlegend=legend and groups[index] == names[index],
            hovertemplate=hover,
            **cell,
        )
    for mean in panel.means:
        _add_mean(figure, mean, legend, **cell)
    if legend and panel.means:
        figure.update_layout(legend_title_text="<br>".join(panel.describe_means))
    figure.update_xaxes(title=panel.x_label, **cell)
    figure.update_yaxes(title=plain(panel.y_label), **cell)
    if panel.is_plane:
        equal_aspect(figure, **cell)


def _add_mean(figure: go.Figure, mean: Mean, legend: bool, **cell: int) -> None:
    """Add a mean as a bold line, with a band of one standard deviation if there is one."""
    color, name = mean.group.color, mean.group.name
    if mean.sd is not None:
        add_band(figure, mean.x, mean.y - mean.sd, mean.y + mean.sd, color, name, **cell)
    figure.add_scatter(
        x=mean.x,
        y=mean.y,
        mode="lines",
        line={"color": color, "width": 4},
        name=name,
        legendgroup=name,
        showlegend=legend,
        hovertemplate="mean (%{x:.3g}, %{y:.3g})<extra>%{fullData.name}</extra>",
        **cell,
    )


def add_band(
    figure: go.Figure, x: object, low: object, high: object, color: str, name: str, **cell: int
) -> None:
    """Add a band between two curves, which the legend hides and shows with ``name``."""
    edges = {"x": x, "mode": "lines", "line": {"width": 0}, "legendgroup": name}
    edges |= {"showlegend": False, "hoverinfo": "skip"}
    figure.add_scatter(y=low, **edges, **cell)
    figure.add_scatter(
        y=high, fill="tonexty", fillcolor=colors.translucent(color, 0.12), **edges, **cell
    )


def equal_aspect(figure: go.Figure, row: int = 1, col: int = 1) -> None:
    """Show a metre as long up as across."""
    axis = figure.get_subplot(row, col).xaxis.plotly_name.replace("axis", "")
    figure.update_xaxes(nticks=4, tickangle=0, row=row, col=col)
    figure.update_yaxes(scaleanchor=axis, row=row, col=col)


def tidy(figure: go.Figure, height: int) -> go.Figure:
    """A white page of a height in pixels, with only the lines that help reading."""
    axes = {"gridcolor": GRID, "zeroline": False, "linecolor": "#333333", "ticks": "outside"}
    figure.update_xaxes(**axes)
    figure.update_yaxes(**axes, title_standoff=8)
    return figure.update_layout(
        height=height,
        plot_bgcolor="white",
        paper_bgcolor="white",
        font={"size": 13, "color": "#000000"},
        legend_title_font_size=13,
        margin={"l": 70, "r": 30, "t": 60, "b": 60},
    )
