"""The panels of curves of which figures consist: a curve a trial, and means of many."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from fbx_env import analysis
from fbx_env.figures import colors
from fbx_env.figures.layout import MANY
from fbx_env.figures.records import Reaches
from fbx_env.parts.plants.plant import FORCE_IN_PLANE

MOST_DIRECTIONS = 24
"""More directions than these are taken together in sectors."""

SECTORS = 8

RANGES = 5
"""So many of a number that is drawn from a continuum."""


@dataclass(frozen=True)
class Group:
    """Trials of which the mean is drawn.

    Attributes:
        trials: their indices.
        name: their direction, or that of the middle of their sector.
        color: of that direction; black for trials of all directions.
        kind: what they have in common; empty for all trials.
    """

    trials: Int[np.ndarray, " members"]
    name: str
    color: str
    kind: str


@dataclass(frozen=True)
class Mean:
    """The mean curve of a group of trials.

    Attributes:
        x, y: ``(n,)``.
        sd: standard deviation of y between the trials, ``(n,)``; ``None`` on a plane.
        group: the trials.
    """

    x: Float[np.ndarray, " n"]
    y: Float[np.ndarray, " n"]
    sd: Float[np.ndarray, " n"] | None
    group: Group


@dataclass(frozen=True)
class Panel:
    """Curves that share their axes, a curve a trial.

    Attributes:
        title: of the panel; empty for none.
        x_label, y_label: of the axes, with units.
        unit: of y, and on a plane of x; empty for none.
        x, y: ``(trials, n)``.
        time: of each point [s], ``(trials, n)``.
        means: over the trials of each direction or sector, or over all; none of up to eight.
        is_plane: whether a unit is as long along both axes, and points are not sorted along x.
    """

    title: str
    x_label: str
    y_label: str
    unit: str
    x: Float[np.ndarray, "trials n"]
    y: Float[np.ndarray, "trials n"]
    time: Float[np.ndarray, "trials n"]
    means: tuple[Mean, ...]
    is_plane: bool

    @property
    def describe_means(self) -> list[str]:
        """A legend for the means: of how many trials, and what these have in common."""
        sizes = sorted({len(mean.group.trials) for mean in self.means})
        count = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
        spread = "" if self.is_plane else " ± SD"
        return [f"mean{spread}, n = {count}", *filter(None, [self.means[0].group.kind])]


def effector_panels(reaches: Reaches) -> list[Panel]:
    """Position, velocity and command: a panel for a force in the plane, else one a number."""
    ends = np.concatenate([reaches.start, reaches.goal, reaches.condition[:, None]], axis=-1)
    same_way = _alike(reaches, ends)
    # Trials of one drawn number may go all ways, and then have no mean in the plane.
    groups = same_way if reaches.by else _by_condition(reaches)
    panels = [
        _plane(reaches, reaches.pos, "m", same_way, title="Position"),
        _plane(reaches, reaches.vel, "m/s", groups, title="Velocity"),
    ]
    if reaches.controls == FORCE_IN_PLANE:
        return [*panels, _plane(reaches, reaches.command, "N", groups, title="Command")]
    return [*panels, *command_panels(reaches)]


def command_panels(reaches: Reaches) -> list[Panel]:
    """Each number of the command over time."""
    return [
        _time_course(
            reaches, reaches.command[..., index], "Command", unit, name[:1].upper() + name[1:]
        )
        for index, (name, unit) in enumerate(reaches.controls)
    ]


def speed_panel(reaches: Reaches) -> Panel:
    """Speed over time."""
    return _time_course(reaches, analysis.speed(reaches.vel), "Speed", "m/s")


def distance_panel(reaches: Reaches) -> Panel:
    """Distance to the target over time."""
    distance = np.linalg.norm(reaches.pos - reaches.target_at_states, axis=-1)
    return _time_course(reaches, distance, "Target distance", "m")


def unit_panels(reaches: Reaches, units: Int[np.ndarray, " chosen"]) -> list[Panel]:
    """The activity of each of some units over time."""
    return [
        _time_course(reaches, reaches.activity[..., unit], "Activity", title=f"Unit {unit}")
        for unit in units
    ]


def legend_groups(reaches: Reaches) -> list[str]:
    """The name under which a legend lists each trial: of its group, or its own without groups."""
    names = reaches.names
    for group in _by_condition(reaches):
        for index in group.trials:
            names[index] = group.name
    return names


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
    first, second = (
        _time_course(reaches, found.scores[..., index], f"Component {index + 1}")
        for index in (0, 1)
    )
    plane = _plane(reaches, found.scores[..., :2], "", _by_condition(reaches))
    explained = found.explained[:10]
    return Components(
        plane=replace(plane, x_label=first.y_label, y_label=second.y_label),
        number=1 + np.arange(len(explained)),
        explained=explained,
        courses=(first, second),
    )


def _plane(
    reaches: Reaches,
    points: Float[np.ndarray, "trials n 2"],
    unit: str,
    groups: list[Group],
    title: str = "",
) -> Panel:
    x, y = points[..., 0], points[..., 1]
    means = tuple(
        Mean(x[group.trials].mean(axis=0), y[group.trials].mean(axis=0), None, group)
        for group in groups
    )
    return Panel(
        title=title,
        x_label=_with_unit("x", unit),
        y_label=_with_unit("y", unit),
        unit=unit,
        x=x,
        y=y,
        time=reaches.time[:, : x.shape[1]],
        means=means,
        is_plane=True,
    )


def _time_course(
    reaches: Reaches,
    values: Float[np.ndarray, "trials n"],
    label: str,
    unit: str = "",
    title: str = "",
) -> Panel:
    time = reaches.time[:, : values.shape[1]]
    groups = _by_condition(reaches)
    if not groups and len(reaches) > MANY:
        groups = [Group(np.arange(len(reaches)), "all trials", "#000000", "")]
    means = tuple(
        Mean(
            time[group.trials].mean(axis=0),
            values[group.trials].mean(axis=0),
            _sd(values[group.trials]),
            group,
        )
        for group in groups
    )
    return Panel(
        title=title,
        x_label="Time [s]",
        y_label=_with_unit(label, unit),
        unit=unit,
        x=time,
        y=values,
        time=time,
        means=means,
        is_plane=False,
    )


def _with_unit(label: str, unit: str) -> str:
    return f"{label} [{unit}]" if unit else label


def _sd(values: Float[np.ndarray, "members n"]) -> Float[np.ndarray, " n"]:
    """Standard deviation between trials; 0 of a single one, not a number where one is not."""
    with np.errstate(invalid="ignore"):
        sd: Float[np.ndarray, " n"] = values.std(axis=0, ddof=min(1, len(values) - 1))
    return sd


def _by_condition(reaches: Reaches) -> list[Group]:
    """Many trials by their condition, or by its sector or range if there are too many."""
    alike = _alike(reaches, reaches.condition[:, None])
    if alike or len(np.unique(reaches.condition)) <= MOST_DIRECTIONS:
        return alike
    if reaches.by:
        return _in_ranges(reaches)
    width = 2 * np.pi / SECTORS
    sector = np.rint(reaches.direction / width) % SECTORS
    shades = colors.cyclic(np.arange(SECTORS) * width)
    kind = f"in sectors of {np.rad2deg(width):g}°"
    return [
        Group(np.flatnonzero(sector == index), _degrees(index * width), shades[index], kind)
        for index in range(SECTORS)
        if np.any(sector == index)
    ]


def _alike(reaches: Reaches, labels: Float[np.ndarray, "trials k"]) -> list[Group]:
    """Groups of trials with the same labels, if there are many trials and few labels."""
    distinct, group = np.unique(np.round(labels, 4), axis=0, return_inverse=True)
    if len(labels) <= MANY or 2 * len(distinct) > len(labels) or len(distinct) > MOST_DIRECTIONS:
        return []
    members = [np.flatnonzero(group.ravel() == index) for index in range(len(distinct))]
    names, shades = reaches.condition_names, reaches.colors
    kind = f"by {reaches.by or 'direction'}"
    return [Group(trials, names[trials[0]], shades[trials[0]], kind) for trials in members]


def _in_ranges(reaches: Reaches) -> list[Group]:
    """Trials by the range of the number drawn for them, of a few that are equally wide."""
    edges = np.linspace(reaches.condition.min(), reaches.condition.max(), RANGES + 1)
    index = np.digitize(reaches.condition, edges[1:-1])
    shades = colors.sequential((edges[1:] + edges[:-1]) / 2)
    kind = f"in ranges of {reaches.by}"
    return [
        Group(np.flatnonzero(index == each), f"{low:.3g} to {high:.3g}", shades[each], kind)
        for each, (low, high) in enumerate(itertools.pairwise(edges))
        if np.any(index == each)
    ]


def _degrees(angle: float) -> str:
    return f"{np.rad2deg(angle):.0f}°"
