"""Muscles that run straight from anchors to a point."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from fbx_env.parts.component import SignalScalar, number
from fbx_env.parts.plants.geometry.geometry import MuscleGeometry, Muscles


class StraightGeometry(MuscleGeometry):
    """Muscles that run straight from anchors in the plane to a point that they pull.

    Attributes:
        anchor_x, anchor_y: where each muscle is anchored [m].
    """

    anchor_x: SignalScalar = number(
        "anchor of each muscle, along x", default=0.0, unit="m", shape=None
    )
    anchor_y: SignalScalar = number(
        "anchor of each muscle, along y", default=0.0, unit="m", shape=None
    )

    @classmethod
    def square(cls) -> StraightGeometry:
        """Four muscles of 500 N, anchored at the corners of a square of 4 m."""
        return cls(
            names=("upper right", "upper left", "lower right", "lower left"),
            max_force=500.0,
            anchor_x=jnp.array([2.0, -2.0, 2.0, -2.0]),
            anchor_y=jnp.array([2.0, 2.0, -2.0, -2.0]),
        )

    def length(self, coordinates: Float[Array, "2"]) -> Muscles:
        x, y = coordinates
        squared = (x - self.anchor_x) ** 2 + (y - self.anchor_y) ** 2
        # The inner choice keeps the gradient finite at an anchor, where there is no direction.
        return jnp.where(squared > 0, jnp.sqrt(jnp.where(squared > 0, squared, 1.0)), 0.0)
