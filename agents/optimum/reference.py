"""The loss that agents are compared with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import PyTree

from agents.optimum.best_known import BestKnownLoss, best_known_loss
from agents.optimum.losses import OptimalLoss, optimal_loss
from agents.optimum.refusals import NoOptimumError
from agents.storage.identity import as_json, describe
from agents.storage.runs import BEST_KNOWN, read_json, write_json
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
        NoOptimumError: if neither is known, with the reason.
    """
    try:
        return optimal_loss(params, trials, drawn=drawn)
    except NoOptimumError:
        if n_starts == 0:
            raise

    def find() -> BestKnownLoss:
        return best_known_loss(params, trials, n_starts=n_starts, drawn=drawn)

    return find() if keep_in is None else _kept(keep_in, (params, trials, drawn, n_starts), find)


def _kept(folder: Path, problem: PyTree, find: Callable[[], BestKnownLoss]) -> BestKnownLoss:
    """Return the loss that was kept for a problem, or find it and keep it.

    Args:
        folder: of the run.
        problem: the experiment, the trials and all else of which the loss depends.
        find: what finds it.

    Raises:
        NoOptimumError: as ``find`` does.
    """
    path, identity = folder / BEST_KNOWN, as_json(describe(problem, ()))
    try:
        content = read_json(path)
        if content.pop("identity") == identity:
            commands = np.array(content.pop("commands"), float)
            return BestKnownLoss(**content, commands=commands)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass  # It is found again where it is missing or damaged.
    best = find()
    content = {**best._asdict(), "commands": best.commands.tolist(), "identity": identity}
    write_json(path, content)
    return best
