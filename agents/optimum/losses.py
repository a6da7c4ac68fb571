"""The least loss that any agent can reach."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from agents.optimum.disclosure import is_shown
from agents.optimum.estimation import propagate
from agents.optimum.experiment import Experiment, Vectors
from agents.optimum.linear_quadratic import (
    LinearQuadratic,
    Steps,
    all_steps,
    curvature,
    linear_quadratic,
    over_noise,
)
from agents.optimum.refusals import NoOptimumError, check_finite, refuse
from agents.optimum.regulator import Regulator, regulate
from agents.optimum.structure import times
from fbx_env import ReachParams, Trial, checks

LIMIT_IN_STDS = 6.0
"""A bound of the command counts as out of reach if it is this many standard deviations away from
the mean command at every step: noise then passes it less than once in 10^8 times."""

TOLERANCE = 1e-9
"""How well a trajectory and its loss must agree with those of the environment's steps."""

KNOWN = 1e-9
"""A state is known if observing it leaves no more than this of its variance."""

EXACT, EXPECTED, BOUND = "exact optimum", "exact expected optimum", "bound"
NAIVE = "naive regulator"

Means = Float[np.ndarray, "steps trials point"]
Covariances = Float[np.ndarray, "steps groups regulated regulated"]


class OptimalLoss(NamedTuple):
    """A loss by term, and in which sense it is the least.

    Attributes:
        losses: mean over trials of the weighted loss, expected over noise, by term.
        total: their sum.
        peak_command: the largest number that is commanded in any trial, without what is added in
            answer to noise, in the units of the command.
        kind: ``"exact optimum"``, or ``"exact expected optimum"`` where there is noise;
            ``"bound"`` where agents cannot reach it, as they observe less.
    """

    losses: dict[str, float]
    total: float
    peak_command: float
    kind: str


@np.errstate(over="ignore", invalid="ignore")
def optimal_loss(
    params: ReachParams,
    trials: Trial,
    *,
    naive: bool = False,
    drawn: Mapping[str, Any] | None = None,
) -> OptimalLoss:
    """The least loss that any agent can reach on these trials, by term.

    It is known for every experiment whose steps are affine and whose loss is quadratic, whoever
    wrote its parts. It is the loss of a controller that knows everything about a trial from its
    start. The best agent reaches it where the first observation determines the trial. Elsewhere, as
    with sensory noise, it is a bound, and the best agent may be far from it: ``expected_loss`` is
    the loss of ``OptimalPolicy`` then. With noise of constant size the controller is the regulator
    with Kalman's filter. With noise that grows with the command it is the regulator that knows the
    state, which is a bound where agents do not.

    Args:
        params: the experiment.
        trials: one trial, or several along a leading axis.
        naive: whether to give the loss, with the loads, of the controller that is optimal without
            them and knows the state.
        drawn: the numbers drawn for these trials, as in a ``Trajectory``.

    Raises:
        NoOptimumError: if the optimum is not exactly known, because a part is not affine or a term
            not quadratic, a command costs nothing, or a bound of the command would be reached.
        TypeError: inside ``jax.jit``, ``jax.vmap`` and ``jax.grad``.

    Example:
        >>> params = ReachParams()
        >>> optimum = optimal_loss(params, params.task.validation_trials())
        >>> f"{optimum.total:.6e}", optimum.kind
        ('1.374965e-04', 'exact optimum')
    """
    experiment = known_experiment(params, trials, drawn)
    problem = linear_quadratic(experiment, sensing=experiment.n_normals > 0)
    knows_state = naive or problem.varying.size > 0
    if naive:
        draws = tuple(draw for draw in params.draws if not draw.number.startswith("loads."))
        known = {draw.number: drawn[draw.number] for draw in draws} if drawn else None
        without = known_experiment(params.replace(loads=(), draws=draws), trials, known)
        own = linear_quadratic(without)
        regulator = _adopted(regulate(own), own, problem)
    else:
        regulator = regulate(problem)
    means, start = follow(problem, regulator), start_noise(problem)
    covariances = None
    if problem.is_noisy or np.any(start):
        spread = propagate(problem, regulator.gains, start, means, state_is_known=knows_state)
        covariances = spread.points
    kind = NAIVE if naive else _kind(problem, params, regulator, means, start)
    losses = expected_losses(problem, means, covariances)
    if not (knows_state or problem.is_noisy):
        _check_value(problem, regulator, losses)
    return summary_of(problem, losses, means, kind)


def known_experiment(
    params: ReachParams,
    trials: Trial,
    drawn: Mapping[str, Any] | None = None,
    *,
    trial_in_state: bool = False,
) -> Experiment:
    """Check the arguments of this package's functions, and make their experiment."""
    for name, value, kind in (("params", params, ReachParams), ("trials", trials, Trial)):
        checks.instance(name, value, kind)
        if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(value)):
            raise TypeError(
                f"the optimum is computed by NumPy, and {name} must be known numbers; compute it "
                "outside jax.jit, jax.vmap and jax.grad"
            )
    params.checked()
    names = [draw.number for draw in params.draws]
    missing = [name for name in names if name not in (drawn or {})]
    if missing:
        raise NoOptimumError(
            f"drawn must have the numbers drawn for these trials: {', '.join(missing)}; "
            "trajectory.drawn has them"
        )
    context = (trials, tuple((drawn or {})[name] for name in names))
    if np.ndim(trials.start) == 1:
        context = jax.tree.map(lambda leaf: np.asarray(leaf)[None], context)
    experiment = Experiment(params, *context, trial_in_state=trial_in_state)
    if experiment.parts_with_others:
        raise NoOptimumError(
            "optimum and best known loss are found by derivatives with respect to the state; here "
            "there is something that is not a float in the state of the "
            f"{', '.join(experiment.parts_with_others)}"
        )
    return experiment


def follow(problem: LinearQuadratic, regulator: Regulator, start: Vectors | None = None) -> Means:
    """Deviations of state and command without noise, if the regulator knows the state."""
    n_trials, n_steps = len(problem.group), problem.experiment.n_steps
    points = np.zeros((n_steps, n_trials, len(problem.point)))
    state = np.zeros((n_trials, problem.n_states)) if start is None else start
    for step in range(n_steps):
        gains = problem.spread(regulator.gains[step])
        command = -times(gains, state) - regulator.offsets[step]
        points[step] = np.concatenate([state, command], axis=1)
        transition = problem.spread(problem.transition[problem.dynamics[:, step]])
        state = times(transition, points[step]) + problem.drift[:, step]
    check_finite(points)
    return points


def start_noise(problem: LinearQuadratic) -> Float[np.ndarray, "groups states normals"]:
    """The response of the state at the start to noise: that of what is sensed then."""
    experiment, states = problem.experiment, problem.point[: problem.n_states]
    quiet = experiment.start(problem.members)
    noise = np.zeros((len(problem.members), len(states), experiment.n_start_normals))
    for index, unit in enumerate(np.eye(experiment.n_start_normals)):
        noise[..., index] = (experiment.start(problem.members, unit[None]) - quiet)[:, states]
    return noise


def expected_losses(
    problem: LinearQuadratic, means: Means, covariances: Covariances | None
) -> Float[np.ndarray, "trials terms"]:
    """The loss of each trial by term, expected over noise.

    At the means the environment is asked, whose steps must lead from each to the next.

    Raises:
        NoOptimumError: if they do not, or a command would reach a bound.
    """
    _check_bounds(problem, means, covariances)
    n_states, points = problem.n_states, means.swapaxes(0, 1).reshape(-1, means.shape[2])
    states, noisy = problem.point[:n_states], problem.noisy
    n_steps, n_trials, _ = means.shape
    steps = all_steps(problem.experiment)
    rounding = TOLERANCE * np.abs(points).max()
    mean_losses = []
    for block in steps.blocks():
        at = block.trial * n_steps + block.time
        offset = np.zeros((len(at), steps.base.shape[1]))
        offset[:, problem.point] = points[at]
        moved = block.move(offset)
        reached = (moved.state - steps.base[block.trial, : moved.state.shape[1]])[:, states]
        goes_on = block.time < n_steps - 1
        following = points[at[goes_on] + 1, :n_states]
        if not np.allclose(reached[goes_on], following, TOLERANCE, rounding):
            refuse("a part that is not affine where the optimum goes")

        def losses_of(normals: Any, block: Steps = block, offset: Any = offset) -> Any:
            return block.move(offset, normals=normals).losses

        mean_losses.append(over_noise(losses_of, problem.experiment.n_normals, noisy))
    losses = np.concatenate(mean_losses).reshape(n_trials, n_steps, -1).sum(axis=1)
    if covariances is not None:
        losses += problem.spread(_losses_of_covariances(problem, covariances))
    check_finite(losses)
    return np.asarray(losses)


def _losses_of_covariances(
    problem: LinearQuadratic, covariances: Covariances
) -> Float[np.ndarray, "groups terms"]:
    """The cost of each term beyond that at the means, by group."""
    regulated = problem.point[problem.regulated]
    terms = []
    for weights in np.eye(len(problem.experiment.terms)):
        hessians = curvature(problem.of_costs, regulated, problem.varying, weights)
        terms.append(
            sum(
                np.einsum("gij,gij->g", hessians[problem.costs[:, step]], covariance) / 2
                for step, covariance in enumerate(covariances)
            )
        )
    return np.stack(terms, axis=1)


def summary_of(
    problem: LinearQuadratic, losses: Float[np.ndarray, "trials terms"], means: Means, kind: str
) -> OptimalLoss:
    """Means over trials."""
    commands = problem.experiment.resting_command + means[..., problem.n_states :]
    terms = dict(zip(problem.experiment.terms, losses.mean(axis=0).tolist(), strict=True))
    return OptimalLoss(terms, sum(terms.values()), float(np.abs(commands).max()), kind)


def _check_bounds(problem: LinearQuadratic, means: Means, covariances: Covariances | None) -> None:
    """Raise ``NoOptimumError`` if a command would reach a bound."""
    experiment = problem.experiment
    commands = experiment.resting_command + means[..., problem.n_states :]
    margin = np.zeros((1, 1, experiment.n_controls))
    if covariances is not None:
        variances = np.einsum("sgii->sgi", covariances)[..., -experiment.n_controls :]
        margin = LIMIT_IN_STDS * np.sqrt(variances[:, problem.group].clip(min=0))
    lowest, highest = (commands - margin).min(axis=(0, 1)), (commands + margin).max(axis=(0, 1))
    for index, control in enumerate(experiment.params.plant.controls):
        low, high = experiment.low[index], experiment.high[index]
        if lowest[index] < low or highest[index] > high:
            wanted, bound = (
                (lowest[index], low)
                if low - lowest[index] > highest[index] - high
                else (highest[index], high)
            )
            unit = f" {control.unit}" * bool(control.unit)
            margin_text = f" (mean and {LIMIT_IN_STDS:g} standard deviations)" * bool(margin.any())
            raise NoOptimumError(
                "the optimum is known only while no bound of the command is reached: these trials "
                f"want {control.name} {wanted:.3g}{unit}{margin_text}, its bound is {bound:.3g}"
                f"{unit}"
            )


def _check_value(
    problem: LinearQuadratic, regulator: Regulator, losses: Float[np.ndarray, "trials terms"]
) -> None:
    """Check that the environment charges what the recursion says is the least."""
    least, charged = problem.loss + regulator.value, losses.sum(axis=1)
    if not np.allclose(least, charged, TOLERANCE, 1e-12 * np.abs(problem.loss).max()):
        refuse("a loss that is not quadratic where the optimum goes")


def _adopted(regulator: Regulator, own: LinearQuadratic, problem: LinearQuadratic) -> Regulator:
    """A regulator made for one problem, for the states of another."""
    places = [int(np.flatnonzero(problem.point == each)[0]) for each in own.point[: own.n_states]]
    shape = (*regulator.gains.shape[:1], len(problem.members), problem.experiment.n_controls)
    gains = np.zeros((*shape, problem.n_states))
    gains[..., places] = regulator.gains[:, own.group[problem.members]]
    return regulator._replace(gains=gains)


def _kind(
    problem: LinearQuadratic,
    params: ReachParams,
    regulator: Regulator,
    means: Means,
    start: Float[np.ndarray, "groups states normals"],
) -> str:
    if np.any(start) or not is_shown(problem.experiment, params):
        return BOUND
    if not problem.is_noisy:
        return EXACT
    if problem.varying.size:
        hidden = propagate(problem, regulator.gains, start, means).hidden
        return EXPECTED if hidden < KNOWN else BOUND
    return EXPECTED
