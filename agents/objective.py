"""The loss of a policy: the environment's terms, and costs of the policy itself."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PRNGKeyArray, UInt32

from fbx_env import Loss, ReachEnv, ReachParams, Trajectory, Trial, checks
from fbx_env.parts.component import Component, Scalar
from fbx_env.parts.losses.loss import weight
from fbx_env.rollout import rollout_trial

Terms = dict[str, Float[Array, "*replicates"]]
"""Losses by the names of their terms."""

Keys = Key[Array, "*keys"] | UInt32[Array, "*keys _"]
"""Random keys along leading axes, typed or raw."""

RESERVED_NAMES = ("total", "environment", "gradient_norm", "learning_rate")
"""Names that reports have for sums of terms and other columns."""


class PolicyCost(Component, abc.ABC):
    """A named cost of a policy in one trial that the environment cannot see, with its weight.

    A new cost is a new subclass. Give it a ``name`` of its own, under which histories and figures
    show it.

    Attributes:
        weight: what the cost is multiplied with, at least 0.

    Raises:
        TypeError, ValueError: if the class has no name, or one that reports use already.

    Example:
        >>> class ReadoutCost(PolicyCost):
        ...     name = "readout"
        ...     def cost(self, policy, trajectory):
        ...         return jnp.sum(jnp.square(policy.readout.weight))
        >>> config = BPTTConfig(policy_costs=(ActivityCost(), ReadoutCost(weight=1e-4)))
    """

    name: ClassVar[str] = ""

    weight: Scalar = weight(1.0)

    def __check_init__(self) -> None:
        if not self.name:
            raise TypeError(f"{type(self).__name__} must define a class attribute 'name'")
        if "/" in self.name or self.name in RESERVED_NAMES:
            raise ValueError(
                f"a policy cost cannot be named {self.name!r}: without '/', and not "
                f"{', '.join(RESERVED_NAMES)}"
            )

    @abc.abstractmethod
    def cost(self, policy: Any, trajectory: Trajectory) -> Float[Array, ""]:
        """Return the cost of one trial, before it is weighted: one number.

        Args:
            policy: that acted.
            trajectory: of one trial.
        """


class ActivityCost(PolicyCost):
    """Squared activity of the policy's units, summed over units and steps."""

    name: ClassVar[str] = "hidden"

    weight: Scalar = weight(1e-5)

    def cost(self, policy: Any, trajectory: Trajectory) -> Float[Array, ""]:
        return jnp.sum(jnp.square(trajectory.activity))


class ActivityRateCost(PolicyCost):
    """Squared rate of change of the activity of the policy's units, over units and steps.

    sum over t, units of ((activity[t] - activity[t - 1]) / dt)^2
    """

    name: ClassVar[str] = "hidden_rate"

    weight: Scalar = weight(1e-7)

    def cost(self, policy: Any, trajectory: Trajectory) -> Float[Array, ""]:
        dt = trajectory.time[1] - trajectory.time[0]
        return jnp.sum(jnp.square(jnp.diff(trajectory.activity, axis=0) / dt))


class WeightCost(PolicyCost):
    """Squared weights of the policy, summed over all its matrices; biases cost nothing."""

    name: ClassVar[str] = "weights"

    weight: Scalar = weight(1e-6)

    def cost(self, policy: Any, trajectory: Trajectory) -> Float[Array, ""]:
        arrays = jax.tree.leaves(eqx.filter(policy, eqx.is_inexact_array))
        squares = (jnp.sum(jnp.square(array)) for array in arrays if array.ndim > 1)
        return sum(squares, start=jnp.zeros(()))


def checked_costs(policy_costs: Any, loss: Loss | None = None) -> tuple[PolicyCost, ...]:
    """Return policy costs as a tuple, or raise.

    Args:
        policy_costs: to check.
        loss: of the environment, beside whose terms they are reported.

    Raises:
        TypeError: if one is no ``PolicyCost``.
        ValueError: if two have one name, or one has that of a term of the environment.
    """
    costs = checks.parts("policy_costs", policy_costs, PolicyCost, lambda cost: cost.name)
    taken = [cost.name for cost in costs if loss is not None and cost.name in loss.names]
    if taken:
        raise ValueError(
            f"policy_costs must not have the name of a loss term, got {', '.join(taken)}"
        )
    return costs


def losses_by_term(
    policy: Any, trajectory: Trajectory, policy_costs: Sequence[PolicyCost]
) -> Terms:
    """Return the mean loss over trials by term: those of the environment, then the policy's.

    Args:
        policy: that acted.
        trajectory: of one trial, or of trials along leading axes.
        policy_costs: of the policy.

    Raises:
        ValueError: if a cost is not one number.
    """
    terms = {name: jnp.mean(cost.sum(-1)) for name, cost in trajectory.losses.items()}
    for term in policy_costs:

        def cost_of_trial(trajectory: Trajectory, term: PolicyCost = term) -> Float[Array, ""]:
            cost = term.cost(policy, trajectory)
            if jnp.shape(cost):
                raise ValueError(
                    f"the cost of policy cost {term.name!r} must be one number, got shape "
                    f"{jnp.shape(cost)}"
                )
            return cost

        each: Any = cost_of_trial
        for _ in range(trajectory.reward.ndim - 1):
            each = jax.vmap(each)
        terms[term.name] = term.weight * jnp.mean(each(trajectory))
    return terms


class Objective(NamedTuple):
    """Everything a policy's loss depends on but itself; see ``make_objective``."""

    env: ReachEnv
    params: ReachParams
    policy_costs: tuple[PolicyCost, ...]
    rematerialise: bool

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the terms, in the order in which they are reported."""
        return (*self.params.loss.names, *(cost.name for cost in self.policy_costs))


def make_objective(
    env: ReachEnv,
    params: ReachParams,
    policy_costs: Sequence[PolicyCost] = (ActivityCost(),),
    rematerialise: bool = False,
) -> Objective:
    """Return what a policy is to minimise.

    Args:
        env: the environment.
        params: the experiment, with the loss of the environment.
        policy_costs: of the policy itself, on top of it.
        rematerialise: whether a gradient computes each step anew; see ``BPTTConfig``.

    Raises:
        TypeError, ValueError: for an argument that is not allowed.
    """
    checks.instance("env", env, ReachEnv)
    checks.instance("params", params, ReachParams)
    return Objective(env, params, checked_costs(policy_costs, params.loss), rematerialise)


def mean_loss(
    policy: Any, objective: Objective, trials: Trial, keys: Keys
) -> tuple[Float[Array, ""], Terms]:
    """Return the mean loss of a policy over trials, total and by term; differentiable.

    Args:
        policy: one policy.
        objective: from ``make_objective``.
        trials: along a leading axis.
        keys: for noise, one a trial.
    """
    env, params, policy_costs, rematerialise = objective

    def terms_of_trial(trial: Trial, key: PRNGKeyArray) -> Terms:
        # Summed trial by trial: bringing the trials to the front first would copy every activity.
        trajectory = rollout_trial(env, params, policy, trial, key, rematerialise=rematerialise)
        return losses_by_term(policy, trajectory, policy_costs)

    terms = jax.tree.map(jnp.mean, jax.vmap(terms_of_trial)(trials, keys))
    return sum(terms.values(), start=jnp.zeros(())), terms
