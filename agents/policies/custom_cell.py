"""A recurrent cell of one's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from agents.policies.network import ActivityCarryPolicy, make_ends
from agents.policies.standardisation import Standardisation


class CustomCellPolicy(ActivityCarryPolicy):
    """A recurrent cell of your own and a linear readout; other arguments as of ``GRUPolicy``.

    Args:
        make_cell: ``make_cell(input_size, hidden_size, key=key)`` makes the cell, a module with
            ``cell(inputs, hidden) -> hidden``: equinox's cells, or a class like ``LeakyRNNCell``.

    Raises:
        ValueError: if the cell does not turn inputs and hidden activity into hidden activity.
    """

    encoder: eqx.nn.Linear | None
    standardisation: Standardisation | None
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
        self.standardisation = None
        self.encoder, input_size, key_hidden, self.readout = make_ends(
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

    def update(
        self, inputs: Float[Array, " input"], carry: Float[Array, " hidden"]
    ) -> Float[Array, " hidden"]:
        after: Float[Array, " hidden"] = self.cell(inputs, carry)
        return after
