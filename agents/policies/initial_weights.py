"""Weights with which recurrent layers begin."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray


def orthogonal(
    n_gates: int, hidden_size: int, key: PRNGKeyArray
) -> Float[Array, "gates_units units"]:
    """Return random recurrent weights, orthogonal for each gate.

    They keep the length of an activity, so that gradients neither vanish nor grow over the steps of
    a trial at first (Saxe and others, 2014, https://arxiv.org/abs/1312.6120).

    Args:
        n_gates: whose weights lie one below the other.
        hidden_size: number of units.
        key: for the weights.
    """
    weights = jax.random.orthogonal(key, hidden_size, (n_gates,))
    return weights.reshape(n_gates * hidden_size, hidden_size)


def gate_biases(biases: Sequence[float], hidden_size: int) -> Float[Array, " gates_units"]:
    """Return biases that are the same for all units of a gate.

    Args:
        biases: of the gates, in their order.
        hidden_size: number of units.
    """
    return jnp.repeat(jnp.asarray(biases, float), hidden_size)
