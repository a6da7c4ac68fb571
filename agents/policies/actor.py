"""Actors of reinforcement learners as policies: the same networks, in JAX, for the same evaluation.

What Stable-Baselines3 has learned is copied into an ``ActorPolicy``, which runs in ``rollout`` like
any other policy, needs no torch, and is saved and loaded like the rest.
"""

from __future__ import annotations

from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

ACTIVATIONS = {"tanh": jnp.tanh, "relu": jax.nn.relu}
OBSERVATION_CLIP = 10.0
"""Normalised observations are limited to this many standard deviations."""

Carry = tuple[Float[Array, " lstm"], Float[Array, " lstm"]]


class ActorPolicy(eqx.Module):
    """The actor of a reinforcement learner, commanding what it thinks best, without exploring.

    The observation is normalised; then come a layer of long short-term memory, if there is one,
    layers with an activation function, and a linear readout. Its output is limited, by clipping or
    by a hyperbolic tangent, and scaled to a command:

        command = force_scale * clip(readout, -bound, bound)    or
        command = force_scale * bound * tanh(readout)           if squashed

    Args:
        obs_size: numbers in an observation.
        action_size: numbers in a command.
        layer_sizes: units of each layer before the readout.
        lstm_size: units of long short-term memory before these; ``None`` for no such layer.
        activation: of the layers.
        squashed: whether a hyperbolic tangent limits the output.
        key: for initial weights.

    Raises:
        ValueError: for an unknown activation.

    Example:
        >>> policy = ActorPolicy(9, 2, (64, 64), key=jax.random.key(0))
        >>> command, _ = policy(jnp.zeros(9), policy.initial_carry())
    """

    obs_mean: Float[Array, " observation"]
    obs_std: Float[Array, " observation"]
    cell: eqx.nn.LSTMCell | None
    layers: tuple[eqx.nn.Linear, ...]
    readout: eqx.nn.Linear
    bound: Float[Array, ""]
    force_scale: Float[Array, ""]
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
        self.cell = (
            None if lstm_size is None else eqx.nn.LSTMCell(obs_size, lstm_size, key=key_cell)
        )
        sizes = [obs_size if lstm_size is None else lstm_size, *layer_sizes]
        self.layers = tuple(
            eqx.nn.Linear(size_in, size_out, key=key_layer)
            for size_in, size_out, key_layer in zip(sizes[:-1], sizes[1:], keys, strict=True)
        )
        self.readout = eqx.nn.Linear(sizes[-1], action_size, key=key_readout)
        self.bound, self.force_scale = jnp.ones(()), jnp.ones(())
        self.activation, self.squashed = activation, squashed

    def __call__(
        self, obs: Float[Array, " observation"], carry: Carry, *, key: PRNGKeyArray | None = None
    ) -> tuple[Float[Array, " action"], Carry]:
        """Return the command [N] for an observation, and what to remember."""
        x = (obs - self.obs_mean) / self.obs_std
        x = jnp.clip(x, -OBSERVATION_CLIP, OBSERVATION_CLIP)
        if self.cell is not None:
            carry = self.cell(x, carry)
            x = carry[0]
        for layer in self.layers:
            x = ACTIVATIONS[self.activation](layer(x))
        output = self.readout(x)
        if self.squashed:
            return self.force_scale * self.bound * jnp.tanh(output), carry
        return self.force_scale * jnp.clip(output, -self.bound, self.bound), carry

    def initial_carry(self) -> Carry:
        """What is remembered before the first step: nothing."""
        size = 0 if self.cell is None else self.cell.hidden_size
        return jnp.zeros(size), jnp.zeros(size)

    def activity(self, carry: Carry) -> Float[Array, " lstm"]:
        """The activity of the recurrent units, of which there are none without an LSTM."""
        return carry[0]

    def arguments(self) -> dict[str, Any]:
        """What to call ``ActorPolicy`` with for one of the same structure."""
        return {
            "obs_size": len(self.obs_mean),
            "action_size": self.readout.out_features,
            "layer_sizes": [layer.out_features for layer in self.layers],
            "lstm_size": None if self.cell is None else self.cell.hidden_size,
            "activation": self.activation,
            "squashed": self.squashed,
        }
