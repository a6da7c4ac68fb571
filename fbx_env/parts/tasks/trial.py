"""One trial: what differs between trials of a task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Array, Float, Real

from fbx_env import checks
from fbx_env.parts.component import Component

if TYPE_CHECKING:
    Points = Float[Array, "*trials 2"]
else:
    Points = Real[Array, "*trials 2"] | Real[np.ndarray, "*trials 2"] | Sequence[Any]
"""Points of the plane [m]: given as an array or a sequence of numbers, kept as an array."""


class Trial(Component):
    """One trial, or a batch of trials with a leading axis: where to start and where to go.

    A task whose trials differ in more than that has a subclass with further fields, such as
    ``EpochTrial``.

    Attributes:
        start: position of the effector at the start [m], shape ``(2,)`` or ``(n, 2)``.
        goal: position to reach [m], same shape.

    Raises:
        TypeError: if either is not numeric.
        ValueError: if either is not finite, does not end in two coordinates, the shapes differ, or
            there is no trial at all.

    Example:
        >>> Trial(start=(0.0, 0.0), goal=(0.5, 0.0)).goal
        Array([0.5, 0. ], dtype=float32)
    """

    start: Points
    goal: Points

    def __check_init__(self) -> None:
        start = checks.real("start", self.start, shape=(2,))
        goal = checks.real("goal", self.goal, shape=(2,))
        if start.shape != goal.shape:
            raise ValueError(
                f"start and goal must have the same shape, got {start.shape} and {goal.shape}"
            )
        if 0 in start.shape:
            raise ValueError(f"there must be at least one trial, got start of shape {start.shape}")
        self._assign(start=start, goal=goal)
