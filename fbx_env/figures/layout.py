"""How figures are laid out, whichever library draws them."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

MANY = 8
"""More trials than these are drawn thinner and transparent, under their means."""

DOTTED = 30
"""Up to so many trials have a dot for each time step."""


def opacity(n_trials: int) -> float:
    """Opacity of the curve of one of ``n_trials`` trials, from 1 down to 0.15."""
    return max(0.15, min(1.0, math.pow(MANY / n_trials, 0.4)))


def grid_columns(n: int) -> int:
    """Columns of a grid of ``n`` panels: up to three in a row, else nearly a square."""
    return n if n <= 3 else math.ceil(math.sqrt(n))


def square_around(points: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "2 2"]:
    """Lower left and upper right corner of a square with some room around all finite points."""
    points = points[np.isfinite(points).all(axis=-1)]
    low, high = points.min(axis=0), points.max(axis=0)
    half = 0.58 * float((high - low).max()) or 1.0
    square: Float[np.ndarray, "2 2"] = (low + high) / 2 + np.array([[-half], [half]])
    return square


def largest(activity: Float[np.ndarray, "..."]) -> float:
    """The largest finite size of activity, to which colours go; 1 if there is none but zero."""
    return float(np.abs(activity[np.isfinite(activity)]).max(initial=0)) or 1.0


def describe_band(n_replicates: int) -> str | None:
    """A legend for the line and the band of replicates; ``None`` for a single model."""
    if n_replicates == 1:
        return None
    return f"mean of {n_replicates} replicates;\nband: lowest to highest"
