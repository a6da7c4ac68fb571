"""What a policy remembers, as a vector of its floats."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from agents.optimum.experiment import double, known_key
from agents.optimum.normals import without_noise


def flattened(
    carry: Any,
) -> tuple[Float[Array, " floats"], Callable[[Float[Array, " floats"]], Any]]:
    """The floats of a carry as a vector, and what makes a carry of such a vector.

    What is not a float, such as a counter of steps, stays as it is.
    """
    floats, others = eqx.partition(carry, eqx.is_inexact_array)
    vector, unravel = ravel_pytree(floats)
    return vector, lambda vector: eqx.combine(unravel(vector), others)


def in_double(policy: Any) -> Any:
    """A policy whose floats have double precision."""
    return jax.tree.map(lambda leaf: double(leaf) if eqx.is_array_like(leaf) else leaf, policy)


def quiet_step(
    policy: Any, obs: Float[Array, " observation"], carry: Any
) -> tuple[Float[Array, " command"], Any]:
    """Command and next carry of a policy, without noise of its units."""
    command, carry = without_noise(
        lambda obs, carry: policy(obs, carry, key=known_key()), obs, carry
    )
    return command, carry


@eqx.filter_jit
def visited(
    policy: Any, observations: Float[np.ndarray, "trials steps observation"]
) -> Float[Array, "trials steps floats"]:
    """The floats of the carry after each observation of some trials."""

    def one(observations: Float[Array, "steps observation"]) -> Float[Array, "steps floats"]:
        def step(carry: Any, obs: Float[Array, " observation"]) -> Any:
            _, carry = quiet_step(policy, obs, carry)
            return carry, flattened(carry)[0]

        states: Float[Array, "steps floats"]
        _, states = jax.lax.scan(step, policy.initial_carry(), observations)
        return states

    return jax.vmap(one)(jnp.asarray(observations))
