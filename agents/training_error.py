"""The error of every learner whose losses or gradients are not finite any more."""

from __future__ import annotations

from typing import Any

from agents.storage.history import History


class TrainingError(ArithmeticError):
    """Training met a loss or gradient that is not finite.

    With ``jax.config.update("jax_debug_nans", True)``, the message also says which operation was
    the first to give such a number, and where.

    Attributes:
        policy: the last one whose loss and gradient were finite; the initial one if none was. For
            replicates, of each its last one.
        history: up to the fault.
    """

    def __init__(self, message: str, policy: Any, history: History) -> None:
        super().__init__(message)
        self.policy = policy
        self.history = history
