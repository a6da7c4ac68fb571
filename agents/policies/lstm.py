"""Long short-term memory."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from agents.policies.initial_weights import gate_biases, orthogonal
from agents.policies.network import NetworkPolicy, make_ends
from agents.policies.standardisation import Standardisation

FIRST_BIASES = (0.0, 1.0, 0.0, 0.0)
"""Of the gates i, f, g and o: memory begins by remembering (Jozefowicz and others, 2015,
https://proceedings.mlr.press/v37/jozefowicz15.html)."""


class LSTMPolicy(NetworkPolicy):
    """Long short-term memory units and a linear readout; arguments as of ``GRUPolicy``.

    The carry is the pair of the units' output, which is their activity, and their memory.
    """

    encoder: eqx.nn.Linear | None
    standardisation: Standardisation | None
    cell: eqx.nn.LSTMCell
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
            lambda cell: (cell.weight_hh, cell.bias),
            eqx.nn.LSTMCell(input_size, hidden_size, key=key_cell),
            (orthogonal(4, hidden_size, key_recurrent), gate_biases(FIRST_BIASES, hidden_size)),
        )

    def update(
        self,
        inputs: Float[Array, " input"],
        carry: tuple[Float[Array, " hidden"], Float[Array, " hidden"]],
    ) -> tuple[Float[Array, " hidden"], Float[Array, " hidden"]]:
        after: tuple[Float[Array, " hidden"], Float[Array, " hidden"]] = self.cell(inputs, carry)
        return after

    def initial_carry(self) -> tuple[Float[Array, " hidden"], Float[Array, " hidden"]]:
        return jnp.zeros(self.readout.in_features), jnp.zeros(self.readout.in_features)

    def activity(
        self, carry: tuple[Float[Array, " hidden"], Float[Array, " hidden"]]
    ) -> Float[Array, " hidden"]:
        return carry[0]

    def with_activity(
        self,
        carry: tuple[Float[Array, " hidden"], Float[Array, " hidden"]],
        activity: Float[Array, " hidden"],
    ) -> tuple[Float[Array, " hidden"], Float[Array, " hidden"]]:
        return activity, carry[1]
