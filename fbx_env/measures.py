"""Measures of movements: a table with a row for each trial."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from fbx_env import analysis, checks
from fbx_env.lateral import perpendicular_error
from fbx_env.params import ReachParams
from fbx_env.parts.plants.plant import Effector
from fbx_env.parts.tasks.trial import Trial
from fbx_env.rollout import Trajectory

if TYPE_CHECKING:
    import pandas

Path = Float[np.ndarray, "states 2"]
TimeCourse = Float[np.ndarray, " states"]


def measure(
    trajectory: Trajectory,
    params: ReachParams,
    *,
    epoch: str = "",
    onset_share: float = 0.05,
    still_speed: float = 0.01,
    longest_lag: float = 0.5,
) -> pandas.DataFrame:
    """Measure the movements of trials.

    Times count from the start of an epoch: the go. A movement is all around the highest speed after
    the go that is faster than a share of it.

    Args:
        trajectory: one trial or many, with any leading axes.
        params: the experiment that they are of.
        epoch: the name of the one that begins with the go; the task's last one by default.
        onset_share: of the highest speed, at which a movement begins and ends, from 0 to 1.
        still_speed: a trial whose highest speed is below has no movement [m/s].
        longest_lag: the greatest lag of tracking that is looked for, to both sides [s].

    Returns:
        A frame with a row for each trial, in order, and the columns

        - ``direction`` of the goal [rad] and its ``distance`` from the start [m], the numbers drawn
          for the trial and the trial's own, such as ``is_catch``, where they are single numbers,
        - ``drift``: farthest from the start before the go [m],
        - ``reaction_time``: from go to movement [s],
        - ``movement_time``: from its beginning to its end [s],
        - ``peak_speed`` [m/s] and ``time_of_peak_speed`` [s],
        - ``path_length`` [m],
        - ``path_curvature``: greatest distance to the straight line between the movement's ends, by
          the length of that line,
        - ``smoothness``: minus the logarithm of the squared jerk, summed over the movement and made
          dimensionless by its duration and peak speed; -5.3 for the smoothest reach there is,
        - ``endpoint_error``: distance to the target at the end of the trial [m],
        - ``tracking_error``: root mean square of the distance to the target since the go [m],
        - ``tracking_lag``: how much later than the target the effector is where it was [s],
        - ``perpendicular_error``: greatest deviation from the straight line between start and goal
          [m], positive to its left,
        - ``success``: by the task's rule.

        What a trial does not have is NaN: measures of movement without one, its end and what
        depends on it where it goes on beyond the end of the trial, a lag behind a target at rest.

    Raises:
        TypeError: for arguments of the wrong kind.
        ValueError: if the params have other steps than the trajectory, there is no such epoch, or a
            number is out of range.
        ImportError: if pandas is not installed.

    Example:
        >>> frame = measure(trajectory, params)
        >>> frame.groupby("direction").reaction_time.mean()
    """
    pd = import_pandas()
    checks.instance("trajectory", trajectory, Trajectory)
    checks.instance("params", params, ReachParams)
    limits = {
        "onset_share": checks.number("onset_share", onset_share, above=0),
        "still_speed": checks.number("still_speed", still_speed, at_least=0),
        "longest_lag": checks.number("longest_lag", longest_lag, above=0),
    }
    if limits["onset_share"] >= 1:
        raise ValueError(f"onset_share must be less than 1, got {onset_share}")
    names = params.task.epoch_names
    epoch = checks.known("epoch", epoch or names[-1], names)
    n_steps = trajectory.pos.shape[-2] - 1
    if n_steps != params.max_steps_in_episode:
        raise ValueError(
            "params must be those of the trajectory, which has "
            f"{n_steps} steps; got {params.max_steps_in_episode}"
        )
    shape = trajectory.pos.shape[:-2]
    flat = jax.tree.map(
        lambda leaf: jnp.reshape(leaf, (-1, *jnp.shape(leaf)[len(shape) :])),
        dataclasses.replace(trajectory, plant=(), losses={}),
    )
    go, success = _go_and_success(params, flat.trial, flat.pos, flat.vel, names.index(epoch))
    times, pos, vel, target = (
        np.asarray(each, float) for each in (flat.time, flat.pos, flat.vel, flat.target.pos)
    )
    rows = [
        _measures_of(times[trial], pos[trial], vel[trial], target[trial], int(go[trial]), **limits)
        for trial in range(len(pos))
    ]
    of_arrays = {
        "perpendicular_error": np.asarray(jax.vmap(perpendicular_error)(flat.pos, flat.trial)),
        "success": np.asarray(success),
    }
    return pd.DataFrame({**conditions(flat), **_columns(rows), **of_arrays})


def import_pandas() -> Any:
    """pandas, which tables need; raises ``ImportError`` that says how to install it."""
    try:
        import pandas as pd
    except ImportError as error:
        raise ImportError("tables need pandas: pip install fbx-env[tables]") from error
    return pd


def _columns(rows: list[dict[str, float]]) -> dict[str, Float[np.ndarray, " trials"]]:
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def conditions(trajectory: Trajectory) -> dict[str, np.ndarray]:
    """The conditions of trials: the way to go, and the single numbers there are."""
    trial = trajectory.trial
    start, goal = np.asarray(trial.start, float), np.asarray(trial.goal, float)
    fields = {field.name: getattr(trial, field.name) for field in dataclasses.fields(trial)}
    single = {
        name: np.asarray(value)
        for name, value in (fields | trajectory.drawn).items()
        if np.ndim(value) == 1
    }
    return {
        "direction": analysis.directions(start, goal),
        "distance": np.linalg.norm(goal - start, axis=-1),
        **single,
    }


@jax.jit
def _go_and_success(
    params: ReachParams,
    trials: Trial,
    pos: Float[Array, "trials states 2"],
    vel: Float[Array, "trials states 2"],
    epoch: Int[Array, ""] | int,
) -> tuple[Int[Array, " trials"], Bool[Array, " trials"]]:
    """The first step of an epoch of each trial, and whether it was a success."""

    def one(
        trial: Trial, pos: Float[Array, "states 2"], vel: Float[Array, "states 2"]
    ) -> tuple[Int[Array, ""], Bool[Array, ""]]:
        def permits(step: Int[Array, ""]) -> Bool[Array, ""]:
            effector = Effector(pos[step], vel[step])
            return params.permits(effector, trial, params.clock(step, trial))

        start = params.clock(jnp.zeros((), jnp.int32), trial).epoch_start
        go = jnp.zeros((), jnp.int32) if start is None else start[epoch]
        return go, jnp.all(jax.vmap(permits)(jnp.arange(1, len(pos))))

    return jax.vmap(one)(trials, pos, vel)


def _measures_of(
    time: TimeCourse,
    pos: Path,
    vel: Path,
    target: Float[np.ndarray, "steps 2"],
    go: int,
    *,
    onset_share: float,
    still_speed: float,
    longest_lag: float,
) -> dict[str, float]:
    """The measures of one trial, in which the go is at a step."""
    go = min(go, len(pos) - 1)
    speed = analysis.speed(vel)
    # The target is known after each step, so not at the very first state.
    since = max(go, 1)
    error = np.linalg.norm(pos[since:] - target[since - 1 :], axis=-1)
    peak = go + int(speed[go:].argmax())
    return {
        "drift": float(np.linalg.norm(pos[: go + 1] - pos[0], axis=-1).max()),
        **_movement(time, pos, vel, go, onset_share, still_speed),
        "peak_speed": float(speed[peak]),
        "time_of_peak_speed": float(time[peak] - time[go]),
        "endpoint_error": float(error[-1]),
        "tracking_error": float(np.sqrt(np.mean(error**2))),
        "tracking_lag": lag(pos[since:], target[since - 1 :], time[1] - time[0], longest_lag),
    }


def _movement(
    time: TimeCourse, pos: Path, vel: Path, go: int, onset_share: float, still_speed: float
) -> dict[str, float]:
    """The measures of the movement after the go."""
    found = dict.fromkeys(
        ("reaction_time", "movement_time", "path_length", "path_curvature", "smoothness"), np.nan
    )
    speed = analysis.speed(vel)
    peak = go + int(speed[go:].argmax())
    limit = onset_share * speed[peak]
    if speed[peak] < still_speed or speed[peak] == 0:
        return found
    slow = np.flatnonzero(speed < limit)
    before, after = slow[(go <= slow) & (slow < peak)], slow[slow > peak]
    begin = int(before[-1]) if len(before) else go
    onset = _crossing(time, speed, begin, limit) if len(before) else float(time[go])
    found["reaction_time"] = onset - float(time[go])
    if not len(after):
        return found
    end = int(after[0])
    way = pos[begin : end + 1]
    return {
        "reaction_time": found["reaction_time"],
        "movement_time": _crossing(time, speed, end - 1, limit) - onset,
        "path_length": float(np.linalg.norm(np.diff(way, axis=0), axis=-1).sum()),
        "path_curvature": curvature(way),
        "smoothness": smoothness(vel[begin : end + 1], float(time[1] - time[0])),
    }


def _crossing(time: TimeCourse, speed: TimeCourse, state: int, limit: float) -> float:
    """When the speed passes a limit between a state and the next one [s]."""
    share = (limit - speed[state]) / (speed[state + 1] - speed[state])
    return float(time[state] + share * (time[state + 1] - time[state]))


def curvature(pos: Path) -> float:
    """Greatest distance to the straight line between the ends of a path, by that line's length.

    NaN for a path that ends where it began.
    """
    line = pos[-1] - pos[0]
    length = np.linalg.norm(line)
    if length == 0:
        return float("nan")
    x, y = (pos - pos[0]).T
    return float(np.abs(line[0] * y - line[1] * x).max() / length**2)


def smoothness(vel: Path, dt: float) -> float:
    """Minus the logarithm of the dimensionless squared jerk of a movement.

        -log(duration^3 / peak speed^2  sum |jerk|^2 dt)

    as Balasubramanian, Melendez-Calderon, Roby-Brami and Burdet (2015) define it. NaN for a
    movement of fewer than three states or without jerk.

    Args:
        vel: in each state [m/s].
        dt: from one state to the next [s].
    """
    jerk = np.diff(vel, n=2, axis=0) / dt**2
    cost = np.sum(jerk**2) * dt * ((len(vel) - 1) * dt) ** 3
    peak = analysis.speed(vel).max()
    return float(-np.log(cost / peak**2)) if cost > 0 and peak > 0 else float("nan")


def lag(pos: Path, target: Float[np.ndarray, "states 2"], dt: float, longest_lag: float) -> float:
    """By how much later than the target the effector is where it was [s].

    The lag at which their mean squared distance is least, between whole steps by a parabola. NaN
    for a target at rest, and where that is not within the longest lag.
    """
    longest = min(round(longest_lag / dt), len(pos) // 2)
    if longest < 1 or np.all(target == target[0]):
        return float("nan")
    steps, n_states = range(-longest, longest + 1), len(pos)
    pairs = [
        (pos[max(k, 0) : n_states + min(k, 0)], target[max(-k, 0) : n_states - max(k, 0)])
        for k in steps
    ]
    distance = np.array([np.mean(np.sum((own - other) ** 2, axis=-1)) for own, other in pairs])
    best = int(distance.argmin())
    if best in (0, len(steps) - 1):
        return float("nan")
    left, middle, right = distance[best - 1 : best + 2]
    bend = left - 2 * middle + right
    shift = (left - right) / (2 * bend) if bend > 0 else 0.0
    return float((steps[best] + shift) * dt)
