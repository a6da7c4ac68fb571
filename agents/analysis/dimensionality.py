"""In how many dimensions activity varies, and whether in the same ones from epoch to epoch."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from scipy import linalg

from agents.analysis.epochs import Recorded, recorded
from fbx_env import ReachParams, Trajectory, checks
from fbx_env.analysis import principal_components
from fbx_env.measures import import_pandas

if TYPE_CHECKING:
    import pandas

MOST = 0.9
"""The share of the variance that is called most of it."""


def dimensionality(
    trajectory: Trajectory, params: ReachParams, epochs: Sequence[str] | None = None
) -> pandas.DataFrame:
    """How the variance of activity, over trials and steps, is spread over dimensions in each epoch.

    Args:
        trajectory: of one network.
        params, epochs: as of ``tuning``.

    Returns:
        A frame with a row for each epoch and principal component and the columns ``epoch``,
        ``component`` (from 1), ``explained`` (its share of the variance), ``together`` (that of all
        up to it) and, the same for all of an epoch, ``participation_ratio``: the squared sum of the
        variances along all components by the sum of their squares, from 1 where all variance is
        along one to the number of units where it is the same along all.

    Raises:
        TypeError: for arguments of the wrong kind.
        ValueError: if there is no such epoch, it has no steps in a trial or fewer than two
            altogether; or for a policy without units.
        ImportError: if pandas is not installed.

    Example:
        >>> dimensionality(trajectory, params).groupby("epoch").participation_ratio.first()
    """
    pd = import_pandas()
    data = recorded(trajectory, params, epochs)
    frames = []
    for epoch in data.masks:
        explained = _components(data, epoch)[1]
        columns = {
            "epoch": epoch,
            "component": 1 + np.arange(len(explained)),
            "explained": explained,
            "together": np.cumsum(explained),
            "participation_ratio": 1 / np.sum(explained**2),
        }
        frames.append(pd.DataFrame(columns))
    return pd.concat(frames, ignore_index=True)


def subspace_angles(
    trajectory: Trajectory,
    params: ReachParams,
    epochs: Sequence[str] | None = None,
    *,
    n_components: int | None = None,
) -> pandas.DataFrame:
    """The angles between the subspaces in which activity varies in two epochs, for all pairs.

    Subspaces are spanned by the first principal components. Angles are principal ones: the smallest
    that a direction of one subspace has to the other, then the smallest at right angles to it, and
    so on. The alignment is the share of the variance of the second epoch that the subspace of the
    first one has, divided by the share that its own has (Elsayed and others, 2016).

    Args:
        trajectory: of one network.
        params, epochs: as of ``tuning``.
        n_components: of each subspace; by default as many as explain 90 % of the variance in the
            epoch that needs more of them.

    Returns:
        A frame with a row for each pair of epochs and angle, and the columns ``first``,
        ``second``, ``index`` (from 1, the smallest angle first), ``angle`` [rad] and, the same for
        all of a pair, ``alignment``, from 0 to 1.

    Raises:
        TypeError, ValueError: as ``dimensionality`` does; if there are fewer than two epochs; or if
            there are more components than units or samples.

    Example:
        >>> subspace_angles(trajectory, params, ["target_on", "movement"])
    """
    pd = import_pandas()
    data = recorded(trajectory, params, epochs)
    if len(data.masks) < 2:
        raise ValueError(
            f"epochs must be two or more to have angles between them, got {', '.join(data.masks)}"
        )
    parts = {epoch: _components(data, epoch) for epoch in data.masks}
    if n_components is None:
        n_components = max(
            1 + int(np.searchsorted(np.cumsum(explained), MOST)) for _, explained in parts.values()
        )
    available = min(len(explained) for _, explained in parts.values())
    checks.whole("n_components", n_components, at_least=1, at_most=available)
    frames = []
    for first, second in itertools.combinations(parts, 2):
        ours, (theirs, explained) = parts[first][0][:n_components], parts[second]
        angles = np.sort(linalg.subspace_angles(ours.T, theirs[:n_components].T))
        # The variance along a direction is that along each component, by the squared cosine.
        captured = np.sum(explained * np.square(ours @ theirs.T))
        columns = {
            "first": first,
            "second": second,
            "index": 1 + np.arange(len(angles)),
            "angle": angles,
            "alignment": captured / explained[:n_components].sum(),
        }
        frames.append(pd.DataFrame(columns))
    return pd.concat(frames, ignore_index=True)


def _components(
    data: Recorded, epoch: str
) -> tuple[Float[np.ndarray, "components units"], Float[np.ndarray, " components"]]:
    """The principal components of the activity in an epoch, and the shares of its variance."""
    samples = data.activity[data.masks[epoch]]
    if min(samples.shape) < 2:
        raise ValueError(
            f"activity in epoch {epoch} must have at least two steps and two units, "
            f"got {samples.shape[0]} and {samples.shape[1]}"
        )
    found = principal_components(samples)
    if not found.explained.any():
        raise ValueError(f"activity must vary to have dimensions, that in epoch {epoch} does not")
    return found.components, found.explained
