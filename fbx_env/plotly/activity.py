"""Interactive figures of a network's activity."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import plotly.graph_objects as go
from jaxtyping import PRNGKeyArray
from plotly.subplots import make_subplots

from fbx_env.figures import colors, records
from fbx_env.figures.layout import grid_columns, largest
from fbx_env.figures.panels import component_panels, unit_panels
from fbx_env.plotly.style import GRID, GUIDE, add_panel, tidy
from fbx_env.rollout import Trajectory

NOT_FINITE = "#cccccc"

EXPLAINED: dict[str, Any] = {
    "colorscale": [[0, "#d9d9d9"], [1, colors.PALETTE[0]]],
    "cmin": 0,
    "cmax": 1,
    "colorbar": {
        "title": {"text": "Explained by<br>direction", "side": "top"},
        "tickformat": ".0%",
        "x": 1.14,
    },
}
"""Of marks, from a pale grey for nothing to blue for everything."""


def activity_heatmap(trajectory: Trajectory) -> go.Figure:
    """Draw the activity of all units over time on one trial; white is none, grey not finite.

    Args:
        trajectory: one trial.

    Raises:
        TypeError: if ``trajectory`` is not a ``Trajectory``.
        ValueError: if it is a batch; take one trial of it.

    Example:
        >>> activity_heatmap(fbx_env.tree_take(trajectory, 0)).show()
    """
    reach = records.one_reach(trajectory)
    limit = largest(reach.activity)
    heatmap = go.Heatmap(
        # Steps last from one state to the next: edges, one more than columns.
        x=reach.time[0],
        y=np.arange(reach.activity.shape[-1]),
        z=reach.activity[0].T,
        colorscale=colors.DIVERGING,
        zmin=-limit,
        zmax=limit,
        colorbar={"title": {"text": "Activity", "side": "top"}},
        hovertemplate="unit %{y} at %{x:.2f} s: %{z:.3f}<extra></extra>",
    )
    figure = go.Figure(heatmap)
    figure.update_xaxes(title="Time [s]", showgrid=False)
    figure.update_yaxes(title="Unit", showgrid=False)
    return tidy(figure, 460).update_layout(plot_bgcolor=NOT_FINITE)


def activity_sample_units(
    trajectory: Trajectory,
    n_units: int | None = None,
    *,
    units: Iterable[int] | None = None,
    key: PRNGKeyArray | None = None,
    by: str = "",
) -> go.Figure:
    """Draw the activity of some units over time, a panel a unit, for all trials.

    Give the units, or how many to choose at random and a key. The same key chooses the same units
    as in ``fbx_env.plot``.

    Args:
        trajectory: one trial or many of one network, with any leading axes.
        n_units: how many units to choose.
        units: which units to draw, instead of ``n_units`` and ``key``.
        key: of the random choice.
        by: the name of a number drawn for the trials, as in ``trajectory.drawn``, by which they are
            coloured and grouped; their direction if empty.

    Raises:
        TypeError: if ``trajectory`` is not a ``Trajectory``, or a number not whole.
        ValueError: if there are no trials; if units that there are not are asked for, or none; or
            if neither ``units`` nor both of ``n_units`` and ``key`` are given.

    Example:
        >>> activity_sample_units(trajectory, 4, key=jax.random.key(3)).show()
    """
    reaches = records.reaches(trajectory, by)
    panels = unit_panels(reaches, records.chosen_units(reaches, n_units, units, key))
    n = len(panels)
    columns = grid_columns(n)
    rows = math.ceil(n / columns)
    figure = make_subplots(
        rows,
        columns,
        shared_xaxes="all",
        shared_yaxes="all",
        subplot_titles=[panel.title for panel in panels],
        horizontal_spacing=0.05,
        vertical_spacing=min(0.14, 0.5 / rows),
    )
    for index, panel in enumerate(panels):
        row, column = divmod(index, columns)
        cell = {"row": row + 1, "col": column + 1}
        add_panel(figure, panel, reaches, legend=index == 0, row=row + 1, col=column + 1)
        if index + columns >= n:
            figure.update_xaxes(showticklabels=True, **cell)
        else:
            figure.update_xaxes(title=None, **cell)
        if index % columns:
            figure.update_yaxes(title=None, **cell)
    return tidy(figure, 190 * rows + 140)


def preferred_directions(
    trajectory: Trajectory, *, window: tuple[float, float] | None = None
) -> go.Figure:
    """Draw the direction of reach that each unit prefers, on a circle. Hovering tells the unit.

    A unit's length is how far its activity rises there above its average over directions.

    Args:
        trajectory: of one network, with reaches in at least three directions.
        window: first and last time [s] of the steps over which activity is averaged; if not given,
            from the start until the mean speed is highest.

    Raises:
        TypeError: if ``trajectory`` is not a ``Trajectory``.
        ValueError: if it has reaches in fewer than three directions, or activity that is not
            finite; or if there are no steps in the window.

    Example:
        >>> preferred_directions(trajectory).show()
    """
    tuning, window = records.direction_tuning(trajectory, window)
    degrees = np.rad2deg(tuning.direction)
    gaps = np.full_like(degrees, np.nan)
    figure = go.Figure()
    figure.add_scatterpolar(
        theta=np.stack([degrees, degrees, gaps], axis=-1).ravel(),
        r=np.stack([np.zeros_like(gaps), tuning.depth, gaps], axis=-1).ravel(),
        mode="lines",
        line={"color": GUIDE, "width": 1.5},
        hoverinfo="skip",
    )
    figure.add_scatterpolar(
        theta=degrees,
        r=tuning.depth,
        mode="markers",
        marker={"size": 8, "color": tuning.explained, **EXPLAINED},
        customdata=np.arange(len(degrees)),
        hovertemplate=(
            "unit %{customdata}: %{theta:.0f}°, rises by %{r:.3g}, "
            "%{marker.color:.0%} explained<extra></extra>"
        ),
    )
    begin, end = (f"{round(time, 2):g}" for time in window)
    title = f"Rise of activity in the preferred direction<br>({begin} to {end} s)"
    figure.update_layout(
        title={"text": title, "x": 0.5, "font": {"size": 14}},
        polar={
            "bgcolor": "white",
            "angularaxis": {"gridcolor": GRID, "linecolor": GUIDE, "ticksuffix": "°"},
            "radialaxis": {"gridcolor": GRID, "nticks": 4},
        },
        showlegend=False,
    )
    return tidy(figure, 560).update_layout(margin_t=110)


def principal_components(trajectory: Trajectory) -> go.Figure:
    """Draw the activity of all units along the directions in which it varies most, in four panels.

    Args:
        trajectory: one trial or many of one network, with any leading axes.

    Raises:
        TypeError: if ``trajectory`` is not a ``Trajectory``.
        ValueError: if it has no trials, fewer than two units or steps, or activity that is not
            finite.

    Example:
        >>> principal_components(trajectory).show()
    """
    reaches = records.reaches_of_units(trajectory)
    components = component_panels(reaches)
    figure = make_subplots(2, 2, horizontal_spacing=0.18, vertical_spacing=0.15)
    add_panel(figure, components.plane, reaches, legend=False)
    number, explained = components.number, components.explained
    cell = {"row": 1, "col": 2}
    share: dict[str, Any] = {"x": number, "legend": "legend2", **cell}
    figure.add_bar(y=explained, marker_color=colors.PALETTE[0], name="each", **share)
    figure.add_scatter(y=explained.cumsum(), line_color="#000000", name="together", **share)
    figure.update_xaxes(title="Component", dtick=1, **cell)
    figure.update_yaxes(title="Variance explained", tickformat=".0%", **cell)
    figure.update_layout(legend2={"x": 0.99, "xanchor": "right", "y": 0.8, "yanchor": "middle"})
    for column, panel in enumerate(components.courses, start=1):
        add_panel(figure, panel, reaches, legend=column == 1, row=2, col=column)
    return tidy(figure, 700)
