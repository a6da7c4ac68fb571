"""Evaluation: the same figures for every agent, beside the exact optimum."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from agents.bptt import losses_by_term
from agents.lqr import optimal_loss
from fbx_env import ReachEnv, ReachParams, Trajectory, Trial, checks, rollout, tree_take

N_RANDOM_TRIALS = 1024
"""How many trials drawn from the task every learner is judged on, beside the validation trials."""

RANDOM_TRIALS_SEED = 2024


def random_trials(params: ReachParams) -> Trial:
    """Draw the trials from the task on which every learner is judged, always the same."""
    keys = jax.random.split(jax.random.key(RANDOM_TRIALS_SEED), N_RANDOM_TRIALS)
    return jax.vmap(params.task.sample)(keys)


def evaluate(
    policy: Any,
    env: ReachEnv,
    params: ReachParams,
    trials: Trial,
    *,
    hidden_weight: float = 1e-5,
    key: PRNGKeyArray,
) -> tuple[dict[str, Any], Trajectory]:
    """Judge a policy on given trials.

    Args:
        policy: what acts.
        env: the environment.
        params: the experiment.
        trials: one trial, or several along a leading axis.
        hidden_weight: of the squared activity, which is reported beside the environment's terms.
        key: for noise.

    Returns:
        Metrics, and the trajectories they were computed from. The metrics: ``losses`` by term with
        their ``total`` and ``environment`` (the total without ``hidden``); ``optimum`` by term and
        ``ratio_to_optimum`` of the environment's terms, or ``no_optimum``, the reason why there is
        none; means over trials of ``endpoint_error`` [m] and ``peak_speed`` [m/s]. With noise the
        optimum is an expectation, and the losses of a few trials can be below it.
    """
    checks.number("hidden_weight", hidden_weight, at_least=0)
    trajectory = rollout(env, params, policy, trials, key)
    losses = losses_by_term(trajectory, hidden_weight)
    terms = {name: float(losses[name]) for name in (*params.loss.names, "hidden")}
    environment = sum(terms.values()) - terms["hidden"]
    metrics: dict[str, Any] = {
        "losses": {**terms, "total": sum(terms.values()), "environment": environment},
        "endpoint_error": float(
            jnp.linalg.norm(trajectory.pos[..., -1, :] - trials.goal, axis=-1).mean()
        ),
        "peak_speed": float(jnp.linalg.norm(trajectory.vel, axis=-1).max(axis=-1).mean()),
    }
    try:
        optimum = optimal_loss(params, trials)
    except ValueError as reason:
        return {**metrics, "no_optimum": str(reason)}, trajectory
    if optimum.total == 0:
        return {**metrics, "no_optimum": "doing nothing costs nothing on these trials"}, trajectory
    return {
        **metrics,
        "optimum": {**optimum.losses, "environment": optimum.total},
        "ratio_to_optimum": environment / optimum.total,
    }, trajectory


def evaluate_replicates(
    policies: Any,
    env: ReachEnv,
    params: ReachParams,
    trials: Trial,
    *,
    hidden_weight: float = 1e-5,
    key: PRNGKeyArray,
) -> dict[str, Any]:
    """Judge every replicate on the same trials with the same noise; arguments as of ``evaluate``.

    Returns:
        The metrics of ``evaluate``, as means over replicates, and ``replicates``, a list with the
        metrics of each.

    Raises:
        ValueError: if the arrays of the policies share no leading axis.
    """
    tree_take(policies, 0)
    n_replicates = len(jax.tree.leaves(eqx.filter(policies, eqx.is_array))[0])
    each = [
        evaluate(
            tree_take(policies, index), env, params, trials, hidden_weight=hidden_weight, key=key
        )[0]
        for index in range(n_replicates)
    ]
    return {**_mean(each), "replicates": each}


def _mean(each: list[Any]) -> Any:
    """The means of the numbers in dicts of one form; what is a text is the first one's."""
    first = each[0]
    if isinstance(first, dict):
        return {name: _mean([one[name] for one in each]) for name in first}
    return first if isinstance(first, str) else float(np.mean(each))
