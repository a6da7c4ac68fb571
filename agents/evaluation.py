"""Evaluation: the same metrics for every agent, beside the exact optimum."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from agents.objective import ActivityCost, PolicyCost, checked_costs, losses_by_term
from agents.optimum.best_known import BEST_KNOWN, MAX_STARTS
from agents.optimum.reference import reference_loss
from agents.optimum.refusals import NoOptimumError
from fbx_env import (
    Policy,
    ReachEnv,
    ReachParams,
    Trajectory,
    Trial,
    checks,
    rollout,
    tree_take,
)

N_RANDOM_TRIALS = 1024
"""Trials drawn from the task on which every learner is evaluated, beside the validation trials."""

RANDOM_TRIALS_SEED = 2024

SMALLEST_LOSS = 1e-30
"""Losses below it are sums of numbers that float32 rounds to zero."""


def random_trials(params: ReachParams) -> Trial:
    """Draw the trials from the task on which every learner is evaluated, always the same."""
    keys = jax.random.split(jax.random.key(RANDOM_TRIALS_SEED), N_RANDOM_TRIALS)
    return jax.vmap(params.task.sample)(keys)


def evaluate(
    policy: Any,
    env: ReachEnv,
    params: ReachParams,
    trials: Trial,
    *,
    policy_costs: Sequence[PolicyCost] = (ActivityCost(),),
    n_starts: int = 0,
    keep_in: Path | None = None,
    key: PRNGKeyArray,
) -> tuple[dict[str, Any], Trajectory]:
    """Evaluate a policy on given trials.

    Args:
        policy: that acts; ``agents.sb3.actor.actor_policy`` makes it of Stable-Baselines3's models.
        env: the environment.
        params: the experiment.
        trials: one trial, or several along a leading axis.
        policy_costs: of the policy itself, which are reported beside the environment's terms.
        n_starts: from how many commands to look for the best known loss where the optimum is not
            exactly known, as of ``best_known_loss``; 0 for not at all, as it takes minutes.
        keep_in: a folder in which the best known loss is kept, and looked up.
        key: for noise.

    Returns:
        Metrics, and the trajectories they were computed from. The metrics: ``losses`` by term with
        their ``total`` and ``environment`` (the total without the policy's costs); ``optimum`` by
        term and ``ratio_to_optimum`` of the environment's terms, or ``best_known`` and
        ``ratio_to_best_known``, or ``no_optimum``, the reason why there is no ratio; means over
        trials of ``endpoint_error``, the distance to the task's target at the end [m], and
        ``peak_speed`` [m/s]. With noise the optimum is an expectation, and the losses are of one
        draw of it, so that the ratio can be below 1; with each trial many times in ``trials``, each
        with noise of its own, it is near to its mean.

    Raises:
        TypeError, ValueError: for an argument that is not allowed.

    Example:
        >>> trials = params.task.validation_trials()
        >>> metrics, trajectory = evaluate(policy, env, params, trials, key=key)
        >>> metrics["ratio_to_optimum"]
        1.008
        >>> often = jax.tree.map(lambda leaf: jnp.repeat(leaf, 200, axis=0), trials)
        >>> metrics, _ = evaluate(policy, env, params, often, key=key)  # with noise
    """
    checks.instance("params", params, ReachParams)
    if hasattr(policy, "predict") and not isinstance(policy, Policy):
        raise TypeError(
            "policy must act in JAX; agents.sb3.actor.actor_policy(model) makes one of a model of "
            f"Stable-Baselines3, got {policy!r}"
        )
    costs = checked_costs(policy_costs, params.loss)
    trajectory = rollout(env, params, policy, trials, key)
    metrics = _measure(policy, params, trajectory, costs)
    return _beside_reference(metrics, _reference(params, trajectory, n_starts, keep_in)), trajectory


def evaluate_replicates(
    policies: Any,
    env: ReachEnv,
    params: ReachParams,
    trials: Trial,
    *,
    policy_costs: Sequence[PolicyCost] = (ActivityCost(),),
    n_starts: int = 0,
    keep_in: Path | None = None,
    key: PRNGKeyArray,
) -> dict[str, Any]:
    """Evaluate every replicate on the same trials with the same noise.

    Other arguments and errors are as of ``evaluate``.

    Args:
        policies: replicates in one pytree.

    Returns:
        The metrics of ``evaluate``, as means over replicates, and ``replicates``, a list with the
        metrics of each.

    Raises:
        ValueError: if the arrays of the policies share no leading axis.
    """
    checks.instance("params", params, ReachParams)
    costs = checked_costs(policy_costs, params.loss)
    tree_take(policies, 0)
    n_replicates = len(jax.tree.leaves(eqx.filter(policies, eqx.is_array))[0])
    each, reference = [], None
    for index in range(n_replicates):
        policy = tree_take(policies, index)
        trajectory = rollout(env, params, policy, trials, key)
        if reference is None:
            # The key is one, and so are the numbers that are drawn.
            reference = _reference(params, trajectory, n_starts, keep_in)
        each.append(_beside_reference(_measure(policy, params, trajectory, costs), reference))
    return {**_mean(each), "replicates": each}


@np.errstate(over="ignore", invalid="ignore")  # As in JAX.
def _measure(
    policy: Any, params: ReachParams, trajectory: Trajectory, costs: Sequence[PolicyCost]
) -> dict[str, Any]:
    """The metrics of a trajectory alone."""
    losses = losses_by_term(policy, trajectory, costs)
    names = (*params.loss.names, *(cost.name for cost in costs))
    terms = {name: float(losses[name]) for name in names}
    environment = sum(terms[name] for name in params.loss.names)
    at_end = np.asarray(trajectory.pos)[..., -1, :]
    from_target = at_end - np.asarray(trajectory.target.pos)[..., -1, :]
    speed = np.linalg.norm(trajectory.vel, axis=-1)
    return {
        "losses": {**terms, "total": sum(terms.values()), "environment": environment},
        "endpoint_error": float(np.linalg.norm(from_target, axis=-1).mean()),
        "peak_speed": float(speed.max(axis=-1).mean()),
    }


def _reference(
    params: ReachParams, trajectory: Trajectory, n_starts: int, keep_in: Path | None
) -> tuple[str, dict[str, float]] | str:
    """The losses to compare with, by term and of the environment, or why there are none."""
    checks.whole("n_starts", n_starts, at_least=0, at_most=MAX_STARTS)
    try:
        best = reference_loss(
            params, trajectory.trial, drawn=trajectory.drawn, n_starts=n_starts, keep_in=keep_in
        )
    except NoOptimumError as reason:
        return str(reason)
    if best.total == 0:
        return "doing nothing costs nothing on these trials"
    name = "best_known" if best.kind == BEST_KNOWN else "optimum"
    return name, {**best.losses, "environment": best.total}


def _beside_reference(
    metrics: dict[str, Any], reference: tuple[str, dict[str, float]] | str
) -> dict[str, Any]:
    """The metrics with those that compare with the optimum or the best known loss."""
    if isinstance(reference, str):
        return {**metrics, "no_optimum": reference}
    name, best = reference
    loss = metrics["losses"]["environment"]
    if min(loss, best["environment"]) < SMALLEST_LOSS:
        reason = f"losses below {SMALLEST_LOSS:g} are too small for float32"
        return {**metrics, name: best, "no_optimum": reason}
    return {**metrics, name: best, f"ratio_to_{name}": loss / best["environment"]}


def _mean(each: list[Any]) -> Any:
    """The means of the numbers in dicts, of those that all have; of a text, the first one's."""
    first = each[0]
    if isinstance(first, dict):
        shared = [name for name in first if all(name in one for one in each)]
        return {name: _mean([one[name] for one in each]) for name in shared}
    return first if isinstance(first, str) else float(np.mean(each))
