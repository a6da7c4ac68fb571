"""Which steps of recorded trials belong to which epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from fbx_env import ReachParams, Trajectory, analysis, checks
from fbx_env.figures import records
from fbx_env.rollout import check_trajectory

SPEEDING_UP, BRAKING = "speeding up", "braking"
"""The two parts of the last epoch, which end and begin at each trial's highest speed."""


@dataclass(frozen=True)
class Recorded:
    """The activity of some trials of one network, and the steps of each epoch.

    Attributes:
        activity: ``(trials, steps, units)``.
        direction: of the reach of each trial [rad], ``(trials,)``.
        masks: by epoch, the steps that are in it, ``(trials, steps)``.
    """

    activity: Float[np.ndarray, "trials steps units"]
    direction: Float[np.ndarray, " trials"]
    masks: dict[str, Bool[np.ndarray, "trials steps"]]


def recorded(
    trajectory: Trajectory, params: ReachParams, epochs: Sequence[str] | None = None
) -> Recorded:
    """The activity and the epochs of trials.

    Args:
        trajectory: of one network.
        params: the experiment that it is of.
        epochs: names of the task's epochs, ``"speeding up"`` or ``"braking"``; by default all
            epochs that have a step in every trial, of reaches those two instead of the last.

    Raises:
        TypeError: for arguments of the wrong kind.
        ValueError: if there is no such epoch, none, or one twice; it has no steps in a trial; or
            the trajectory is of another experiment or of several networks, or has no units, or
            activity that is not finite.
    """
    check_one_network(trajectory, params)
    reaches = records.reaches(trajectory)
    if not reaches.activity.shape[-1]:
        raise ValueError("trajectory must have the activity of units, got a policy without units")
    if not np.isfinite(reaches.activity).all():
        raise ValueError("trajectory must have finite activity, got some that is not")
    names = params.task.epoch_names
    epoch = np.asarray(trajectory.epoch).reshape(reaches.activity.shape[:2])
    masks = {name: epoch == index for index, name in enumerate(names)}
    speed = np.where(masks[names[-1]], analysis.speed(reaches.vel)[:, 1:], -1.0)
    is_before_peak = np.arange(speed.shape[1]) <= speed.argmax(axis=1)[:, None]
    masks[SPEEDING_UP] = masks[names[-1]] & is_before_peak
    masks[BRAKING] = masks[names[-1]] & ~is_before_peak
    if epochs is None:
        goes = np.any(reaches.start != reaches.goal) and not reaches.has_moving_target.any()
        parts = [*names[:-1], *((SPEEDING_UP, BRAKING) if goes else names[-1:])]
        chosen = {name: masks[name] for name in parts if masks[name].any(axis=1).all()}
    else:
        _check_names(epochs)
        chosen = {name: masks[checks.known("epoch", name, masks)] for name in epochs}
    for name, mask in chosen.items():
        if not mask.any(axis=1).all():
            raise ValueError(
                f"epoch {name} must have steps in every trial, got none in trial "
                f"{int(np.flatnonzero(~mask.any(axis=1))[0])}"
            )
    return Recorded(reaches.activity.astype(float), reaches.direction, chosen)


def check_one_network(trajectory: Trajectory, params: ReachParams) -> None:
    """Raise if a trajectory is of several networks, or of another experiment.

    Raises:
        TypeError, ValueError: as ``check_trajectory`` does, and for more than one leading axis.
    """
    check_trajectory(trajectory, params)
    if trajectory.pos.ndim > 3:
        raise ValueError(
            "trajectory must be of one network, one trial or several along a leading axis, got "
            f"{trajectory.pos.ndim - 2} leading axes; take one with tree_take(trajectory, 0)"
        )


def _check_names(epochs: Sequence[str]) -> None:
    if isinstance(epochs, str):
        raise TypeError(f"epochs must be a sequence of names, as ['movement'], got {epochs!r}")
    if not epochs or len(set(epochs)) < len(epochs):
        raise ValueError(f"epochs must be one or several different names, got {list(epochs)}")
