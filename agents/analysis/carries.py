"""The carry of a policy as a vector of its floats, and steps of a policy without noise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from agents.optimum.experiment import double, known_key
from agents.optimum.normals import without_noise
from fbx_env import Clock, ReachParams
from fbx_env.parts.interventions.intervention import act


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


def act_quietly(
    policy: Any, params: ReachParams, obs: Float[Array, " observation"], carry: Any, clock: Clock
) -> tuple[Float[Array, " command"], Any]:
    """Command and next carry of a policy under the interventions of the params, without noise."""

    def step(obs: Any, carry: Any, params: ReachParams, clock: Clock) -> Any:
        return act(policy, params.interventions, obs, carry, clock, known_key())

    acted: tuple[Float[Array, " command"], Any] = without_noise(step, obs, carry, params, clock)
    return acted
