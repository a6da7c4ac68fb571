"""The panels of curves of which figures consist: a curve a trial, and means of many."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from fbx_env import analysis
from fbx_env.figures.layout import MANY
from fbx_env.figures.records import Reaches
from fbx_env.parts.plants.plant import FORCE_IN_PLANE

MOST_DIRECTIONS = 24
"""Of more directions than these no means are taken, but one of all trials."""


@dataclass(frozen=True)
class Mean:
    """The mean curve of some trials.

    Attributes:
        x, y: ``(n,)``.
        sd: standard deviation of y between the trials, ``(n,)``; ``None`` on a plane.
        trials: the indices of the trials.
        color: of their direction; black for trials of all directions.
    """

    x: Float[np.ndarray, " n"]
    y: Float[np.ndarray, " n"]
    sd: Float[np.ndarray, " n"] | None
    trials: Int[np.ndarray, " members"]
    color: str


@dataclass(frozen=True)
class Panel:
    """Curves that share their axes, a curve a trial.

    Attributes:
        title: of the panel; empty for none.
        x_label, y_label: of the axes, with units.
        x, y: ``(trials, n)``.
        time: of each point [s], ``(trials, n)``.
        means: over the trials of each direction, or over all; none of up to eight trials.
        is_plane: whether a unit is as long along both axes, and points are not sorted along x.
    """

    title: str
    x_label: str
    y_label: str
    x: Float[np.ndarray, "trials n"]
    y: Float[np.ndarray, "trials n"]
    time: Float[np.ndarray, "trials n"]
    means: tuple[Mean, ...]
    is_plane: bool

    @property
    def describe_means(self) -> str:
        """A legend for the means: of how many trials, and whether by direction."""
        sizes = sorted({len(mean.trials) for mean in self.means})
        count = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
        spread = "" if self.is_plane else " ± SD"
        return f"mean of {count}{spread}" + ("\nby direction" if len(self.means) > 1 else "")


def effector_panels(reaches: Reaches) -> list[Panel]:
    """Position, velocity and command: a panel for a force in the plane, else one a number."""
    ends = np.concatenate([reaches.start, reaches.goal], axis=-1)
    panels = [
        _plane(reaches, reaches.pos, ("x [m]", "y [m]"), "Position", _alike(ends)),
        _plane(reaches, reaches.vel, ("x [m/s]", "y [m/s]"), "Velocity", _by_direction(reaches)),
    ]
    if reaches.controls == FORCE_IN_PLANE:
        labels = ("x [N]", "y [N]")
        return [
            *panels,
            _plane(reaches, reaches.command, labels, "Command", _by_direction(reaches)),
        ]
    return [*panels, *command_panels(reaches)]


def command_panels(reaches: Reaches) -> list[Panel]:
    """Each number of the command over time."""
    return [
        _time_course(
            reaches,
            reaches.command[..., index],
            f"Command [{unit}]" if unit else "Command",
            name[:1].upper() + name[1:],
        )
        for index, (name, unit) in enumerate(reaches.controls)
    ]


def speed_panel(reaches: Reaches) -> Panel:
    """Speed over time."""
    return _time_course(reaches, analysis.speed(reaches.vel), "Speed [m/s]")


def unit_panels(reaches: Reaches, units: Iterable[int]) -> list[Panel]:
    """The activity of each of some units over time."""
    return [
        _time_course(reaches, reaches.activity[..., unit], "Activity", f"Unit {unit}")
        for unit in units
    ]


@dataclass(frozen=True)
class Components:
    """The principal components of activity, to draw.

    Attributes:
        plane: the first two against each other.
        number: of the components whose share is shown, from 1, ``(n,)``.
        explained: the share of the variance of each, ``(n,)``.
        courses: the first two over time.
    """

    plane: Panel
    number: Int[np.ndarray, " n"]
    explained: Float[np.ndarray, " n"]
    courses: tuple[Panel, Panel]


def component_panels(reaches: Reaches) -> Components:
    """The first two principal components of activity, and the shares of up to ten.

    Raises:
        ValueError: if the activity is not finite.
    """
    found = analysis.principal_components(reaches.activity)
    labels = ("Component 1", "Component 2")
    first, second = (
        _time_course(reaches, found.scores[..., index], labels[index]) for index in (0, 1)
    )
    explained = found.explained[:10]
    return Components(
        plane=_plane(reaches, found.scores[..., :2], labels, "", _by_direction(reaches)),
        number=1 + np.arange(len(explained)),
        explained=explained,
        courses=(first, second),
    )


def _plane(
    reaches: Reaches,
    points: Float[np.ndarray, "trials n 2"],
    labels: tuple[str, str],
    title: str,
    groups: list[Int[np.ndarray, " members"]],
) -> Panel:
    x, y = points[..., 0], points[..., 1]
    means = tuple(_mean(reaches, group, x, y, None) for group in groups)
    time = reaches.time[:, : x.shape[1]]
    return Panel(title, *labels, x, y, time, means, is_plane=True)


def _time_course(
    reaches: Reaches, values: Float[np.ndarray, "trials n"], label: str, title: str = ""
) -> Panel:
    time = reaches.time[:, : values.shape[1]]
    groups = _by_direction(reaches)
    if not groups and len(reaches) > MANY:
        groups = [np.arange(len(reaches))]
    means = tuple(_mean(reaches, group, time, values, _sd(values[group])) for group in groups)
    return Panel(title, "Time [s]", label, time, values, time, means, is_plane=False)


def _mean(
    reaches: Reaches,
    trials: Int[np.ndarray, " members"],
    x: Float[np.ndarray, "trials n"],
    y: Float[np.ndarray, "trials n"],
    sd: Float[np.ndarray, " n"] | None,
) -> Mean:
    directions = reaches.direction[trials]
    color = reaches.colors[trials[0]] if np.all(directions == directions[0]) else "#000000"
    return Mean(x[trials].mean(axis=0), y[trials].mean(axis=0), sd, trials, color)


def _sd(values: Float[np.ndarray, "members n"]) -> Float[np.ndarray, " n"]:
    """Standard deviation between trials; 0 of a single one, not a number where one is not."""
    with np.errstate(invalid="ignore"):
        sd: Float[np.ndarray, " n"] = values.std(axis=0, ddof=min(1, len(values) - 1))
    return sd


def _by_direction(reaches: Reaches) -> list[Int[np.ndarray, " members"]]:
    return _alike(reaches.direction[:, None])


def _alike(labels: Float[np.ndarray, "trials k"]) -> list[Int[np.ndarray, " members"]]:
    """Groups of trials with the same labels, if there are many trials and few labels."""
    distinct, group = np.unique(np.round(labels, 4), axis=0, return_inverse=True)
    if len(labels) <= MANY or 2 * len(distinct) > len(labels) or len(distinct) > MOST_DIRECTIONS:
        return []
    return [np.flatnonzero(group.ravel() == index) for index in range(len(distinct))]
