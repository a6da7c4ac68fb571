"""The common form of networks: a hidden layer between an optional encoder and a readout."""

from __future__ import annotations

import abc
from typing import Any, Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from agents.policies.standardisation import Standardisation
from fbx_env import checks

MAX_SIZE = 10**6
"""Units of a layer at most; with much more, XLA would abort the process."""


class NetworkPolicy(eqx.Module):
    """A policy with a hidden layer between an optional encoder and a linear readout.

    Subclasses define the hidden layer. A policy acts on one trial, ``vmap`` makes it many:
    ``(obs, carry, *, key) -> (command, carry)``, beginning with ``initial_carry()``. Interventions
    can reach into its units, as it is a ``fbx_env.UnitPolicy``.

    Attributes:
        encoder: layer with a hyperbolic tangent before the hidden one; ``None`` for no such layer.
        readout: from the hidden units to the command.
        standardisation: of observations before anything else; ``None`` to take them as they are.
    """

    encoder: eqx.AbstractVar[eqx.nn.Linear | None]
    readout: eqx.AbstractVar[eqx.nn.Linear]
    standardisation: eqx.AbstractVar[Standardisation | None]

    def __call__(
        self, obs: Float[Array, " observation"], carry: Any, *, key: PRNGKeyArray | None = None
    ) -> tuple[Float[Array, " command"], Any]:
        """Return the command for an observation, and the next carry."""
        carry = self.advance(obs, carry, key=key)
        return self.command(carry), carry

    def advance(
        self, obs: Float[Array, " observation"], carry: Any, *, key: PRNGKeyArray | None = None
    ) -> Any:
        """Return the carry after a step with this observation."""
        if self.standardisation is not None:
            obs = self.standardisation(obs)
        inputs = obs if self.encoder is None else jnp.tanh(self.encoder(obs))
        return self.update(inputs, carry)

    def command(self, carry: Any) -> Float[Array, " command"]:
        """Return the command for the activity in a carry."""
        command: Float[Array, " command"] = self.readout(self.activity(carry))
        return command

    @abc.abstractmethod
    def update(self, inputs: Float[Array, " input"], carry: Any) -> Any:
        """Return the carry after one step with these inputs."""

    @abc.abstractmethod
    def initial_carry(self) -> Any:
        """Return the carry before the first step: no activity."""

    @abc.abstractmethod
    def activity(self, carry: Any) -> Float[Array, " hidden"]:
        """Return the activity of the hidden units."""

    @abc.abstractmethod
    def with_activity(self, carry: Any, activity: Float[Array, " hidden"]) -> Any:
        """Return a carry in which the hidden units have this activity."""

    def with_input(self, current: Float[Array, " hidden"]) -> Self:
        """Return the network with a current added to the bias of its hidden units.

        Raises:
            ValueError: if these have no bias that is known to drive them.
        """
        bias: Any = getattr(_hidden_layer(self), "bias", None)
        n_units = self.readout.in_features
        shape = None if bias is None else bias.shape
        if shape == (n_units,):
            changed = bias + current
        elif shape in ((3 * n_units,), (4 * n_units,)):
            changed = bias.at[2 * n_units : 3 * n_units].add(current)
        else:
            raise ValueError(
                f"an input into units needs a bias of shape {(n_units,)}, or one for each gate as "
                f"equinox's cells have it; the hidden layer has {shape}"
            )
        network: Self = eqx.tree_at(lambda network: _hidden_layer(network).bias, self, changed)
        return network


class ActivityCarryPolicy(NetworkPolicy):
    """A network whose carry is the activity of its hidden units."""

    def initial_carry(self) -> Float[Array, " hidden"]:
        return jnp.zeros(self.readout.in_features)

    def activity(self, carry: Float[Array, " hidden"]) -> Float[Array, " hidden"]:
        return carry

    def with_activity(
        self, carry: Float[Array, " hidden"], activity: Float[Array, " hidden"]
    ) -> Float[Array, " hidden"]:
        return activity


def make_ends(
    obs_size: int,
    action_size: int,
    hidden_size: int,
    encoding_size: int | None,
    key: PRNGKeyArray,
) -> tuple[eqx.nn.Linear | None, int, PRNGKeyArray, eqx.nn.Linear]:
    """Make what is around the hidden layer.

    Returns:
        The encoder, the size of the hidden layer's input, a key for the hidden layer, and the
        readout, whose bias is zero.

    Raises:
        TypeError, ValueError: if a size is not a whole number from 1 to ``MAX_SIZE``.
    """
    sizes = {"obs_size": obs_size, "action_size": action_size, "hidden_size": hidden_size}
    for name, size in sizes.items():
        checks.whole(name, size, at_least=1, at_most=MAX_SIZE)
    checks.key("key", key)
    key_encoder, key_hidden, key_readout = jax.random.split(key, 3)
    encoder = None
    if encoding_size is not None:
        checks.whole("encoding_size", encoding_size, at_least=1, at_most=MAX_SIZE)
        encoder = eqx.nn.Linear(int(obs_size), int(encoding_size), key=key_encoder)
    readout = eqx.nn.Linear(int(hidden_size), int(action_size), key=key_readout)
    readout = eqx.tree_at(lambda linear: linear.bias, readout, jnp.zeros(int(action_size)))
    return encoder, int(encoding_size or obs_size), key_hidden, readout


def count_replicates(policy: Any) -> int | None:
    """Return how many replicates are in this pytree; ``None`` for a single policy.

    A policy without a readout, such as the optimal one, is taken for a single one.
    """
    readout = getattr(policy, "readout", None)
    return None if readout is None or readout.weight.ndim < 3 else len(readout.weight)


def _hidden_layer(network: Any) -> Any:
    """The module whose bias drives the hidden units; ``None`` if there is none of a known name."""
    return getattr(network, "cell", getattr(network, "hidden", None))
