"""Policies: networks that turn observations into commands, one trial and one step at a time."""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

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


@jax.custom_jvp
def gated_update(
    from_inputs: Float[Array, " 3*hidden"],
    from_hidden: Float[Array, " 3*hidden"],
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
    primals: tuple[Float[Array, " size"], ...], tangents: tuple[Float[Array, " size"], ...]
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
    from_inputs: Float[Array, " 3*hidden"],
    from_hidden: Float[Array, " 3*hidden"],
    hidden: Float[Array, " hidden"],
) -> tuple[Float[Array, " hidden"], ...]:
    """The gates r, z and n, and the activity they lead to."""
    reset, update, candidate = jnp.split(from_inputs, 3)
    recurrent_reset, recurrent_update, recurrent = jnp.split(from_hidden, 3)
    r = jax.nn.sigmoid(reset + recurrent_reset)
    z = jax.nn.sigmoid(update + recurrent_update)
    n = jnp.tanh(candidate + r * recurrent)
    return r, z, n, n + z * (hidden - n)


class NetworkPolicy(eqx.Module):
    """A hidden layer between an optional encoder and a linear readout.

    Subclasses define the hidden layer. A policy acts on one trial, ``vmap`` makes it many:
    ``(obs, carry, *, key) -> (action, carry)``, beginning with ``initial_carry()``.
    """

    encoder: eqx.AbstractVar[eqx.nn.Linear | None]
    readout: eqx.AbstractVar[eqx.nn.Linear]

    def __call__(
        self, obs: Float[Array, " observation"], carry: Any, *, key: PRNGKeyArray | None = None
    ) -> tuple[Float[Array, " action"], Any]:
        """Return the command [N] for an observation, and what to remember."""
        inputs = obs if self.encoder is None else jnp.tanh(self.encoder(obs))
        carry = self.update(inputs, carry)
        return self.readout(self.activity(carry)), carry

    @abc.abstractmethod
    def update(self, inputs: Float[Array, " input"], carry: Any) -> Any:
        """What to remember after one step with these inputs."""

    @abc.abstractmethod
    def initial_carry(self) -> Any:
        """What is remembered before the first step: no activity."""

    @abc.abstractmethod
    def activity(self, carry: Any) -> Float[Array, " hidden"]:
        """The activity of the hidden units."""


class CellPolicy(NetworkPolicy):
    """A recurrent cell whose output is all it remembers, between the encoder and the readout."""

    cell: eqx.AbstractVar[Any]

    def update(
        self, inputs: Float[Array, " input"], carry: Float[Array, " hidden"]
    ) -> Float[Array, " hidden"]:
        return self.cell(inputs, carry)

    def initial_carry(self) -> Float[Array, " hidden"]:
        return jnp.zeros(self.readout.in_features)

    def activity(self, carry: Float[Array, " hidden"]) -> Float[Array, " hidden"]:
        return carry


class GRUPolicy(CellPolicy):
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
        self.encoder, input_size, key_hidden, self.readout = _ends(
            obs_size, action_size, hidden_size, encoding_size, key
        )
        self.cell = eqx.nn.GRUCell(input_size, hidden_size, key=key_hidden)

    def update(
        self, inputs: Float[Array, " input"], carry: Float[Array, " hidden"]
    ) -> Float[Array, " hidden"]:
        cell: Any = self.cell  # Its type says that it may have no bias, but it has.
        bias = jnp.concatenate([jnp.zeros(2 * cell.hidden_size), cell.bias_n])
        return gated_update(
            cell.weight_ih @ inputs + cell.bias, cell.weight_hh @ carry + bias, carry
        )


class LSTMPolicy(NetworkPolicy):
    """Long short-term memory units and a linear readout; arguments as of ``GRUPolicy``.

    The carry is the pair of the units' output, which is their activity, and their memory.
    """

    encoder: eqx.nn.Linear | None
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
        self.encoder, input_size, key_hidden, self.readout = _ends(
            obs_size, action_size, hidden_size, encoding_size, key
        )
        self.cell = eqx.nn.LSTMCell(input_size, hidden_size, key=key_hidden)

    def update(
        self,
        inputs: Float[Array, " input"],
        carry: tuple[Float[Array, " hidden"], Float[Array, " hidden"]],
    ) -> tuple[Float[Array, " hidden"], Float[Array, " hidden"]]:
        return self.cell(inputs, carry)

    def initial_carry(self) -> tuple[Float[Array, " hidden"], Float[Array, " hidden"]]:
        return jnp.zeros(self.readout.in_features), jnp.zeros(self.readout.in_features)

    def activity(
        self, carry: tuple[Float[Array, " hidden"], Float[Array, " hidden"]]
    ) -> Float[Array, " hidden"]:
        return carry[0]


class RNNPolicy(CellPolicy):
    """Leaky vanilla recurrent units and a linear readout; arguments as of ``GRUPolicy``.

    Args:
        leak: time step over the units' time constant, in (0, 1].
    """

    encoder: eqx.nn.Linear | None
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
        self.encoder, input_size, key_hidden, self.readout = _ends(
            obs_size, action_size, hidden_size, encoding_size, key
        )
        self.cell = LeakyRNNCell(input_size, hidden_size, leak, key=key_hidden)


class CustomCellPolicy(CellPolicy):
    """A recurrent cell of your own and a linear readout; other arguments as of ``GRUPolicy``.

    Args:
        make_cell: ``make_cell(input_size, hidden_size, key=key)`` makes the cell, a module with
            ``cell(inputs, hidden) -> hidden``: equinox's cells, or a class like ``LeakyRNNCell``.

    Raises:
        ValueError: if the cell does not turn inputs and hidden activity into hidden activity.
    """

    encoder: eqx.nn.Linear | None
    cell: Any
    readout: eqx.nn.Linear

    def __init__(
        self,
        make_cell: Callable[..., Any],
        obs_size: int,
        action_size: int,
        hidden_size: int,
        encoding_size: int | None = None,
        *,
        key: PRNGKeyArray,
    ) -> None:
        self.encoder, input_size, key_hidden, self.readout = _ends(
            obs_size, action_size, hidden_size, encoding_size, key
        )
        self.cell = make_cell(input_size, hidden_size, key=key_hidden)
        hidden = jnp.zeros(hidden_size)
        try:
            after = eqx.filter_eval_shape(self.cell, jnp.zeros(input_size), hidden)
        except (TypeError, ValueError) as error:
            raise ValueError(f"a cell must take inputs and hidden activity: {error}") from error
        shape, dtype = getattr(after, "shape", None), getattr(after, "dtype", None)
        if (shape, dtype) != (hidden.shape, hidden.dtype):
            raise ValueError(
                f"a cell must return the hidden activity, {hidden.dtype} of shape {hidden.shape}, "
                f"got {after}"
            )


class MLPPolicy(NetworkPolicy):
    """One hidden tanh layer without memory; arguments as of ``GRUPolicy``.

    The carry only shows the activity; it does not influence the next step. The cost of a reach
    depends on time, so let the observation contain it.
    """

    encoder: eqx.nn.Linear | None
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
        self.encoder, input_size, key_hidden, self.readout = _ends(
            obs_size, action_size, hidden_size, encoding_size, key
        )
        self.hidden = eqx.nn.Linear(input_size, hidden_size, key=key_hidden)

    def update(
        self, inputs: Float[Array, " input"], carry: Float[Array, " hidden"]
    ) -> Float[Array, " hidden"]:
        return jnp.tanh(self.hidden(inputs))

    def initial_carry(self) -> Float[Array, " hidden"]:
        return jnp.zeros(self.readout.in_features)

    def activity(self, carry: Float[Array, " hidden"]) -> Float[Array, " hidden"]:
        return carry


POLICIES: dict[str, type[NetworkPolicy]] = {
    "gru": GRUPolicy,
    "lstm": LSTMPolicy,
    "rnn": RNNPolicy,
    "mlp": MLPPolicy,
}
"""The policies by the names that configurations use."""


def make_policy(
    hidden_type: str | Callable[..., Any],
    obs_size: int,
    action_size: int,
    hidden_size: int,
    encoding_size: int | None = None,
    *,
    key: PRNGKeyArray,
) -> NetworkPolicy:
    """Make a policy by the name or the cell of its hidden layer.

    Args:
        hidden_type: one of ``POLICIES``, or what makes a recurrent cell of your own, as
            ``make_cell`` of ``CustomCellPolicy``.

    Other arguments are as of ``GRUPolicy``.

    Raises:
        ValueError: for an unknown name.
    """
    if callable(hidden_type):
        return CustomCellPolicy(
            hidden_type, obs_size, action_size, hidden_size, encoding_size, key=key
        )
    if not isinstance(hidden_type, str):
        raise TypeError(f"hidden_type must be a name or make a cell, got {hidden_type!r}")
    if hidden_type not in POLICIES:
        raise ValueError(f"unknown hidden_type {hidden_type!r}; there are {', '.join(POLICIES)}")
    policy: Any = POLICIES[hidden_type]
    return policy(obs_size, action_size, hidden_size, encoding_size, key=key)


def count_replicates(policy: NetworkPolicy) -> int | None:
    """How many replicates are in this pytree; ``None`` for a single policy."""
    shape = policy.readout.weight.shape
    return shape[0] if len(shape) > 2 else None


def _ends(
    obs_size: int,
    action_size: int,
    hidden_size: int,
    encoding_size: int | None,
    key: PRNGKeyArray,
) -> tuple[eqx.nn.Linear | None, int, PRNGKeyArray, eqx.nn.Linear]:
    """Encoder, size of the hidden layer's input, the hidden layer's key, and readout."""
    obs_size = checks.whole("obs_size", obs_size, at_least=1)
    action_size = checks.whole("action_size", action_size, at_least=1)
    hidden_size = checks.whole("hidden_size", hidden_size, at_least=1)
    checks.key("key", key)
    key_encoder, key_hidden, key_readout = jax.random.split(key, 3)
    encoder = None
    if encoding_size is not None:
        encoding_size = checks.whole("encoding_size", encoding_size, at_least=1)
        encoder = eqx.nn.Linear(obs_size, encoding_size, key=key_encoder)
    readout = eqx.nn.Linear(hidden_size, action_size, key=key_readout)
    readout = eqx.tree_at(lambda linear: linear.bias, readout, jnp.zeros(action_size))
    return encoder, encoding_size or obs_size, key_hidden, readout
