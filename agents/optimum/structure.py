"""Products with matrices that mostly hand numbers on, as those of delay lines do."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

Matrices = Float[np.ndarray, "groups _ _"]
"""One for each group of trials."""

Kinds = Int[np.ndarray, " groups"]


class Mapping:
    """Matrices of several kinds, whose rows that only copy one number are not multiplied out.

    Args:
        matrices: one for each kind.
    """

    def __init__(self, matrices: Float[np.ndarray, "kinds rows columns"]) -> None:
        source = matrices.argmax(axis=2)
        copies = (matrices != 0).sum(axis=2) == 1
        copies &= (matrices.max(axis=2, initial=0.0) == 1) & (source == source[:1])
        self.copies = np.flatnonzero(copies.all(axis=0))
        self.others = np.flatnonzero(~copies.all(axis=0) & np.any(matrices, axis=(0, 2)))
        self.sources = source[0, self.copies]
        self.rows = matrices[:, self.others]
        self.shape = matrices.shape[1:]

    def times(self, kind: Kinds, vectors: Matrices) -> Matrices:
        """The products of the matrices of some kinds, and other matrices."""
        product = np.zeros((len(vectors), self.shape[0], vectors.shape[2]))
        product[:, self.copies] = vectors[:, self.sources]
        product[:, self.others] = self.rows[kind] @ vectors
        return product

    def transposed_times(self, kind: Kinds, vectors: Matrices) -> Matrices:
        """The products of the transposed matrices, and other matrices."""
        product = transpose(self.rows[kind]) @ vectors[:, self.others]
        where: Any = (slice(None), self.sources)
        np.add.at(product, where, vectors[:, self.copies])
        return np.asarray(product)


def transpose(matrices: Float[np.ndarray, "*many _ _"]) -> Float[np.ndarray, "*many _ _"]:
    """Every matrix transposed."""
    return matrices.swapaxes(-1, -2)


def times(
    matrices: Float[np.ndarray, "*#many _ _"], vectors: Float[np.ndarray, "*#many _"]
) -> Float[np.ndarray, "*#many _"]:
    """The product of each matrix and its vector."""
    return np.asarray((matrices @ vectors[..., None])[..., 0])


def closure(
    affects: Bool[np.ndarray, "n n"], states: Bool[np.ndarray, " n"]
) -> Bool[np.ndarray, " n"]:
    """Some states and all that affect them, whose numbers are the columns' in ``affects``."""
    while True:
        larger = states | np.any(affects[states], axis=0)
        if np.array_equal(larger, states):
            return states
        states = larger
