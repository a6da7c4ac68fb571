"""Actors of reinforcement learners as policies: the same networks, in JAX, for the same evaluation.

What Stable-Baselines3 has learned is copied into an ``ActorPolicy``, which runs in ``rollout`` like
any other policy, needs no torch, and is saved and loaded like the rest.
"""

from __future__ import annotations

from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

ACTIVATIONS = {"tanh": jnp.tanh, "relu": jax.nn.relu}
Carry = tuple[Float[Array, " lstm"], Float[Array, " lstm"]]


class ActorPolicy(eqx.Module):
    """The actor of a reinforcement learner, commanding its best estimate, without exploring.

    The observation is normalised; then come a layer of long short-term memory, if there is one,
    layers with an activation function, and a linear readout. Its output is limited, by clipping or
    by a hyperbolic tangent, and becomes a command:

        output = clip(readout, low, high)    or, if squashed,
        output = (high + low) / 2 + (high - low) / 2 * tanh(readout)
        command = scale * output

    Args:
        obs_size: numbers in an observation.
        action_size: numbers in a command.
        layer_sizes: units of each layer before the readout.
        lstm_size: units of long short-term memory before these; ``None`` for no such layer.
        activation: of the layers, ``"tanh"`` or ``"relu"``.
        squashed: whether a hyperbolic tangent limits the output.
        key: for initial weights.

    Attributes:
        obs_mean, obs_std: with which observations are normalised.
        obs_clip: limit of normalised observations, infinite at first.
        low, high: limits of each output, -1 and 1 at first.
        scale: the command for an output of 1, in the units of the command, 1 at first.

    Raises:
        ValueError: for an unknown activation.

    Example:
        >>> policy = ActorPolicy(9, 2, (64, 64), key=jax.random.key(0))
        >>> command, _ = policy(jnp.zeros(9), policy.initial_carry())
    """

    obs_mean: Float[Array, " observation"]
    obs_std: Float[Array, " observation"]
    obs_clip: Float[Array, ""]
    cell: eqx.nn.LSTMCell | None
    layers: tuple[eqx.nn.Linear, ...]
    readout: eqx.nn.Linear
    low: Float[Array, " action"]
    high: Float[Array, " action"]
    scale: Float[Array, " action"]
    activation: str = eqx.field(static=True)
    squashed: bool = eqx.field(static=True)

    def __init__(
        self,
        obs_size: int,
        action_size: int,
        layer_sizes: tuple[int, ...],
        lstm_size: int | None = None,
        activation: Literal["tanh", "relu"] = "tanh",
        squashed: bool = False,
        *,
        key: PRNGKeyArray,
    ) -> None:
        if activation not in ACTIVATIONS:
            raise ValueError(
                f"activation must be one of {', '.join(ACTIVATIONS)}, got {activation!r}"
            )
        key_cell, key_readout, *keys = jax.random.split(key, 2 + len(layer_sizes))
        self.obs_mean, self.obs_std = jnp.zeros(obs_size), jnp.ones(obs_size)
        self.obs_clip = jnp.array(jnp.inf)
        self.cell = (
            None if lstm_size is None else eqx.nn.LSTMCell(obs_size, lstm_size, key=key_cell)
        )
        sizes = [obs_size if lstm_size is None else lstm_size, *layer_sizes]
        self.layers = tuple(
            eqx.nn.Linear(size_in, size_out, key=key_layer)
            for size_in, size_out, key_layer in zip(sizes[:-1], sizes[1:], keys, strict=True)
        )
        self.readout = eqx.nn.Linear(sizes[-1], action_size, key=key_readout)
        self.low, self.high = -jnp.ones(action_size), jnp.ones(action_size)
        self.scale = jnp.ones(action_size)
        self.activation, self.squashed = activation, squashed

    def __call__(
        self, obs: Float[Array, " observation"], carry: Carry, *, key: PRNGKeyArray | None = None
    ) -> tuple[Float[Array, " action"], Carry]:
        """Return the command for an observation, and the next carry."""
        x = (obs - self.obs_mean) / self.obs_std
        x = jnp.clip(x, -self.obs_clip, self.obs_clip)
        if self.cell is not None:
            carry = self.cell(x, carry)
            x = carry[0]
        for layer in self.layers:
            x = ACTIVATIONS[self.activation](layer(x))
        output = self.readout(x)
        if self.squashed:
            middle, half = (self.high + self.low) / 2, (self.high - self.low) / 2
            return self.scale * (middle + half * jnp.tanh(output)), carry
        return self.scale * jnp.clip(output, self.low, self.high), carry

    def initial_carry(self) -> Carry:
        """Return the carry before the first step: no activity."""
        size = 0 if self.cell is None else self.cell.hidden_size
        return jnp.zeros(size), jnp.zeros(size)

    def activity(self, carry: Carry) -> Float[Array, " lstm"]:
        """Return the activity of the recurrent units; without an LSTM there are none."""
        return carry[0]
