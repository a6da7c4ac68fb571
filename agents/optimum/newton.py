"""Newton's method for the commands of trials, by the environment's derivatives."""

from __future__ import annotations

from collections.abc import Callable
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
from agents.optimum.refusals import check_finite
from fbx_env import ReachParams, ReachState, Trial

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


def optimised(
    experiment: Experiment,
    start: Float[np.ndarray, "trials steps controls"],
    max_iterations: int = MAX_ITERATIONS,
) -> Float[np.ndarray, "trials steps controls"]:
    """The commands of a local optimum of each trial, or after so many steps on the way to it.

    Of Newton steps that are damped more or less, each trial takes the best, if its loss falls.
    """
    commands = np.clip(start, experiment.low, experiment.high)
    loss = total_losses(experiment, commands)
    damping = np.full(len(start), FIRST_DAMPING)
    each, losses = np.arange(len(start)), [np.full(len(start), np.inf)] * PATIENCE
    for _ in range(max_iterations):
        check_finite(loss)
        losses.append(loss.copy())
        tried, values, gain = call(_newton_steps, experiment, commands, damping)
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


def total_losses(
    experiment: Experiment, commands: Float[np.ndarray, "trials steps controls"]
) -> Float[np.ndarray, " trials"]:
    """The loss of each trial with these commands."""
    totals: Float[np.ndarray, " trials"] = call(losses_of, experiment, commands)[0].sum(axis=1)
    return totals


def call(function: Callable[..., Any], experiment: Experiment, *items: Any) -> list[Any]:
    """Evaluate a compiled function of an experiment's trials in float64."""
    fixed = (experiment.params, experiment.like, experiment.low, experiment.high)
    with enable_x64(True):
        return [np.array(each) for each in function(fixed, *experiment.context, *items)]


class OneTrial(NamedTuple):
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

    def answered(
        self,
        states: Float[Array, "steps states"],
        commands: Float[Array, "steps controls"],
        answer: Float[Array, "steps controls states"],
    ) -> tuple[Float[Array, "steps controls"], Float[Array, ""]]:
        """Commands that answer to how far states are from the given ones, and the loss."""

        def command_at(state: Array, given: Any) -> Array:
            old_state, command, answer = given
            answered: Array = command + answer @ (state - old_state)
            return answered

        run = self.run(command_at, (states, commands, answer))
        return run[1], run[2].sum()


@jax.jit
def losses_of(
    fixed: Any, trials: Trial, drawn: Any, commands: Float[Array, "trials steps controls"]
) -> tuple[Float[Array, "trials terms"]]:
    """Of each trial and term."""

    def one(trial: Any, drawn: Any, commands: Any) -> Any:
        whole = OneTrial._make((*fixed, trial, drawn))
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
        whole = OneTrial._make((*fixed, trial, drawn))
        states, _, _ = whole.run(lambda _, command: command, commands)
        steps = derivatives_of(whole, states, commands)

        def damped(bending: Float[Array, ""], damping: Float[Array, ""]) -> Any:
            change, answer, gain = newton_step(steps, bending, damping)

            answered, loss = whole.answered(states, commands + change, answer)
            return answered, loss, gain

        bendings, dampings = jnp.meshgrid(jnp.arange(2.0), damping * jnp.asarray(DAMPINGS))
        tried, losses, gain = jax.vmap(damped)(bendings.T.ravel(), dampings.T.ravel())
        return tried, losses, gain.max()

    found: tuple[Array, Array, Array] = jax.vmap(one)(trials, drawn, commands, damping)
    return found


class Steps(NamedTuple):
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


def derivatives_of(
    trial: OneTrial, states: Float[Array, "steps states"], commands: Float[Array, "steps controls"]
) -> Steps:
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
    return Steps(transition(times, points), gradient, curvature, bending, held)


def newton_step(
    steps: Steps, bending: Float[Array, ""], damping: Float[Array, ""]
) -> tuple[Float[Array, "steps controls"], Float[Array, "steps controls states"], Float[Array, ""]]:
    """Change of each command, its answer to a changed state, and how much the loss should fall."""
    n_states = steps.transition.shape[1]

    def backwards(later: Any, step: Steps) -> tuple[Any, Any]:
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
