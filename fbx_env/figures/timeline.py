"""Trials on a common time that counts from the start of one of their epochs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from fbx_env import checks
from fbx_env.figures import records
from fbx_env.figures.records import Reaches
from fbx_env.params import ReachParams
from fbx_env.parts.tasks.trial import Trial
from fbx_env.rollout import Trajectory


@dataclass(frozen=True)
class Timeline:
    """Trials aligned to the start of an epoch, and when they are in which epoch.

    Attributes:
        reaches: the trials, with times from the start of the epoch; NaN where there are none.
        epoch: the name of the epoch.
        names: of all epochs, in order.
        edges: of the steps [s], ``(states,)``.
        share: of the trials, in each epoch during each step, ``(epochs, states - 1)``.
    """

    reaches: Reaches
    epoch: str
    names: tuple[str, ...]
    edges: Float[np.ndarray, " states"]
    share: Float[np.ndarray, "epochs steps"]


def timeline(trajectory: Trajectory, params: ReachParams, epoch: str, by: str = "") -> Timeline:
    """Align trials to the start of an epoch.

    Args:
        trajectory: one trial or many, with any leading axes.
        params: the experiment that they are of.
        epoch: the name of the epoch; the task's last one if empty.
        by: as of ``records.reaches``.

    Raises:
        TypeError: for arguments of the wrong kind.
        ValueError: if there is no such epoch, or as ``records.reaches``.
    """
    reaches = records.reaches(trajectory, by)
    names = checks.instance("params", params, ReachParams).task.epoch_names
    epoch = checks.known("epoch", epoch or names[-1], names)
    starts = _epoch_starts(params, trajectory.trial, len(reaches.shape))
    first = starts[:, names.index(epoch)]
    aligned = _aligned(reaches, first)
    edges = aligned.time[0]
    # The step that begins in each state, counted from the start of each trial; trials by states.
    step = np.arange(len(edges) - 1) - (first.max() - first)[:, None]
    is_there = (step >= 0) & (step < reaches.pos.shape[1] - 1)
    ends = np.append(starts[:, 1:], np.full((len(starts), 1), np.iinfo(starts.dtype).max), axis=1)
    is_in = (starts.T[..., None] <= step) & (step < ends.T[..., None]) & is_there
    share = is_in.sum(axis=1) / np.maximum(is_there.sum(axis=0), 1)
    return Timeline(aligned, epoch, names, edges, share)


def _epoch_starts(params: ReachParams, trials: Trial, n_axes: int) -> Int[np.ndarray, "n epochs"]:
    """The first step of each epoch of each trial."""
    flat = jax.tree.map(lambda leaf: jnp.reshape(leaf, (-1, *leaf.shape[n_axes:])), trials)

    def starts(trial: Trial) -> Int[Array, " epochs"]:
        first = params.clock(jnp.zeros((), jnp.int32), trial).epoch_start
        return jnp.zeros(1, jnp.int32) if first is None else first

    return np.asarray(jax.vmap(starts)(flat))


def _aligned(reaches: Reaches, first: Int[np.ndarray, " trials"]) -> Reaches:
    """The trials such that the first step of the epoch of each comes at the same time, 0."""
    before = first.max() - first
    spread = before.max()

    def shifted(values: Float[np.ndarray, "trials n ..."]) -> Float[np.ndarray, "trials m ..."]:
        moved = np.full((len(values), values.shape[1] + spread, *values.shape[2:]), np.nan)
        for own, begin, one in zip(moved, before, values, strict=True):
            own[begin : begin + len(one)] = one
        return moved

    courses: dict[str, Any] = {
        name: shifted(getattr(reaches, name))
        for name in ("pos", "vel", "target", "command", "load", "activity")
    }
    dt = reaches.time[0, 1] - reaches.time[0, 0]
    time = dt * (np.arange(courses["pos"].shape[1]) - first.max())
    return replace(reaches, time=np.broadcast_to(time, courses["pos"].shape[:2]), **courses)
