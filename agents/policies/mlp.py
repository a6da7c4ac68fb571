"""A hidden layer without memory."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from agents.policies.network import ActivityCarryPolicy, make_ends
from agents.policies.standardisation import Standardisation


class MLPPolicy(ActivityCarryPolicy):
    """One hidden tanh layer without memory; arguments as of ``GRUPolicy``.

    The carry only shows the activity; it does not influence the next step. The cost of a reach
    depends on time, so let the observation contain it.
    """

    encoder: eqx.nn.Linear | None
    standardisation: Standardisation | None
    hidden: eqx.nn.Linear
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
        self.hidden = eqx.nn.Linear(input_size, hidden_size, key=key_hidden)

    def update(
        self, inputs: Float[Array, " input"], carry: Float[Array, " hidden"]
    ) -> Float[Array, " hidden"]:
        return jnp.tanh(self.hidden(inputs))
