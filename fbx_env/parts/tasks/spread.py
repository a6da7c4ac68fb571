"""Points that fill a unit cube evenly."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def spread(n_points: int, n_axes: int) -> Float[np.ndarray, "points axes"]:
    """Points in [0, 1) that cover each axis evenly, and all axes together without a pattern.

    Multiples of irrational numbers less their whole parts, by Roberts's generalisation of the
    golden ratio: powers of the root of x^(n + 1) = x + 1.
    """
    root = 2.0
    for _ in range(60):
        root = (1 + root) ** (1 / (n_axes + 1))
    steps = root ** -np.arange(1.0, n_axes + 1)
    return (0.5 + np.arange(n_points)[:, None] * steps) % 1
