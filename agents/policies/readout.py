"""Readouts for commands that cannot be negative."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray


class SquaredReadout(eqx.nn.Linear):
    """A linear readout, its output rectified and squared.

    For muscles, which can only pull: excitations are small and most of them zero in a good reach,
    and squares reach both without a jump in what they are worth.

    Example:
        >>> SquaredReadout(50, 6, key=jax.random.key(0))(jnp.zeros(50)).min() >= 0
        Array(True, dtype=bool)
    """

    def __call__(
        self, x: Float[Array, " hidden"], *, key: PRNGKeyArray | None = None
    ) -> Float[Array, " command"]:
        """Return the command for the activity of the hidden units."""
        command: Float[Array, " command"] = jnp.square(jax.nn.relu(super().__call__(x)))
        return command


def squared(readout: eqx.nn.Linear, first: float) -> SquaredReadout:
    """A readout of the same weights, whose command is ``first`` where there is no activity."""
    make: Any = SquaredReadout  # Its type has the arguments of its fields.
    like = make(readout.in_features, readout.out_features, key=jax.random.key(0))
    bias = jnp.full(readout.out_features, jnp.sqrt(first))
    changed: SquaredReadout = eqx.tree_at(
        lambda linear: (linear.weight, linear.bias), like, (readout.weight, bias)
    )
    return changed
