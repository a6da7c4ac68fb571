"""How the activity of units depends on the direction of reaches, by epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from agents.analysis.epochs import recorded
from fbx_env import ReachParams, Trajectory
from fbx_env.analysis import cosine_tuning
from fbx_env.measures import import_pandas

if TYPE_CHECKING:
    import pandas


def tuning(
    trajectory: Trajectory, params: ReachParams, epochs: Sequence[str] | None = None
) -> pandas.DataFrame:
    """Regress the mean activity of each epoch on the cosine of the direction of the reach.

    Args:
        trajectory: of one network, with reaches in three directions or more.
        params: the experiment that it is of.
        epochs: names of the task's epochs, and of the two parts of its last one, ``"speeding up"``
            and ``"braking"``, which meet at each trial's highest speed; by default all epochs that
            have a step in every trial, of reaches those two instead of the last.

    Returns:
        A frame with a row for each epoch and unit and the columns ``epoch``, ``unit``, and those of
        ``fbx_env.analysis.CosineTuning``: ``baseline``, ``direction`` (the preferred one [rad]),
        ``depth`` and ``explained``, the share of the variance over trials (R squared); NaN of
        three trials, through which a cosine always goes.

    Raises:
        TypeError: for arguments of the wrong kind.
        ValueError: if there are fewer than three directions, there is no such epoch, or it has no
            steps in a trial; or for a policy without units.
        ImportError: if pandas is not installed.

    Example:
        >>> table = tuning(trajectory, params)
        >>> table.groupby("epoch").explained.median()
    """
    pd = import_pandas()
    data = recorded(trajectory, params, epochs)
    frames = []
    for epoch, mask in data.masks.items():
        mean = np.mean(data.activity, axis=1, where=mask[..., None])
        columns = {**vars(cosine_tuning(mean, data.direction))}
        if len(mean) == 3:
            columns["explained"] = np.full(mean.shape[1], np.nan)
        frames.append(pd.DataFrame({"epoch": epoch, "unit": np.arange(mean.shape[1]), **columns}))
    return pd.concat(frames, ignore_index=True)
