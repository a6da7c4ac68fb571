"""Gated recurrent units."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from agents.policies.initial_weights import gate_biases, orthogonal
from agents.policies.network import ActivityCarryPolicy, make_ends
from agents.policies.standardisation import Standardisation

FIRST_BIASES = (1.0, 1.5, 0.0)
"""Of the gates r, z and n: at first, units let most of their activity into their candidate, and
keep four fifths of it from step to step (as long short-term memory begins by remembering:
Jozefowicz and others, 2015, https://proceedings.mlr.press/v37/jozefowicz15.html)."""


@jax.custom_jvp
def gated_update(
    from_inputs: Float[Array, " gates"],
    from_hidden: Float[Array, " gates"],
    hidden: Float[Array, " hidden"],
) -> Float[Array, " hidden"]:
    """The activity of gated recurrent units, from what drives their gates.

        r = sigmoid(a_r + b_r),  z = sigmoid(a_z + b_z),  n = tanh(a_n + r b_n)
        h' = n + z (h - n)

    The derivative is spelt out below: automatic differentiation would keep a third more for the
    backward pass, and an update of the weights would take about a quarter more time.

    Args:
        from_inputs: a, the drives of the gates r, z and n one after the other.
        from_hidden: b, likewise.
        hidden: h.
    """
    return _gates(from_inputs, from_hidden, hidden)[-1]


@gated_update.defjvp
def _gated_update_jvp(
    primals: tuple[Float[Array, "_"], ...], tangents: tuple[Float[Array, "_"], ...]
) -> tuple[Float[Array, " hidden"], Float[Array, " hidden"]]:
    _, from_hidden, hidden = primals
    r, z, n, after = _gates(*primals)
    by_candidate = (1 - z) * (1 - jnp.square(n))
    by_recurrent = by_candidate * r
    by_reset = by_recurrent * jnp.split(from_hidden, 3)[2] * (1 - r)
    by_update = (hidden - n) * z * (1 - z)
    reset, update, candidate = jnp.split(tangents[0], 3)
    recurrent_reset, recurrent_update, recurrent = jnp.split(tangents[1], 3)
    tangent = (
        by_reset * (reset + recurrent_reset)
        + by_update * (update + recurrent_update)
        + by_candidate * candidate
        + by_recurrent * recurrent
        + z * tangents[2]
    )
    return after, tangent


def _gates(
    from_inputs: Float[Array, " gates"],
    from_hidden: Float[Array, " gates"],
    hidden: Float[Array, " hidden"],
) -> tuple[Float[Array, " hidden"], ...]:
    """The gates r, z and n, and the activity they lead to."""
    reset, update, candidate = jnp.split(from_inputs, 3)
    recurrent_reset, recurrent_update, recurrent = jnp.split(from_hidden, 3)
    r = jax.nn.sigmoid(reset + recurrent_reset)
    z = jax.nn.sigmoid(update + recurrent_update)
    n = jnp.tanh(candidate + r * recurrent)
    return r, z, n, n + z * (hidden - n)


class GRUPolicy(ActivityCarryPolicy):
    """Gated recurrent units and a linear readout.

    Args:
        obs_size: numbers in an observation.
        action_size: numbers in a command.
        hidden_size: number of units.
        encoding_size: units of a tanh layer before the recurrent one; ``None`` for no such layer.
        key: for the initial weights.

    Raises:
        TypeError, ValueError: if a size is not a whole number above 0.

    Example:
        >>> policy = GRUPolicy(8, 2, 50, key=jax.random.key(0))
        >>> command, carry = policy(jnp.zeros(8), policy.initial_carry())
        >>> command.shape, policy.activity(carry).shape
        ((2,), (50,))
    """

    encoder: eqx.nn.Linear | None
    standardisation: Standardisation | None
    cell: eqx.nn.GRUCell
    readout: eqx.nn.Linear

    def __init__(
        self,
        obs_size: int,
        action_size: int,
        hidden_size: int,
        encoding_size: int | None = None,
        *,
        key: PRNGKeyArray,
    ) -> None:
        self.standardisation = None
        self.encoder, input_size, key_hidden, self.readout = make_ends(
            obs_size, action_size, hidden_size, encoding_size, key
        )
        key_cell, key_recurrent = jax.random.split(key_hidden)
        self.cell = eqx.tree_at(
            lambda cell: (cell.weight_hh, cell.bias, cell.bias_n),
            eqx.nn.GRUCell(input_size, hidden_size, key=key_cell),
            (
                orthogonal(3, hidden_size, key_recurrent),
                gate_biases(FIRST_BIASES, hidden_size),
                jnp.zeros(hidden_size),
            ),
        )

    def update(
        self, inputs: Float[Array, " input"], carry: Float[Array, " hidden"]
    ) -> Float[Array, " hidden"]:
        cell: Any = self.cell  # Its type says that it may have no bias, but it has.
        bias = jnp.concatenate([jnp.zeros(2 * cell.hidden_size), cell.bias_n])
        return gated_update(
            cell.weight_ih @ inputs + cell.bias, cell.weight_hh @ carry + bias, carry
        )
