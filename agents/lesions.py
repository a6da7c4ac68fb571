"""Lesions: how much worse a policy does without each of its units."""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from agents.objective import Keys
from fbx_env import Policy, ReachEnv, ReachParams, Trial, UnitGain, checks
from fbx_env.reach import check_trials
from fbx_env.rollout import check_policy, rollout_trial

NAME = "lesion"
"""Of the intervention, beside those that the experiment has."""


class Lesions(NamedTuple):
    """The environment's loss of each trial, with all units and without each of them.

    Attributes:
        intact: with all units, ``(trials,)``.
        lesioned: without each unit, ``(units, trials)``.
    """

    intact: Float[Array, "*replicates trials"]
    lesioned: Float[Array, "*replicates units trials"]

    @property
    def ratio(self) -> Float[Array, "*replicates units"]:
        """The mean loss without each unit, relative to that with all units."""
        return self.lesioned.mean(axis=-1) / self.intact.mean(axis=-1, keepdims=True)


def lesion(
    policy: Policy, env: ReachEnv, params: ReachParams, trials: Trial, key: PRNGKeyArray
) -> Lesions:
    """Silence each unit of a policy in turn, all of each trial, in one compiled call.

    Trials, noise and what is drawn are the same with every lesion, and the interventions of the
    params stay. Map over replicates with ``eqx.filter_vmap``.

    Args:
        policy: a network whose units can be silenced.
        env: the environment.
        params: the experiment.
        trials: along a leading axis.
        key: for noise, split over the trials.

    Returns:
        The losses of every trial.

    Raises:
        TypeError: for an argument of the wrong kind, or a policy without units to silence.
        ValueError: if ``trials`` have no leading axis or more than one, or the policy has no units.

    Example:
        >>> lesions = lesion(policy, env, params, params.task.validation_trials(), key)
        >>> lesions.lesioned.shape
        (50, 7)
        >>> figure, ax = plot.lesion_costs(lesions.lesioned, lesions.intact)
    """
    check_units(policy, env, params, trials, key)
    losses = _losses(policy, env, params, trials, jax.random.split(key, len(trials.start)))
    return Lesions(losses[0], losses[1:])


def check_units(policy: Any, env: Any, params: Any, trials: Any, key: Any) -> int:
    """Check the arguments of ``lesion`` and of its like, and count the units.

    Raises:
        TypeError, ValueError: as ``lesion`` does.
    """
    checks.instance("env", env, ReachEnv)
    checks.instance("params", params, ReachParams).checked()
    checks.instance("trials", trials, Trial)
    checks.key("key", key)
    check_policy(policy)
    if jnp.ndim(trials.start) != 2:
        raise ValueError(
            f"trials must have one leading axis, got start of shape {trials.start.shape}"
        )
    check_trials(params, trials)
    n_units = int(policy.activity(policy.initial_carry()).size)
    if n_units == 0:
        raise ValueError(f"policy must have units, {type(policy).__name__} has none")
    return n_units


@eqx.filter_jit
def _losses(
    policy: Policy, env: ReachEnv, params: ReachParams, trials: Trial, keys: Keys
) -> Float[Array, "conditions trials"]:
    """The losses with all units, then without each."""
    n_units = policy.activity(policy.initial_carry()).size
    gains = jnp.concatenate([jnp.ones((1, n_units)), 1 - jnp.eye(n_units)])

    def loss(gain: Float[Array, " units"], trial: Trial, key: PRNGKeyArray) -> Float[Array, ""]:
        silenced = UnitGain(gain=gain, name=NAME)
        changed = params.replace(interventions=(*params.interventions, silenced))
        return -rollout_trial(env, changed, policy, trial, key).reward.sum()

    over_trials = jax.vmap(loss, in_axes=(None, 0, 0))
    losses: Float[Array, "conditions trials"] = jax.vmap(over_trials, in_axes=(0, None, None))(
        gains, trials, keys
    )
    return losses
