"""The loss that agents are compared with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agents.optimum.best_known import BestKnownLoss, best_known_loss
from agents.optimum.losses import OptimalLoss, optimal_loss
from agents.storage.best_known import kept
from fbx_env import ReachParams, Trial


def reference_loss(
    params: ReachParams,
    trials: Trial,
    *,
    drawn: Mapping[str, Any] | None = None,
    n_starts: int = 0,
    keep_in: Path | None = None,
) -> OptimalLoss | BestKnownLoss:
    """The optimum where it is exactly known, else the best loss that is known; ``kind`` says which.

    Args:
        params, trials, drawn: as of ``optimal_loss``.
        n_starts: of ``best_known_loss``; with 0, its computation is too long to be wanted.
        keep_in: a folder in which the best known loss is kept, and looked up.

    Raises:
        ValueError: if neither is known, with the reason.
    """
    try:
        return optimal_loss(params, trials, drawn=drawn)
    except ValueError:
        if n_starts == 0:
            raise

    def find() -> BestKnownLoss:
        return best_known_loss(params, trials, n_starts=n_starts, drawn=drawn)

    return find() if keep_in is None else kept(keep_in, (params, trials, drawn, n_starts), find)
