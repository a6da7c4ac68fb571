"""Leaky vanilla recurrent units."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from agents.policies.network import ActivityCarryPolicy, make_ends
from agents.policies.standardisation import Standardisation
from fbx_env import checks


class LeakyRNNCell(eqx.Module):
    """A vanilla recurrent layer whose units leak towards their input.

        h' = (1 - leak) h + leak tanh(W_ih x + W_hh h + b)

    Attributes:
        weight_ih: ``(hidden, input)``.
        weight_hh: ``(hidden, hidden)``.
        bias: ``(hidden,)``.
        leak: time step over time constant, in (0, 1]; 1 is a vanilla layer.
        hidden_size: number of units.
    """

    weight_ih: Float[Array, "hidden input"]
    weight_hh: Float[Array, "hidden hidden"]
    bias: Float[Array, " hidden"]
    leak: float = eqx.field(static=True)
    hidden_size: int = eqx.field(static=True)

    def __init__(
        self, input_size: int, hidden_size: int, leak: float = 0.5, *, key: PRNGKeyArray
    ) -> None:
        if not 0 < checks.number("leak", leak) <= 1:
            raise ValueError(f"leak must be greater than 0 and at most 1, got {leak!r}")
        limit = 1 / hidden_size**0.5
        key_ih, key_hh = jax.random.split(key)
        self.weight_ih = jax.random.uniform(
            key_ih, (hidden_size, input_size), minval=-limit, maxval=limit
        )
        self.weight_hh = jax.random.uniform(
            key_hh, (hidden_size, hidden_size), minval=-limit, maxval=limit
        )
        self.bias = jnp.zeros(hidden_size)
        self.leak = leak
        self.hidden_size = hidden_size

    def __call__(
        self, inputs: Float[Array, " input"], hidden: Float[Array, " hidden"]
    ) -> Float[Array, " hidden"]:
        drive = self.weight_ih @ inputs + self.weight_hh @ hidden + self.bias
        return hidden + self.leak * (jnp.tanh(drive) - hidden)


class RNNPolicy(ActivityCarryPolicy):
    """Leaky vanilla recurrent units and a linear readout; arguments as of ``GRUPolicy``.

    Args:
        leak: time step over the units' time constant, in (0, 1].
    """

    encoder: eqx.nn.Linear | None
    standardisation: Standardisation | None
    cell: LeakyRNNCell
    readout: eqx.nn.Linear

    def __init__(
        self,
        obs_size: int,
        action_size: int,
        hidden_size: int,
        encoding_size: int | None = None,
        leak: float = 0.5,
        *,
        key: PRNGKeyArray,
    ) -> None:
        self.standardisation = None
        self.encoder, input_size, key_hidden, self.readout = make_ends(
            obs_size, action_size, hidden_size, encoding_size, key
        )
        self.cell = LeakyRNNCell(input_size, hidden_size, leak, key=key_hidden)

    def update(
        self, inputs: Float[Array, " input"], carry: Float[Array, " hidden"]
    ) -> Float[Array, " hidden"]:
        return self.cell(inputs, carry)
