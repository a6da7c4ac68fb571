"""The loss that agents are compared with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agents.optimum.best_known import BestKnownLoss, best_known_loss
from agents.optimum.losses import OptimalLoss, optimal_loss
from fbx_env import ReachParams, Trial


def reference_loss(
    params: ReachParams,
    trials: Trial,
    *,
    drawn: Mapping[str, Any] | None = None,
    n_starts: int = 0,
) -> OptimalLoss | BestKnownLoss:
    """The optimum where it is exactly known, else the best loss that is known; ``kind`` says which.

    Args:
        params, trials, drawn: as of ``optimal_loss``.
        n_starts: of ``best_known_loss``; with 0, its computation is too long to be wanted.

    Raises:
        ValueError: if neither is known, with the reason.
    """
    try:
        return optimal_loss(params, trials, drawn=drawn)
    except ValueError:
        if n_starts == 0:
            raise
        return best_known_loss(params, trials, n_starts=n_starts, drawn=drawn)
