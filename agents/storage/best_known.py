"""Best known losses kept in the folder of a run, as it takes minutes to find them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import PyTree

from agents.optimum.best_known import BestKnownLoss
from agents.storage.identity import as_json, describe
from agents.storage.runs import BEST_KNOWN, read_json, write_json


def kept(folder: Path, problem: PyTree, find: Callable[[], BestKnownLoss]) -> BestKnownLoss:
    """Return the loss that was kept for a problem, or find it and keep it.

    Args:
        folder: of the run.
        problem: the experiment, the trials and all else of which the loss depends.
        find: what finds it.

    Raises:
        ValueError: as ``find`` does.
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
