"""Trajectories, checked, as the NumPy arrays from which figures are drawn."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, PRNGKeyArray

from fbx_env import analysis, checks
from fbx_env.figures import colors
from fbx_env.parts.plants.plant import NamedUnits
from fbx_env.parts.tasks.trial import Trial
from fbx_env.rollout import Trajectory


@dataclass(frozen=True)
class Reaches:
    """Trials as NumPy arrays with one leading axis, whatever leading axes the trajectory has.

    Attributes:
        start, goal: [m], ``(trials, 2)``.
        time: of the states [s], ``(trials, states)``.
        pos, vel: [m], [m/s], ``(trials, states, 2)``.
        target: where the effector should be after each step [m], ``(trials, steps, 2)``.
        command: in the units of ``controls``, ``(trials, steps, controls)``.
        load: the external force at the beginning of each step [N], ``(trials, steps, 2)``.
        activity: ``(trials, steps, units)``.
        controls: name and unit of each number of a command.
        shape: the leading axes of the trajectory, such as replicates and trials.
        by: the name of the number by which trials are coloured and grouped; their direction if
            empty.
        drawn: that number, ``(trials,)``.
    """

    start: Float[np.ndarray, "trials 2"]
    goal: Float[np.ndarray, "trials 2"]
    time: Float[np.ndarray, "trials states"]
    pos: Float[np.ndarray, "trials states 2"]
    vel: Float[np.ndarray, "trials states 2"]
    target: Float[np.ndarray, "trials steps 2"]
    command: Float[np.ndarray, "trials steps controls"]
    load: Float[np.ndarray, "trials steps 2"]
    activity: Float[np.ndarray, "trials steps units"]
    controls: NamedUnits
    shape: tuple[int, ...]
    by: str = ""
    drawn: Float[np.ndarray, " trials"] | None = None

    def __len__(self) -> int:
        """Number of trials."""
        return len(self.pos)

    @property
    def direction(self) -> Float[np.ndarray, " trials"]:
        """Angle from start to goal [rad]."""
        return analysis.directions(self.start, self.goal)

    @property
    def condition(self) -> Float[np.ndarray, " trials"]:
        """The number drawn for each trial by which it is coloured, or its direction [rad]."""
        return self.direction if self.drawn is None else self.drawn

    @property
    def condition_names(self) -> list[str]:
        """The condition of each trial in words."""
        if self.drawn is None:
            return [f"{angle:.0f}°" for angle in np.rad2deg(self.direction)]
        return [f"{self.by} {value:.3g}" for value in self.drawn]

    @property
    def colors(self) -> list[str]:
        """The colour of each trial, which is that of its condition."""
        if self.drawn is None:
            return colors.cyclic(self.direction)
        return colors.sequential(self.drawn)

    @property
    def names(self) -> list[str]:
        """The index of each trial and its condition, such as the direction of its reach."""
        indices = [", ".join(map(str, index)) for index in np.ndindex(self.shape)]
        return [
            f"trial {index}".rstrip() + f", {condition}"
            for index, condition in zip(indices, self.condition_names, strict=True)
        ]

    @property
    def step_time(self) -> Float[np.ndarray, "trials steps"]:
        """When each step began [s]."""
        return self.time[:, :-1]

    @property
    def has_moving_target(self) -> Bool[np.ndarray, " trials"]:
        """The trials whose target is elsewhere than at the start and at the goal."""
        at_an_end = [
            np.isclose(self.target, end[:, None], atol=1e-6).all(axis=-1)
            for end in (self.start, self.goal)
        ]
        moving: Bool[np.ndarray, " trials"] = ~np.logical_or(*at_an_end).all(axis=-1)
        return moving

    @property
    def target_at_states(self) -> Float[np.ndarray, "trials states 2"]:
        """Where the effector should be in each state [m]; at first, as after the first step."""
        return np.concatenate([self.target[:, :1], self.target], axis=1)

    @property
    def load_per_metre(self) -> float:
        """How many newtons an arrow of one metre stands for; 0 without loads.

        The longest is a seventh of the plane.
        """
        longest = float(np.linalg.norm(self.load, axis=-1).max())
        extent = float(np.ptp(self.places, axis=0).max())
        return 7 * longest / extent if extent > 0 and np.isfinite(longest / extent) else 0.0

    @property
    def places(self) -> Float[np.ndarray, "points 2"]:
        """All points of the plane where something is [m]: effectors, starts, goals, targets."""
        everywhere = (self.pos, self.target, self.start, self.goal)
        return np.concatenate([points.reshape(-1, 2) for points in everywhere])


def reaches(trajectory: Trajectory, by: str = "") -> Reaches:
    """The arrays of a trajectory of one trial or of many, with any leading axes.

    Args:
        trajectory: the trials.
        by: a number drawn for them, by which they are coloured and grouped; their direction if
            empty.

    Raises:
        TypeError: if it is not a ``Trajectory``.
        ValueError: if it has no trials or no steps, or its arrays do not fit together.
    """
    if not isinstance(trajectory, Trajectory):
        raise TypeError(
            f"trajectory must be a Trajectory, as rollout returns, got {kind_of(trajectory)}"
        )
    sources = {
        "start": trajectory.trial.start,
        "goal": trajectory.trial.goal,
        "target": trajectory.target.pos,
        "load": trajectory.load,
        **{name: getattr(trajectory, name) for name in ("time", "pos", "vel", "command")},
        "activity": trajectory.activity,
    }
    values = {name: np.asarray(source) for name, source in sources.items()}
    if values["pos"].ndim < 2 or values["pos"].size == 0 or values["pos"].shape[-2] < 2:
        raise ValueError(
            "trajectory must have at least one trial and one step, "
            f"got pos of shape {values['pos'].shape}"
        )
    *axes, states, _ = values["pos"].shape
    ends = {
        "start": (2,),
        "goal": (2,),
        "time": (states,),
        "pos": (states, 2),
        "vel": (states, 2),
        "target": (states - 1, 2),
        "load": (states - 1, 2),
        "command": (states - 1, len(trajectory.controls)),
        "activity": (states - 1, *values["activity"].shape[-1:]),
    }
    for name, end in ends.items():
        if values[name].shape != (*axes, *end):
            raise ValueError(
                f"trajectory must have {name} of shape {(*axes, *end)} to go with pos of shape "
                f"{values['pos'].shape} and {len(trajectory.controls)} controls, "
                f"got {values[name].shape}"
            )
    n_trials = math.prod(axes)
    flat = {name: values[name].reshape(n_trials, *end) for name, end in ends.items()}
    shape = tuple(axes)
    drawn = _drawn(trajectory, by, shape) if by else None
    return Reaches(**flat, controls=trajectory.controls, shape=shape, by=by, drawn=drawn)


def _drawn(trajectory: Trajectory, by: str, shape: tuple[int, ...]) -> Float[np.ndarray, " trials"]:
    """The single number of that name drawn for each trial."""
    values = np.asarray(trajectory.drawn[checks.known("drawn number", by, trajectory.drawn)], float)
    if values.shape != shape:
        raise ValueError(
            f"by must name a single number of each trial, {by} has shape "
            f"{values.shape[len(shape) :]}"
        )
    return values.ravel()


def one_reach(trajectory: Trajectory) -> Reaches:
    """The arrays of a trajectory of a single trial.

    Raises:
        TypeError, ValueError: as ``reaches`` does, and for several trials.
    """
    batch = reaches(trajectory)
    if batch.shape:
        raise ValueError(
            f"trajectory must be of one trial, got a batch of shape {batch.shape}; "
            "take one with fbx_env.tree_take(trajectory, 0), once for each axis"
        )
    return batch


def reaches_of_units(trajectory: Trajectory) -> Reaches:
    """The arrays of a trajectory of at least two steps and two units, which can vary together.

    Raises:
        TypeError, ValueError: as ``reaches`` does, and for fewer.
    """
    batch = reaches(trajectory)
    if min(batch.activity.shape[1:]) < 2:
        raise ValueError(
            "trajectory must have at least two steps and two units, "
            f"got activity of shape {np.shape(trajectory.activity)}"
        )
    return batch


def simultaneous_reaches(trajectory: Trajectory) -> Reaches:
    """The arrays of a trajectory whose trials have their states at the same times.

    Raises:
        TypeError, ValueError: as ``reaches`` does, and for trials of different times.
    """
    batch = reaches(trajectory)
    if not np.all(batch.time == batch.time[0]):
        raise ValueError("trajectory must have trials of the same times, got different ones")
    return batch


def chosen_units(
    reaches: Reaches,
    n_units: int | None,
    units: Iterable[int] | None,
    key: PRNGKeyArray | None,
) -> Int[np.ndarray, " chosen"]:
    """The units to draw: those that are given, or a random sample.

    Raises:
        TypeError: if a number is not whole.
        ValueError: if there are units and a number of units, or neither; if the key is missing; or
            if units that there are not are asked for, or none.
    """
    available = reaches.activity.shape[-1]
    if units is None:
        if n_units is None or key is None:
            raise ValueError(
                f"n_units and key must be given, or units; got n_units={n_units}, key={key}"
            )
        return analysis.sample_units(n_units, available, key)
    if n_units is not None or key is not None:
        raise ValueError("units must be given alone, got also n_units or key")
    chosen = [checks.whole("units", unit, at_least=0, at_most=available - 1) for unit in units]
    if not chosen:
        raise ValueError("units must have at least one unit, got none")
    return np.array(chosen)


def direction_tuning(
    trajectory: Trajectory, window: tuple[float, float] | None
) -> tuple[analysis.CosineTuning, tuple[float, float]]:
    """How activity, averaged over a window of time, depends on the direction of the reach.

    Args:
        trajectory: with reaches in at least three directions.
        window: first and last time [s] of the steps to average over; if not given, from the start
            until the mean speed is highest.

    Returns:
        The tuning, and the window.

    Raises:
        TypeError, ValueError: as ``reaches``, ``mean_activity`` and ``cosine_tuning`` do.
    """
    batch = reaches(trajectory)
    window = speeding_up(batch) if window is None else window
    return analysis.cosine_tuning(mean_activity(batch, window), batch.direction), window


def speeding_up(reaches: Reaches) -> tuple[float, float]:
    """First and last time [s] of the phase in which the mean speed of reaches rises to its peak."""
    peak = max(1, int(analysis.speed(reaches.vel).mean(axis=0).argmax()))
    return float(reaches.time[:, 0].mean()), float(reaches.time[:, peak].mean())


def mean_activity(
    reaches: Reaches, window: tuple[float, float]
) -> Float[np.ndarray, "trials units"]:
    """Activity averaged over the steps that begin in a window of time.

    Args:
        reaches: the trials.
        window: first and last time [s].

    Raises:
        ValueError: if the window is not two times, or a trial has no steps in it.
    """
    if np.shape(window) != (2,):
        raise ValueError(f"window must be the first and the last time [s], got {window}")
    inside = (window[0] <= reaches.step_time) & (reaches.step_time <= window[1])
    if not inside.any(axis=-1).all():
        raise ValueError(
            f"window must have steps in it, which begin from {reaches.step_time.min():g} to "
            f"{reaches.step_time.max():g} s; got {window}"
        )
    mean: Float[np.ndarray, "trials units"] = np.mean(
        reaches.activity, axis=1, where=inside[..., None]
    )
    return mean


@dataclass(frozen=True)
class Endpoints:
    """Where trials start and end.

    Attributes:
        start, goal: [m], ``(trials, 2)``.
        reached: where the effector was at the end [m], ``(trials, 2)``; ``None`` if the trials
            have not been carried out.
    """

    start: Float[np.ndarray, "trials 2"]
    goal: Float[np.ndarray, "trials 2"]
    reached: Float[np.ndarray, "trials 2"] | None = None


def endpoints(trials: Trial | Trajectory) -> Endpoints:
    """Starts and goals of trials, and of a trajectory also where the effector ended.

    Args:
        trials: one or many, with any leading axes.

    Raises:
        TypeError: if it is neither a ``Trial`` nor a ``Trajectory``.
        ValueError: if there are none.
    """
    if isinstance(trials, Trajectory):
        batch = reaches(trials)
        return Endpoints(batch.start, batch.goal, batch.pos[:, -1])
    if not isinstance(trials, Trial):
        raise TypeError(
            f"trials must be a Trial, as tasks sample, or a Trajectory, got {kind_of(trials)}"
        )
    start, goal = np.asarray(trials.start), np.asarray(trials.goal)
    if start.size == 0:
        raise ValueError(f"trials must be at least one, got start of shape {start.shape}")
    return Endpoints(start.reshape(-1, 2), goal.reshape(-1, 2))


def corners(workspace: Any) -> Float[np.ndarray, "2 2"]:
    """Lower left and upper right corner [m] of a workspace.

    Raises:
        TypeError: if it is not numeric.
        ValueError: if it is not two corners, the lower left before the upper right.
    """
    array = np.asarray(checks.real("workspace", workspace, shape=(2, 2)), float)
    if array.shape != (2, 2) or not np.all(array[0] < array[1]):
        raise ValueError(
            "workspace must be ((x low, y low), (x high, y high)), "
            f"got {np.asarray(workspace).tolist()}"
        )
    return array


def kind_of(value: Any) -> str:
    """The kind of a value, for messages, and its shape if it has one."""
    shape = getattr(value, "shape", None)
    return type(value).__name__ + (f" of shape {shape}" if isinstance(shape, tuple) else "")
