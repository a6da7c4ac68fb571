"""The best loss that is known where the optimum is not: commands optimised trial by trial."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from agents.optimum.experiment import (
    Experiment,
    enable_x64,
    start_of_trial,
    step_of_vector,
    vector_of,
)
from agents.optimum.losses import known_experiment
from agents.optimum.refusals import check_finite
from fbx_env import ReachParams, ReachState, Trial, checks
from fbx_env.reach import check_trials

BEST_KNOWN = "best known"

MAX_STARTS = 1000

AGREEMENT = 1e-5
"""Two starts lead to the same optimum if their losses differ by less than this share."""

MAX_ITERATIONS = 500
"""Newton steps from one start."""

PRECISION = 1e-11
"""Trials are done when a step should have their loss fall by less than this share."""

FIRST_DAMPING = 1e-3
"""Of the first step, as a share of the largest curvature."""

PATIENCE = 10
"""Trials are done, too, when so many steps had their loss fall by less than ``AGREEMENT``: where
muscles go slack or commands reach bounds, derivatives jump, and steps promise what they do not
keep."""

DAMPINGS = np.array([1 / 8, 1.0, 8.0, 64.0, 512.0])
"""Of the steps that are tried, as multiples of the one that was best before."""

LARGEST_DAMPING = 1e12
"""Steps are then too small to matter."""

INSIDE = 0.05
"""How far the first commands are from bounds, as a share of what is between them: at its bound, a
muscle's excitation has no effect, and no slope that tells of one."""

SHARE = 0.3
"""Standard deviation of random commands to start from, as a share of the first that were found."""

N_WAVES = 5
"""Half waves in the time course of a random start."""


class BestKnownLoss(NamedTuple):
    """The least loss that was found; there may be a lower one.

    Attributes:
        losses: mean over trials of the weighted loss by term.
        total: their sum.
        peak_command: the largest number in any trial's commands, in the units of the command.
        kind: ``"best known"``.
        n_starts: from how many commands each trial was optimised.
        n_agreed: how many of them led to its least loss, in the trial where these are the fewest.
        commands: that lead to it.
    """

    losses: dict[str, float]
    total: float
    peak_command: float
    kind: str
    n_starts: int
    n_agreed: int
    commands: Float[np.ndarray, "trials steps controls"]


def best_known_loss(
    params: ReachParams,
    trials: Trial,
    *,
    n_starts: int = 3,
    drawn: Mapping[str, Any] | None = None,
) -> BestKnownLoss:
    """The least loss of commands that are optimised for each trial in advance.

    For experiments without noise whose optimum is not exactly known, such as those with an arm. All
    commands of a trial are optimised at once by Newton's method, with the environment's derivatives
    in float64 and within the bounds of the plant's controls: first from the command nearest to
    zero, then from random smooth ones. Each leads to a local optimum.

    Args:
        params: the experiment.
        trials: one trial, or several along a leading axis.
        n_starts: from how many commands to start, at least 1.
        drawn: the numbers drawn for these trials, as in a ``Trajectory``.

    Raises:
        ValueError: if there is noise, a trial is out of reach, or the loss is not finite.
        TypeError: inside ``jax.jit``, ``jax.vmap`` and ``jax.grad``.

    Example:
        >>> params = ReachParams(max_steps_in_episode=20)
        >>> best = best_known_loss(params, params.task.validation_trials(), n_starts=2)
        >>> best.kind, best.n_agreed
        ('best known', 2)
    """
    n_starts = checks.whole("n_starts", n_starts, at_least=1, at_most=MAX_STARTS)
    experiment = known_experiment(params, trials, drawn)
    if experiment.n_normals or experiment.n_start_normals:
        raise ValueError("params must have no noise: it tells no commands in advance")
    with enable_x64(True):
        check_trials(experiment.params, trials)
    shape = (experiment.n_trials, experiment.n_steps, experiment.n_controls)
    inside = INSIDE * (experiment.high - experiment.low)
    rest = np.clip(0.0, experiment.low + inside, experiment.high - inside)
    rest = np.broadcast_to(rest, shape)
    found = [_optimised(experiment, rest)]
    size = SHARE * np.sqrt(np.square(found[0] - rest).mean(axis=(1, 2), keepdims=True))
    for seed in range(1, n_starts):
        found.append(_optimised(experiment, rest + size * _smooth(seed, shape)))
    terms = np.stack([_call(_losses, experiment, each)[0] for each in found])
    totals = terms.sum(axis=2)
    best, each = totals.argmin(axis=0), np.arange(experiment.n_trials)
    agreed = (totals <= (1 + AGREEMENT) * totals.min(axis=0)).sum(axis=0)
    commands = np.stack(found)[best, each]
    losses = dict(zip(experiment.terms, terms[best, each].mean(axis=0).tolist(), strict=True))
    return BestKnownLoss(
        losses=losses,
        total=sum(losses.values()),
        peak_command=float(np.abs(commands).max()),
        kind=BEST_KNOWN,
        n_starts=n_starts,
        n_agreed=int(agreed.min()),
        commands=commands,
    )


def _smooth(seed: int, shape: tuple[int, int, int]) -> Float[np.ndarray, "trials steps controls"]:
    """Random time courses with a standard deviation of 1."""
    n_trials, n_steps, n_controls = shape
    random = np.random.default_rng(seed)
    phases = np.pi * np.arange(n_steps) / n_steps * np.arange(1, N_WAVES + 1)[:, None]
    waves = np.concatenate([np.sin(phases), np.cos(phases)])
    amplitudes = random.normal(size=(n_trials, n_controls, len(waves))) / np.sqrt(N_WAVES)
    return np.asarray((amplitudes @ waves).swapaxes(1, 2))


def _optimised(
    experiment: Experiment, start: Float[np.ndarray, "trials steps controls"]
) -> Float[np.ndarray, "trials steps controls"]:
    """The commands of a local optimum of each trial.

    Of Newton steps that are damped more or less, each trial takes the best, if its loss falls.
    """
    commands = np.clip(start, experiment.low, experiment.high)
    loss = _call(_losses, experiment, commands)[0].sum(axis=1)
    damping = np.full(len(start), FIRST_DAMPING)
    each, losses = np.arange(len(start)), [np.full(len(start), np.inf)] * PATIENCE
    for _ in range(MAX_ITERATIONS):
        check_finite(loss)
        losses.append(loss.copy())
        tried, values, gain = _call(_newton_steps, experiment, commands, damping)
        best = np.where(np.isfinite(values), values, np.inf).argmin(axis=1)
        falls = values[each, best] < loss
        commands[falls] = tried[each, best][falls]
        loss[falls] = values[each, best][falls]
        damping *= np.where(falls, DAMPINGS[best % len(DAMPINGS)], DAMPINGS[-1])
        damping = np.minimum(damping, LARGEST_DAMPING)
        promised, fallen = gain / np.abs(loss), losses[-PATIENCE] / loss - 1
        if np.all((promised <= PRECISION) | (fallen < AGREEMENT)):
            break
    return np.asarray(commands)


def _call(function: Callable[..., Any], experiment: Experiment, *items: Any) -> list[Any]:
    fixed = (experiment.params, experiment.like, experiment.low, experiment.high)
    with enable_x64(True):
        return [np.array(each) for each in function(fixed, *experiment.context, *items)]


class _Trial(NamedTuple):
    """One trial, whose steps are functions of state and command as vectors."""

    params: ReachParams
    like: ReachState
    low: Float[Array, " controls"]
    high: Float[Array, " controls"]
    trial: Trial
    drawn: Any

    def start(self) -> Float[Array, " states"]:
        """The state at the start."""
        return vector_of(False, start_of_trial(self.params, self.trial, self.drawn))

    def step(self, time: Int[Array, ""], point: Float[Array, " point"]) -> tuple[Array, Array]:
        """The next state, and the loss by term."""
        fixed = (self.params, self.like, self.trial, self.drawn)
        state, _, losses = step_of_vector(False, *fixed, time, point)
        return state, losses

    def run(self, command_at: Callable[..., Array], inputs: Any) -> tuple[Array, Array, Array]:
        """States, commands and losses of all steps; commands follow from state and inputs."""

        def move(state: Array, step: Any) -> tuple[Array, tuple[Array, Array, Array]]:
            time, given = step
            command = jnp.clip(command_at(state, given), self.low, self.high)
            after, losses = self.step(time, jnp.concatenate([state, command]))
            return after, (state, command, losses)

        times = jnp.arange(jax.tree.leaves(inputs)[0].shape[0])
        _, (states, commands, losses) = jax.lax.scan(move, self.start(), (times, inputs))
        return states, commands, losses


@jax.jit
def _losses(
    fixed: Any, trials: Trial, drawn: Any, commands: Float[Array, "trials steps controls"]
) -> tuple[Float[Array, "trials terms"]]:
    """Of each trial and term."""

    def one(trial: Any, drawn: Any, commands: Any) -> Any:
        whole = _Trial._make((*fixed, trial, drawn))
        return whole.run(lambda _, command: command, commands)[2].sum(axis=0)

    losses: Array = jax.vmap(one)(trials, drawn, commands)
    return (losses,)


@jax.jit
def _newton_steps(
    fixed: Any,
    trials: Trial,
    drawn: Any,
    commands: Float[Array, "trials steps controls"],
    damping: Float[Array, " trials"],
) -> tuple[Array, Array, Array]:
    """Commands after Newton steps of all dampings, the losses they lead to, and the gain expected.

    The step is found from the last to the first command, by the derivatives of single steps (Dunn
    and Bertsekas, Journal of Optimization Theory and Applications 63:23, 1989). Commands answer
    also to how far the new states are from the old ones.
    """

    def one(trial: Any, drawn: Any, commands: Any, damping: Any) -> Any:
        whole = _Trial._make((*fixed, trial, drawn))
        states, _, _ = whole.run(lambda _, command: command, commands)
        steps = _derivatives(whole, states, commands)

        def damped(bending: Float[Array, ""], damping: Float[Array, ""]) -> Any:
            change, answer, gain = _newton_step(steps, bending, damping)

            def command_at(state: Array, given: Any) -> Array:
                old_state, command, change, answer = given
                changed: Array = command + change + answer @ (state - old_state)
                return changed

            run = whole.run(command_at, (states, commands, change, answer))
            return run[1], run[2].sum(), gain

        bendings, dampings = jnp.meshgrid(jnp.arange(2.0), damping * jnp.asarray(DAMPINGS))
        tried, losses, gain = jax.vmap(damped)(bendings.T.ravel(), dampings.T.ravel())
        return tried, losses, gain.max()

    found: tuple[Array, Array, Array] = jax.vmap(one)(trials, drawn, commands, damping)
    return found


class _Steps(NamedTuple):
    """Derivatives of all steps with respect to their points, state and then command."""

    transition: Float[Array, "steps states point"]
    gradient: Float[Array, "steps point"]
    """Of the loss of this and of all later steps."""
    curvature: Float[Array, "steps point point"]
    """Of the loss of this step."""
    bending: Float[Array, "steps point point"]
    """Curvature of the loss of all later steps, as far as it comes from that of this step."""
    held: Bool[Array, "steps controls"]
    """Commands at a bound that the loss would have them cross."""


def _derivatives(
    trial: _Trial, states: Float[Array, "steps states"], commands: Float[Array, "steps controls"]
) -> _Steps:
    times, points = jnp.arange(len(states)), jnp.concatenate([states, commands], axis=1)
    n_states = states.shape[1]

    def along(time: Array, point: Array, costate: Array) -> Array:
        state, losses = trial.step(time, point)
        return jnp.stack([losses.sum(), costate @ state])

    def backwards(costate: Array, step: Any) -> tuple[Array, tuple[Array, Array]]:
        gradient = jax.jacrev(along, argnums=1)(*step, costate).sum(axis=0)
        return gradient[:n_states], (gradient, costate)

    last = jnp.zeros(n_states)
    _, (gradient, costate) = jax.lax.scan(backwards, last, (times, points), reverse=True)
    transition = jax.vmap(jax.jacfwd(lambda time, point: trial.step(time, point)[0], argnums=1))
    slope = gradient[:, n_states:]
    held = ((commands <= trial.low) & (slope > 0)) | ((commands >= trial.high) & (slope < 0))
    curvature, bending = jnp.moveaxis(
        jax.vmap(jax.hessian(along, argnums=1))(times, points, costate), 1, 0
    )
    return _Steps(transition(times, points), gradient, curvature, bending, held)


def _newton_step(
    steps: _Steps, bending: Float[Array, ""], damping: Float[Array, ""]
) -> tuple[Float[Array, "steps controls"], Float[Array, "steps controls states"], Float[Array, ""]]:
    """Change of each command, its answer to a changed state, and how much the loss should fall."""
    n_states = steps.transition.shape[1]

    def backwards(later: Any, step: _Steps) -> tuple[Any, Any]:
        bend, tilt, gain = later
        curvature = step.curvature + bending * step.bending
        curvature += step.transition.T @ bend @ step.transition
        gradient = jnp.where(jnp.arange(len(step.gradient)) < n_states, 0.0, step.gradient)
        gradient += step.transition.T @ tilt
        free = ~step.held
        slope = jnp.where(free, gradient[n_states:], 0.0)
        coupling = jnp.where(free[:, None], curvature[n_states:, :n_states], 0.0)
        own = jnp.where(free[:, None] & free, curvature[n_states:, n_states:], 0.0)
        sizes, axes = jnp.linalg.eigh(own)
        sizes = jnp.abs(sizes)
        sizes += damping * sizes.max() + np.finfo(float).tiny
        inverse = (axes / sizes) @ axes.T
        change, answer = -inverse @ slope, -inverse @ coupling
        bend = curvature[:n_states, :n_states] + coupling.T @ answer
        tilt = gradient[:n_states] + coupling.T @ change
        return (bend, tilt, gain - slope @ change / 2), (change, answer)

    none = (jnp.zeros((n_states, n_states)), jnp.zeros(n_states), jnp.zeros(()))
    (_, _, gain), (change, answer) = jax.lax.scan(backwards, none, steps, reverse=True)
    return change, answer, gain
