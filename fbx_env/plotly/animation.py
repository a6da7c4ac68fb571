"""Reaches in motion, interactive."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from fbx_env import checks
from fbx_env.figures import colors, layout, records
from fbx_env.figures.records import Reaches
from fbx_env.plotly.reaches import add_targets
from fbx_env.plotly.style import equal_aspect, tidy
from fbx_env.rollout import Trajectory


def animate_reaches(trajectory: Trajectory, *, playback: float = 1.0) -> go.Figure:
    """Draw reaches in motion, with a button that plays them; a target that moves is a cross.

    Args:
        trajectory: one trial or many that last equally long, with any leading axes.
        playback: how fast to play, as a multiple of real time.

    Raises:
        TypeError: if ``trajectory`` is not a ``Trajectory``, or ``playback`` not a number.
        ValueError: if there are no trials or trials of different durations, or ``playback`` is not
            greater than 0.

    Example:
        >>> animate_reaches(trajectory).show()
    """
    reaches = records.simultaneous_reaches(trajectory)
    playback = float(checks.real("playback", playback, above=0))
    figure = make_subplots(1, 1)
    add_targets(figure, reaches)
    n_still = len(figure.data)
    figure.add_traces(_moving(reaches, 0))
    moving = list(range(n_still, len(figure.data)))
    time = reaches.time[0]
    names = [f"{seconds:.2f}" for seconds in time]
    figure.frames = [
        go.Frame(data=_moving(reaches, step), traces=moving, name=name)
        for step, name in enumerate(names)
    ]
    _add_controls(figure, names, 1000 * float(time[1] - time[0]) / playback)
    low, high = layout.square_around(reaches.places)
    equal_aspect(figure)
    figure.update_xaxes(title="x [m]", range=[low[0], high[0]])
    figure.update_yaxes(title="y [m]", range=[low[1], high[1]])
    return tidy(figure, 640)


def _moving(reaches: Reaches, step: int) -> list[go.Scatter]:
    """The traces that are drawn anew in each frame: trails, and targets that move."""
    trails = [
        go.Scatter(
            x=pos[: step + 1, 0],
            y=pos[: step + 1, 1],
            mode="lines+markers",
            line={"color": color, "width": 2},
            marker={"size": [0] * step + [9], "opacity": 1},
            opacity=layout.opacity(len(reaches)),
            name=name,
            showlegend=len(reaches) <= layout.DOTTED,
        )
        for pos, color, name in zip(reaches.pos, reaches.colors, reaches.names, strict=True)
    ]
    target = reaches.target_at_states[reaches.has_moving_target, step]
    if not len(target):
        return trails
    cross = {"symbol": "cross-thin", "size": 12, "line": {"width": 2}}
    targets = go.Scatter(
        x=target[:, 0], y=target[:, 1], mode="markers", marker=cross, name="target"
    )
    return [*trails, targets]


def _add_controls(figure: go.Figure, names: list[str], duration: float) -> None:
    """Add a button that plays frames of a duration in milliseconds, and a slider."""
    timing: dict[str, Any] = {
        "frame": {"duration": duration, "redraw": False},
        "transition": {"duration": 0},
    }
    slide = {**timing, "mode": "immediate"}
    button = {
        "type": "buttons",
        "buttons": [{"label": "Play", "method": "animate", "args": [None, timing]}],
        "x": 0,
        "xanchor": "right",
        "y": -0.15,
        "yanchor": "top",
        "pad": {"r": 12},
    }
    slider = {
        "steps": [{"label": name, "method": "animate", "args": [[name], slide]} for name in names],
        "currentvalue": {"prefix": "Time ", "suffix": " s", "font": {"color": "#000000"}},
        "y": -0.12,
        "ticklen": 0,
        "minorticklen": 0,
        # A label a step would be a blur: only the current one is shown.
        "font": {"color": colors.translucent("#000000", 0)},
    }
    figure.update_layout(updatemenus=[button], sliders=[slider])
