"""Keys of parts that draw at the same moment."""

from __future__ import annotations

import jax
from jaxtyping import PRNGKeyArray

APART = 2**30
"""Far from every number by which a part itself splits its key, or folds into it."""


def key_of(key: PRNGKeyArray, index: int) -> PRNGKeyArray:
    """Return a key for one of several parts.

    It is none of those that another part derives from ``key`` by ``jax.random.split``, or by
    ``jax.random.fold_in`` of a small number: the i-th of a split is that with i folded in.

    Args:
        key: that the parts share.
        index: of the part, at least 0.
    """
    return jax.random.fold_in(key, APART + index)
