"""The one constructor of networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jaxtyping import PRNGKeyArray

from agents.policies.custom_cell import CustomCellPolicy
from agents.policies.gru import GRUPolicy
from agents.policies.lstm import LSTMPolicy
from agents.policies.mlp import MLPPolicy
from agents.policies.network import NetworkPolicy
from agents.policies.rnn import RNNPolicy
from fbx_env import checks

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
    **options: Any,
) -> NetworkPolicy:
    """Make a policy by the name or the cell of its hidden layer.

    Args:
        hidden_type: a name of ``POLICIES``, or a function that makes a recurrent cell of your own,
            as ``make_cell`` of ``CustomCellPolicy``.
        obs_size: numbers in an observation.
        action_size: numbers in a command.
        hidden_size: units of the hidden layer.
        encoding_size: units of a tanh layer before the hidden one; ``None`` for no such layer.
        key: for the initial weights.
        **options: further arguments of the policy's class, such as ``leak`` of ``RNNPolicy``.

    Raises:
        TypeError: if ``hidden_type`` is neither a name nor a function.
        ValueError: for an unknown name, or a size that is not allowed.

    Example:
        >>> policy = make_policy("lstm", 8, 2, 50, key=jax.random.key(0))
    """
    sizes = (obs_size, action_size, hidden_size, encoding_size)
    if callable(hidden_type):
        return CustomCellPolicy(hidden_type, *sizes, key=key, **options)
    if not isinstance(hidden_type, str):
        raise TypeError(f"hidden_type must be a name or make a cell, got {hidden_type!r}")
    make: Any = POLICIES[checks.known("hidden_type", hidden_type, POLICIES)]
    policy: NetworkPolicy = make(*sizes, key=key, **options)
    return policy
