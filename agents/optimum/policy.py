"""The optimal controller, as a policy."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from agents.optimum.estimation import propagate
from agents.optimum.linear_quadratic import LinearQuadratic, all_steps, linear_quadratic
from agents.optimum.losses import (
    OptimalLoss,
    expected_losses,
    follow,
    known_experiment,
    start_noise,
    summary_of,
)
from agents.optimum.refusals import NoOptimumError, check_finite
from agents.optimum.regulator import Regulator, regulate
from agents.optimum.structure import times
from fbx_env import ReachParams, Trial, checks, tree_take
from fbx_env.parts.component import Vector

DISTRUST = 1e-9
"""Standard deviation of noise on each state of the plant for which filters are made, beside what
there is: without it, a filter of noise-free senses would never correct a prediction."""

N_BELIEVED = 2**12
"""From how many trials of the task the belief about a trial is computed."""

N_COMPARED = 4
"""How many trials are compared to see whether they differ in more than floats."""

EXPECTED_OF_POLICY = "expected loss of the optimal policy"

MAX_ITERATIONS = 200
"""Of computing regulator and filter from one another."""

Carry = tuple[Int[Array, ""], Float[Array, " states"]]


class Controller(NamedTuple):
    """Regulator and filter, and what they were made for."""

    problem: LinearQuadratic
    regulator: Regulator
    filter_gains: Float[np.ndarray, "steps groups states observation"]
    belief: Float[np.ndarray, "1 states"]
    """The expected deviation of the state from its base, before anything was observed."""


class OptimalPolicy(eqx.Module):
    """The optimal controller: a regulator that acts on the estimate of a filter.

    It observes what every policy does. What it remembers are the step and an estimate of the whole
    state: plant, channels with what is under way in them, and trial. With each command it predicts
    the next state by its own model of the experiment, and corrects the prediction by what it
    observes. It does so also where its model has no noise, so that it bears with experiments that
    differ a little from its own.

    What it believes of a trial before the first observation are mean and covariance of the task's
    trials. If all trials start at one place, say so by ``start``; if the policy is for one known
    trial, by ``trial``. Where the first observation tells all about a trial, it reaches
    ``optimal_loss``. With noise of constant size it is optimal among controllers whose commands
    are linear in what was observed, and among all if what is unknown of a trial is Gaussian. With
    noise that grows with the command it is the controller of Todorov, Neural Computation 17:1084
    (2005). It knows nothing of the bounds of commands. In trials of more steps than its own it
    commands NaN past them.

    Its gains are its attributes. At step t it commands

        resting_command - regulator_gains[t] @ x - offsets[t]

    where x is the estimate of how far the state is from where the trial starts, and corrects x by
    ``filter_gains[t]`` times what is observed beyond what was expected. With ``trial``, the numbers
    of x are named by ``linear_quadratic_matrices(params, trial).states``; without, the trial's are
    among them.

    Args:
        params: the experiment, as for ``optimal_loss``, without draws.
        start: where every trial starts [m], if the controller is to know it.
        trial: the one trial, if the controller is to know it.

    Raises:
        NoOptimumError: if the optimum is not exactly known, or if trials of the task differ in what
            the step is not affine in, as times of epochs, and no ``trial`` is given.

    Example:
        >>> env, params = fbx_env.make(motor_delay=2)
        >>> trials = params.task.validation_trials()
        >>> trajectory = rollout(env, params, OptimalPolicy(params), trials, jax.random.key(0))
        >>> OptimalPolicy(params, trial=tree_take(trials, 0)).regulator_gains.shape
        (99, 2, 12)
    """

    regulator_gains: Float[Array, "steps controls states"]
    offsets: Float[Array, "steps controls"]
    filter_gains: Float[Array, "steps states observation"]
    transition: Float[Array, "kinds states point"]
    observing: Float[Array, "kinds observation states"]
    drift: Float[Array, "steps states"]
    observed_at_base: Float[Array, "steps observation"]
    resting_command: Float[Array, " controls"]
    belief: Float[Array, " states"]
    kind: Int[Array, " steps"]

    def __init__(
        self,
        params: ReachParams,
        start: Vector | None = None,
        *,
        trial: Trial | None = None,
    ) -> None:
        problem, regulator, filter_gains, belief = design(params, start, trial)
        steps = all_steps(problem.experiment)
        self.regulator_gains = jnp.asarray(regulator.gains[:, 0], float)
        self.offsets = jnp.asarray(regulator.offsets[:, 0], float)
        self.filter_gains = jnp.asarray(filter_gains[:, 0], float)
        self.transition = jnp.asarray(problem.transition, float)
        self.observing = jnp.asarray(problem.observing, float)
        self.drift = jnp.asarray(problem.drift[0], float)
        self.observed_at_base = jnp.asarray(steps.move().observation, float)
        self.resting_command = jnp.asarray(problem.experiment.resting_command, float)
        self.belief = jnp.asarray(belief[0], float)
        self.kind = jnp.asarray(problem.dynamics[0], jnp.int32)

    def __call__(
        self, obs: Float[Array, " observation"], carry: Carry, *, key: PRNGKeyArray | None = None
    ) -> tuple[Float[Array, " controls"], Carry]:
        """Return the command for an observation, and what to remember."""
        step, predicted = carry
        # Full precision, also on GPUs: their short products would be taken for what is sensed.
        product = partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST)
        # Past the last step there are no gains, and the command is not a number.
        kind = self.kind.at[step].get(mode="clip")
        expected = self.observed_at_base[step] + product(self.observing[kind], predicted)
        estimate = predicted + product(self.filter_gains[step], obs - expected)
        command = (
            -product(self.regulator_gains.at[step].get(mode="fill", fill_value=jnp.nan), estimate)
            - self.offsets[step]
        )
        point = jnp.concatenate([estimate, command])
        predicted = product(self.transition[kind], point) + self.drift[step]
        return self.resting_command + command, (step + 1, predicted)

    def initial_carry(self) -> Carry:
        """Step 0, and what is believed before anything was observed."""
        return jnp.zeros((), jnp.int32), self.belief

    def activity(self, carry: Carry) -> Float[Array, "0"]:
        """Nothing: it has no units."""
        return jnp.zeros(0)


@np.errstate(over="ignore", invalid="ignore")
def expected_loss(
    params: ReachParams,
    trials: Trial,
    start: Vector | None = None,
) -> OptimalLoss:
    """The loss to expect of ``OptimalPolicy(params, start)`` on these trials, by term.

    It is more than ``optimal_loss`` where observations do not tell all. Arguments and errors are as
    of these two.
    """
    problem, regulator, filter_gains, belief = design(params, start)
    known = known_experiment(params, trials, trial_in_state=True)
    states = problem.point[: problem.n_states]
    starts = (known.start(np.arange(known.n_trials)) - problem.base[:, : known.n_states])[:, states]
    true, predicted = starts, np.broadcast_to(belief, starts.shape)
    means = np.zeros((known.n_steps, known.n_trials, len(problem.point)))
    for step in range(known.n_steps):
        kind = problem.dynamics[:, step]
        surprise = times(problem.observing[kind], true - predicted)
        estimate = predicted + times(filter_gains[step], surprise)
        command = -times(regulator.gains[step], estimate) - regulator.offsets[step]
        means[step] = np.concatenate([true, command], axis=1)
        predicted = np.concatenate([estimate, command], axis=1)
        true, predicted = (
            times(problem.transition[kind], point) + problem.drift[:, step]
            for point in (means[step], predicted)
        )
    check_finite(means)
    noise = start_noise(problem)
    problem = problem._replace(experiment=known, group=np.zeros(known.n_trials, int))
    covariances = propagate(
        problem, regulator.gains, noise, means, filter_gains=filter_gains
    ).points
    # The environment is asked about deviations from where each trial starts.
    deviations = means.copy()
    deviations[..., : problem.n_states] -= starts
    losses = expected_losses(problem, deviations, covariances)
    return summary_of(problem, losses, deviations, EXPECTED_OF_POLICY)


@np.errstate(over="ignore", invalid="ignore")
def design(params: ReachParams, start: Any = None, trial: Trial | None = None) -> Controller:
    """Compute regulator, filter and belief; arguments and errors as of ``OptimalPolicy``."""
    if checks.instance("params", params, ReachParams).draws:
        raise NoOptimumError(
            "params must have no draws for OptimalPolicy, which knows all its numbers"
        )
    if trial is not None:
        problem = linear_quadratic(known_experiment(params, trial), sensing=True)
        starts = np.zeros((1, problem.n_states))
    else:
        problem, starts = _for_any_trial(params, start)
    belief = starts.mean(axis=0, keepdims=True)
    factor = np.asarray(np.linalg.qr((starts - belief) / np.sqrt(len(starts)), mode="r")).T
    prior = np.concatenate([factor[None], start_noise(problem)], axis=2)
    fields = problem.experiment.fields[problem.point[: problem.n_states]]
    distrust = DISTRUST * np.eye(problem.n_states)[fields == "plant"]
    distrust = np.broadcast_to(distrust, (len(problem.noise), *distrust.shape))
    doubting = problem._replace(noise=np.concatenate([problem.noise, distrust], axis=1))
    regulator = regulate(problem)
    for _ in range(MAX_ITERATIONS):
        means = follow(problem, regulator, belief)
        filter_gains = propagate(doubting, regulator.gains, prior, means).filter_gains
        previous = regulator
        if problem.varying.size:
            regulator = regulate(problem, filter_gains)
        check_finite(regulator.gains, filter_gains)
        if np.allclose(regulator.gains, previous.gains, 1e-9, 1e-12):
            break
    else:
        raise NoOptimumError(
            f"regulator and filter did not converge in {MAX_ITERATIONS} iterations"
        )
    return Controller(problem, regulator, filter_gains, belief)


def _for_any_trial(
    params: ReachParams, start: Any
) -> tuple[LinearQuadratic, Float[np.ndarray, "believed states"]]:
    """The problem with the trial as part of the state, and where in it trials of the task start.

    Raises:
        NoOptimumError: if the optimum is not exactly known, or trials differ in what is not affine.
    """
    keys = jax.random.split(jax.random.key(0), N_BELIEVED)
    trials = jax.vmap(params.task.sample)(keys)
    if start is not None:
        point = checks.real("start", start, shape=(2,))
        if point.ndim > 1:
            raise ValueError(f"start must be one point, of shape (2,), got shape {point.shape}")
        trials = trials.replace(start=jnp.broadcast_to(point, trials.start.shape))
    whole = known_experiment(params, trials, trial_in_state=True)
    few = whole.with_context(jax.tree.map(lambda leaf: leaf[:N_COMPARED], whole.context))
    try:
        problem = linear_quadratic(few, sensing=True)
        is_one = len(problem.members) == 1 and _are_one_affine_function(problem)
    except NoOptimumError:
        is_one = False
    if not is_one:
        # Raises the reason if a part is at fault, and not the trials.
        linear_quadratic(known_experiment(params, tree_take(trials, 0)), sensing=True)
        raise NoOptimumError(
            f"trials of {type(params.task).__name__} differ in what steps are not affine in, so "
            "that each has a policy of its own: OptimalPolicy(params, trial=trial)"
        )
    states = problem.point[: problem.n_states]
    starts = whole.start(np.arange(whole.n_trials))[:, states] - problem.base[0, states]
    return problem._replace(
        experiment=few.with_context(jax.tree.map(lambda leaf: leaf[:1], few.context)),
        base=problem.base[:1],
        group=problem.group[:1],
        drift=problem.drift[:1],
        gradient=problem.gradient[:1],
    ), starts


def _are_one_affine_function(problem: LinearQuadratic) -> bool:
    """Whether trials whose floats are part of the state differ in nothing else."""
    offset = (problem.base - problem.base[0])[:, problem.point]
    drift = offset @ problem.transition[problem.dynamics[0]].swapaxes(1, 2)
    drift = drift.swapaxes(0, 1) - offset[:, None, : problem.n_states]
    gradient = offset[:, problem.regulated] @ problem.curvature[problem.costs[0]]
    return np.allclose(problem.drift - drift, problem.drift[0], atol=1e-9) and np.allclose(
        problem.gradient - gradient.swapaxes(0, 1), problem.gradient[0], atol=1e-9
    )
