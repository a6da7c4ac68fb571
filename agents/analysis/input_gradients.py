"""How the loss depends on an input to each unit."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from agents.lesions import check_units
from fbx_env import ReachEnv, ReachParams, Trial, UnitInput
from fbx_env.rollout import rollout_trial

EXTRA = "analysed_input"
"""The name of the intervention on top of those of the experiment."""


def input_gradients(
    policy: Any, env: ReachEnv, params: ReachParams, trials: Trial, *, key: PRNGKeyArray
) -> Float[np.ndarray, "units trials"]:
    """The derivative of the loss of each trial with respect to a constant input to each unit.

    Args:
        policy: a network, and not replicates.
        env: the environment.
        params: the experiment.
        trials: several along a leading axis.
        key: for noise and draws, as of ``rollout``.

    Returns:
        The derivatives of the environment's loss where the input is 0, per unit of the drive; see
        ``UnitInput``.

    Raises:
        TypeError, ValueError: as ``lesion`` does; or if units cannot be driven.

    Example:
        >>> slope = input_gradients(policy, env, params, params.task.validation_trials(), key=key)
        >>> abs(slope).mean(axis=1).argmax()  # the unit on which the loss depends most
    """
    n_units = check_units(policy, env, params, trials, key)
    return np.asarray(_gradients(jnp.zeros(n_units), policy, env, params, trials, key)).T


@eqx.filter_jit
def _gradients(
    current: Float[Array, " units"],
    policy: Any,
    env: ReachEnv,
    params: ReachParams,
    trials: Trial,
    key: PRNGKeyArray,
) -> Float[Array, "trials units"]:
    def loss(current: Float[Array, " units"], trial: Trial, key: PRNGKeyArray) -> Float[Array, ""]:
        driven = UnitInput(current=current, name=EXTRA)
        changed = params.replace(interventions=(*params.interventions, driven))
        return -jnp.sum(rollout_trial(env, changed, policy, trial, key).reward)

    keys = jax.random.split(key, trials.start.shape[0])
    gradients: Float[Array, "trials units"]
    gradients = jax.vmap(jax.grad(loss), in_axes=(None, 0, 0))(current, trials, keys)
    return gradients
