"""A path through given points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Real

from fbx_env.parts.component import Scalar, number
from fbx_env.parts.tasks.paths.path import TargetPath

if TYPE_CHECKING:
    Corners = Float[Array, "*batch points 2"] | Sequence[tuple[float, float]]
else:
    Corners = Real[Array | np.ndarray, "*batch points 2"] | Sequence[Sequence[Any]]


class GivenPath(TargetPath):
    """A path through given points, one after another, which is the same in all trials.

    From each point it leads to the next one in a straight line, in equal times; it stays at the
    last one.

    Attributes:
        points: where it leads [m], from the centre, ``(points, 2)``, two or more.
        duration: time from the first to the last [s], greater than 0.

    Raises:
        TypeError, ValueError: for a number that is not allowed, or a single point.

    Example:
        >>> angle = np.linspace(0, 6 * np.pi, 200)
        >>> spiral = GivenPath(np.stack([angle * np.cos(angle), angle * np.sin(angle)], -1) / 60)
    """

    points: Corners = number(
        "points of the target's path, one after another",
        default=((0.0, 0.0), (0.3, 0.0), (0.3, 0.3), (0.0, 0.3), (0.0, 0.0)),
        unit="m",
        shape=(-1, 2),
        keyword="path_points",
    )
    duration: Scalar = number(
        "time from the first to the last point of the target's path",
        default=4.0,
        unit="s",
        above=0,
        keyword="path_duration",
    )

    def __check_init__(self) -> None:
        points = jnp.asarray(self.points)
        if points.shape[-2] < 2:
            raise ValueError(f"points must be two or more, got shape {points.shape}")

    @property
    def n_phases(self) -> int:
        return 0

    def position(self, phase: Float[Array, " phases"], time: Float[Array, ""]) -> Float[Array, "2"]:
        points = jnp.asarray(self.points)
        times = self.duration * jnp.linspace(0.0, 1.0, len(points))
        return jnp.stack([jnp.interp(time, times, points[:, axis]) for axis in (0, 1)])
