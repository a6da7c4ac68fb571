"""How figures are laid out, whichever library draws them."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

MANY = 8
"""More trials than these are drawn thinner, and with their mean where curves can be averaged."""


def grid_columns(n: int) -> int:
    """Columns of a grid of ``n`` panels: up to three in a row, else nearly a square."""
    return n if n <= 3 else math.ceil(math.sqrt(n))


def square_around(points: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "2 2"]:
    """Lower left and upper right corner of a square with some room around all finite points."""
    points = points[np.isfinite(points).all(axis=-1)]
    low, high = points.min(axis=0), points.max(axis=0)
    half = 0.58 * float((high - low).max()) or 1.0
    return (low + high) / 2 + np.array([[-half], [half]])


def largest(activity: Float[np.ndarray, "..."]) -> float:
    """The largest finite size of activity, to which colours go; 1 if there is none but zero."""
    return float(np.abs(activity[np.isfinite(activity)]).max(initial=0)) or 1.0


def describe_band(n_replicates: int) -> str | None:
    """What the line and the band of replicates show; nothing for a single model."""
    if n_replicates == 1:
        return None
    return f"mean of {n_replicates} replicates;\nband: lowest to highest"
