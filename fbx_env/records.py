"""What pictures are drawn from: trajectories and histories, checked, as NumPy arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from fbx_env import analysis, checks
from fbx_env.rollout import Trajectory
from fbx_env.tasks import Trial


@dataclass(frozen=True)
class Reaches:
    """Trials as NumPy arrays, with an axis for trials even if there is only one.

    Attributes:
        start, goal: [m], ``(trials, 2)``.
        time: of the states [s], ``(trials, states)``.
        pos, vel: [m], [m/s], ``(trials, states, 2)``.
        command: [N], ``(trials, steps, action)``.
        activity: ``(trials, steps, units)``.
    """

    start: Float[np.ndarray, "trials 2"]
    goal: Float[np.ndarray, "trials 2"]
    time: Float[np.ndarray, "trials states"]
    pos: Float[np.ndarray, "trials states 2"]
    vel: Float[np.ndarray, "trials states 2"]
    command: Float[np.ndarray, "trials steps action"]
    activity: Float[np.ndarray, "trials steps units"]

    def __len__(self) -> int:
        """Number of trials."""
        return len(self.pos)

    @property
    def direction(self) -> Float[np.ndarray, " trials"]:
        """Angle from start to goal [rad]."""
        return analysis.directions(self.start, self.goal)

    @property
    def step_time(self) -> Float[np.ndarray, "trials steps"]:
        """When each step began [s]."""
        return self.time[:, :-1]


def reaches(trajectory: Trajectory) -> Reaches:
    """The arrays of a trajectory of one trial or of a batch.

    Raises:
        TypeError: if it is not a ``Trajectory``.
        ValueError: if it has more than one leading axis, or its arrays do not fit together.
    """
    if not isinstance(trajectory, Trajectory):
        raise TypeError(
            f"trajectory must be a Trajectory, as rollout returns, got {_what(trajectory)}"
        )
    values = {
        "start": np.asarray(trajectory.trial.start),
        "goal": np.asarray(trajectory.trial.goal),
        **{
            name: np.asarray(getattr(trajectory, name))
            for name in ("time", "pos", "vel", "command", "activity")
        },
    }
    if values["pos"].ndim not in (2, 3):
        raise ValueError(
            "trajectory must be of one trial, with pos of shape (states, 2), or of a batch with "
            f"one leading axis, (trials, states, 2); got pos of shape {values['pos'].shape}"
        )
    *trials, states, _ = values["pos"].shape
    shapes = {
        "start": (*trials, 2),
        "goal": (*trials, 2),
        "time": (*trials, states),
        "pos": (*trials, states, 2),
        "vel": (*trials, states, 2),
        "command": (*trials, states - 1, *values["command"].shape[-1:]),
        "activity": (*trials, states - 1, *values["activity"].shape[-1:]),
    }
    for name, shape in shapes.items():
        if values[name].shape != shape:
            raise ValueError(
                f"trajectory must have {name} of shape {shape} to go with pos of shape "
                f"{values['pos'].shape}, got {values[name].shape}"
            )
    if trials == [0] or states < 2:
        raise ValueError(
            "trajectory must have at least one trial and one step, "
            f"got pos of shape {values['pos'].shape}"
        )
    if not trials:
        values = {name: value[None] for name, value in values.items()}
    return Reaches(**values)


def one_reach(trajectory: Trajectory) -> Reaches:
    """The arrays of a trajectory of a single trial.

    Raises:
        TypeError, ValueError: as ``reaches`` does, and for a batch.
    """
    batch = reaches(trajectory)
    if np.ndim(trajectory.pos) == 3:
        raise ValueError(
            f"trajectory must be of one trial, got a batch of {len(batch)}; "
            "take one with fbx_env.tree_take(trajectory, 0)"
        )
    return batch


def reaches_on_plane(trajectory: Trajectory) -> Reaches:
    """The arrays of a trajectory whose commands have an x and a y.

    Raises:
        TypeError, ValueError: as ``reaches`` does, and for commands of another size.
    """
    batch = reaches(trajectory)
    if batch.command.shape[-1] != 2:
        raise ValueError(
            "trajectory must have commands of two numbers to be drawn on a plane, "
            f"got command of shape {np.shape(trajectory.command)}"
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
    return np.mean(reaches.activity, axis=1, where=inside[..., None])


def endpoints(trials: Trial) -> tuple[Float[np.ndarray, "trials 2"], Float[np.ndarray, "trials 2"]]:
    """Starts and goals [m] of one trial or of a batch.

    Raises:
        TypeError: if it is not a ``Trial``.
        ValueError: if it has more than one leading axis, or no trials.
    """
    if not isinstance(trials, Trial):
        raise TypeError(f"trials must be a Trial, as tasks sample, got {_what(trials)}")
    start, goal = np.asarray(trials.start), np.asarray(trials.goal)
    if start.ndim not in (1, 2) or start.size == 0:
        raise ValueError(
            "trials must be one trial, with start of shape (2,), or a batch with one leading axis, "
            f"(trials, 2); got start of shape {start.shape}"
        )
    return start.reshape(-1, 2), goal.reshape(-1, 2)


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


@runtime_checkable
class LossHistory(Protocol):
    """A history of training: columns by name, and the names of the loss terms.

    Columns are ``(updates,)``, or ``(updates, replicates)`` if several models were trained.
    """

    @property
    def terms(self) -> Sequence[str]: ...

    def __getitem__(self, name: str) -> np.ndarray: ...


@dataclass(frozen=True)
class LossCurve:
    """A loss over the updates after which it was computed.

    Attributes:
        update: the first is 1, ``(n,)``.
        mean: over replicates, ``(n,)``; of a single model its loss.
        low, high: the lowest and the highest replicate, ``(n,)``.
        n_replicates: 1 for a single model.
    """

    update: Int[np.ndarray, " n"]
    mean: Float[np.ndarray, " n"]
    low: Float[np.ndarray, " n"]
    high: Float[np.ndarray, " n"]
    n_replicates: int


def loss_curve(history: LossHistory, column: str) -> LossCurve:
    """A column of a history, without the updates after which it was not computed.

    Raises:
        TypeError: if it is not a history.
        ValueError: if it has no updates, or the column has the wrong shape.
    """
    if not isinstance(history, LossHistory):
        raise TypeError(
            f"history must have terms and columns, as train returns, got {_what(history)}"
        )
    update = np.asarray(history["iteration"]) + 1
    if len(update) == 0:
        raise ValueError("history must have at least one update, got none")
    loss = np.asarray(history[column], float)
    if loss.ndim not in (1, 2) or loss.shape[0] != len(update) or loss.size == 0:
        raise ValueError(
            f"history must have {column} of shape ({len(update)},) or ({len(update)}, replicates), "
            f"got {loss.shape}"
        )
    loss = loss.reshape(len(update), -1)
    computed = ~np.isnan(loss).all(axis=-1)
    update, loss = update[computed], loss[computed]
    return LossCurve(
        update, loss.mean(axis=-1), loss.min(axis=-1), loss.max(axis=-1), loss.shape[-1]
    )


def _what(value: Any) -> str:
    """A value in a message: its kind, and its shape if it has one."""
    shape = getattr(value, "shape", None)
    return type(value).__name__ + (f" of shape {shape}" if isinstance(shape, tuple) else "")
