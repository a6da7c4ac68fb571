"""Histories of training, checked, as the curves that figures show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from fbx_env.figures.records import kind_of


@runtime_checkable
class LossHistory(Protocol):
    """A history of training: columns by name, and the names of the loss terms.

    Columns are ``(updates,)``, or ``(updates, replicates)`` if several models were trained.
    """

    @property
    def terms(self) -> Sequence[str]:
        """Names of the loss terms, without the total."""
        ...

    def __getitem__(self, name: str) -> np.ndarray:
        """A column by its name."""
        ...


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
        ValueError: if it has no updates, lacks the column, or it has the wrong shape.
    """
    if not isinstance(history, LossHistory):
        raise TypeError(
            f"history must have terms and columns, as train returns, got {kind_of(history)}"
        )
    update = np.asarray(_column(history, "iteration")) + 1
    if len(update) == 0:
        raise ValueError("history must have at least one update, got none")
    loss = np.asarray(_column(history, column), float)
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


def _column(history: LossHistory, name: str) -> Any:
    try:
        return history[name]
    except (KeyError, ValueError) as error:
        raise ValueError(f"history must have {name}: {error.args[0]}") from error


def term_curves(history: LossHistory) -> list[tuple[str, LossCurve]]:
    """The training loss of each term, with the words that stand for it in figures."""
    return [
        (term.replace("_", " "), loss_curve(history, f"training_{term}")) for term in history.terms
    ]
