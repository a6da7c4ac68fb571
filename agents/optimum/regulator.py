"""The regulator: the best command for a state that is known or estimated."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from agents.optimum.experiment import Indices
from agents.optimum.linear_quadratic import LinearQuadratic
from agents.optimum.refusals import check_finite, refuse
from agents.optimum.structure import Kinds, Mapping, Matrices, times, transpose

SINGULAR = 1e-12
"""A command costs nothing along a direction that costs so much less than another."""


class Regulator(NamedTuple):
    """Commands u = -(gains x + offsets), in the deviations of a ``LinearQuadratic``.

    Attributes:
        gains: zero for states that do not matter.
        offsets: of each trial.
        value: the loss of each trial less that of staying at its base, without noise.
    """

    gains: Float[np.ndarray, "steps groups controls states"]
    offsets: Float[np.ndarray, "steps trials controls"]
    value: Float[np.ndarray, " trials"]


def regulate(
    problem: LinearQuadratic,
    filter_gains: Float[np.ndarray, "steps groups states observation"] | None = None,
) -> Regulator:
    """Solve the Riccati recursion, from the last step to the first.

    To go on from x costs x future x / 2 + slope x + a constant. Noise that grows with state or
    command makes these more costly (Todorov, Neural Computation 17:1084, 2005).

    Args:
        problem: what to solve.
        filter_gains: how the estimate of the state is corrected, if such noise hides the state.

    Raises:
        NoOptimumError: if there are commands that cost nothing, or numbers overflow.
    """
    _check_costs_commands(problem)
    n = problem.n_regulated if filter_gains is None else problem.n_states
    n_controls, n_steps = problem.experiment.n_controls, problem.experiment.n_steps
    used = np.r_[:n, problem.n_states : len(problem.point)]
    costly = np.r_[: problem.n_regulated, n : n + n_controls]
    move = Mapping(problem.transition[:, :n, used])
    future = np.zeros((len(problem.members), n, n))
    slope = np.zeros((len(problem.group), n))
    error_cost, value = np.zeros_like(future), np.zeros(len(slope))
    gains = np.zeros((n_steps, len(future), n_controls, problem.n_states))
    offsets = np.zeros((n_steps, len(slope), n_controls))
    for step in reversed(range(n_steps)):
        kind, drift = problem.dynamics[:, step], problem.drift[:, step, :n]
        ahead = slope + times(problem.spread(future), drift)
        value += ((ahead + slope) * drift).sum(axis=1) / 2
        hessian = move.transposed_times(kind, transpose(move.transposed_times(kind, future)))
        linear = times(problem.spread(transpose(problem.transition[kind][:, :n, used])), ahead)
        hessian[:, costly[:, None], costly] += problem.curvature[problem.costs[:, step]]
        linear[:, costly] += problem.gradient[:, step]
        if problem.varying.size:
            more, more_linear = _noise_cost(problem, kind, used, future + error_cost)
            hessian, linear = hessian + more, linear + problem.spread(more_linear)

        own, crossed = hessian[:, n:, n:], hessian[:, n:, :n]
        gain = np.linalg.solve(own, crossed)
        offset = times(problem.spread(np.linalg.inv(own)), linear[:, n:])
        saved, spent = transpose(gain) @ crossed, transpose(gain) @ own @ gain
        future = hessian[:, :n, :n] - saved - transpose(saved) + spent
        # What is not symmetric would grow from step to step.
        future = (future + transpose(future)) / 2
        slope = linear[:, :n] - times(problem.spread(transpose(gain)), linear[:, n:])
        value -= (linear[:, n:] * offset).sum(axis=1) / 2
        gains[step, :, :, :n], offsets[step] = gain, offset
        if filter_gains is not None:
            state = problem.transition[kind][:, :, :n]
            kept = np.eye(n) - filter_gains[step] @ problem.observing[kind]
            error_cost = transpose(state) @ error_cost @ state + spent
            error_cost = transpose(kept) @ error_cost @ kept
    check_finite(gains, offsets, value)
    return Regulator(gains, offsets, value)


def _noise_cost(
    problem: LinearQuadratic, kind: Kinds, used: Indices, cost: Matrices
) -> tuple[Matrices, Float[np.ndarray, "groups point"]]:
    """The curvature and the gradient of a step that come of noise growing with the point."""
    n = cost.shape[1]
    varying = problem.multiplicative[kind][:, :, :n, used]
    constant = problem.noise[kind][:, : varying.shape[1], :n]
    weighted = transpose(varying) @ cost[:, None]
    return (weighted @ varying).sum(axis=1), times(weighted, constant).sum(axis=1)


def _check_costs_commands(problem: LinearQuadratic) -> None:
    n_controls = problem.experiment.n_controls
    costs = np.linalg.eigvalsh(problem.curvature[:, -n_controls:, -n_controls:])
    if np.any(costs[:, 0] <= SINGULAR * np.abs(costs).max(axis=1)):
        refuse("a loss without command cost")
