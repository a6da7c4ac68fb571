"""Estimating the state from what is observed, and how far it strays from its mean."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from agents.optimum.linear_quadratic import LinearQuadratic
from agents.optimum.structure import Kinds, Mapping, Matrices, closure, transpose

RANK = 1e-5
"""An observation does not vary along directions in which it varies so much less than in others."""

ROUNDING = 1e-14
"""Numbers that vary so much less than the largest noise, or a trial's uncertainty, are certain."""


class Uncertainty(NamedTuple):
    """Uncertainty that a controller has, and leaves.

    Attributes:
        filter_gains: how the estimate is corrected by what is observed beyond what was expected.
        points: covariances of the states that matter to the loss, and of the command.
        hidden: the largest share of such a state's variance that an observation leaves unknown.
    """

    filter_gains: Float[np.ndarray, "steps groups states observation"]
    points: Float[np.ndarray, "steps groups regulated regulated"]
    hidden: float


def propagate(
    problem: LinearQuadratic,
    regulator_gains: Float[np.ndarray, "steps groups controls states"],
    prior: Float[np.ndarray, "groups states sources"],
    means: Float[np.ndarray, "steps trials point"],
    *,
    filter_gains: Float[np.ndarray, "steps groups states observation"] | None = None,
    state_is_known: bool = False,
) -> Uncertainty:
    """Follow estimate and estimation error through the trials of each group.

    Args:
        problem: the experiment.
        regulator_gains: of the regulator that acts on the estimate.
        prior: what is uncertain of the initial state, as its response to standard normal numbers.
        means: of state and command, which matter to noise that grows with them.
        filter_gains: of the filter; without them, of the best that is linear, which is Kalman's
            where noise does not grow with state or command.
        state_is_known: whether the regulator acts on the state itself.
    """
    responses = _Responses(problem, regulator_gains, prior, filter_gains)
    gains, points, hidden = [], [], 0.0
    for step, mean in enumerate(means):
        kind, regulator = problem.dynamics[:, step], regulator_gains[step]
        before = responses.largest_error()
        if state_is_known:
            gain = responses.see_all()
        else:
            gain = responses.best_gain(kind) if filter_gains is None else filter_gains[step]
            responses.correct(kind, gain)
        point = responses.point(regulator)
        shown = point[:, np.r_[: problem.n_regulated, -problem.experiment.n_controls : 0]]
        gains.append(gain)
        points.append(shown @ transpose(shown))
        hidden = max(hidden, responses.largest_error() / max(before, np.finfo(float).tiny))
        responses.move(kind, regulator, responses.noise(kind, mean, point))
    return Uncertainty(np.array(gains), np.array(points), hidden)


class _Responses:
    """How estimate and estimation error respond to all that is random, within a trial.

    What is random are independent standard normal numbers, in the columns. The error is what the
    state is more than its estimate. Estimates are followed for the states that are acted on, errors
    for those that are uncertain. Covariances are products of responses, and so never negative; they
    would lose half of the digits.
    """

    def __init__(
        self,
        problem: LinearQuadratic,
        regulator_gains: Float[np.ndarray, "steps groups controls states"],
        prior: Float[np.ndarray, "groups states sources"],
        filter_gains: Float[np.ndarray, "steps groups states observation"] | None,
    ) -> None:
        n = problem.n_states
        affects = np.any(problem.transition[..., :n], axis=0)
        affects |= np.any(problem.multiplicative[..., :n], axis=(0, 1))
        seeds = np.any(regulator_gains, axis=(0, 1, 2)) | (np.arange(n) < problem.n_regulated)
        seeds |= np.any(problem.multiplicative[..., :n], axis=(0, 1, 2))
        self.acted = np.flatnonzero(closure(affects, seeds))
        noisy = np.any(problem.noise, axis=(0, 1)) | np.any(prior, axis=(0, 2))
        noisy |= np.any(problem.multiplicative, axis=(0, 1, 3))
        if filter_gains is not None:
            # A filter made for other noise corrects what is certain, and errs by that.
            noisy |= np.any(filter_gains, axis=(0, 1, 3))
        self.uncertain = np.flatnonzero(closure(affects.T, noisy))
        self.problem = problem
        self.acted_move = Mapping(problem.transition[:, self.acted[:, None], self.acted])
        self.error_move = Mapping(problem.transition[:, self.uncertain[:, None], self.uncertain])
        self.observing = Mapping(problem.observing[:, :, self.uncertain])
        self.error = prior[:, self.uncertain]
        self.estimate = np.zeros((len(prior), len(self.acted), prior.shape[2]))
        largest = max(np.abs(prior).max(initial=0.0), np.abs(problem.noise).max(initial=0.0))
        self.rounding = ROUNDING * largest

    def largest_error(self) -> float:
        """The largest variance of the error of what matters to the loss."""
        error = self.error[:, self.uncertain < self.problem.n_regulated]
        return float(np.square(error).sum(axis=2).max(initial=0.0))

    def best_gain(self, kind: Kinds) -> Matrices:
        """The gain that leaves the least error; what was certain corrects nothing."""
        seen = self.observing.times(kind, self.error)
        scale = np.linalg.norm(seen, axis=2, keepdims=True)
        scale[scale <= self.rounding] = np.inf
        inverse = np.linalg.pinv(seen / scale, rcond=RANK)
        gain = np.zeros((len(seen), self.problem.n_states, seen.shape[1]))
        gain[:, self.uncertain] = self.error @ inverse / transpose(scale)
        return gain

    def correct(self, kind: Kinds, gain: Matrices) -> None:
        """Correct the estimate by what is observed."""
        seen = self.observing.times(kind, self.error)
        self.estimate = self.estimate + gain[:, self.acted] @ seen
        self.error = self.error - gain[:, self.uncertain] @ seen

    def see_all(self) -> Matrices:
        """Let the estimate be the state; returns gains of zero."""
        self.estimate = self._state()
        self.error = np.zeros_like(self.error)
        return np.zeros((len(self.error), self.problem.n_states, self.problem.observing.shape[1]))

    def _state(self) -> Matrices:
        """The response of the states that are acted on."""
        _, in_acted, in_uncertain = np.intersect1d(self.acted, self.uncertain, return_indices=True)
        state = self.estimate.copy()
        state[:, in_acted] += self.error[:, in_uncertain]
        return state

    def point(self, regulator: Matrices) -> Matrices:
        """The response of the states that are acted on, and of the command that follows."""
        command = -regulator[..., self.acted] @ self.estimate
        return np.concatenate([self._state(), command], axis=1)

    def noise(
        self, kind: Kinds, mean: Float[np.ndarray, "trials point"], point: Matrices
    ) -> Matrices:
        """The error that noise adds, in the mean over each group's trials."""
        problem = self.problem
        noise = transpose(problem.noise[kind][..., self.uncertain])
        varying = problem.multiplicative[kind][:, :, self.uncertain]
        n_varying = varying.shape[1]
        if n_varying == 0:
            return noise
        of_acted = varying[..., np.r_[self.acted, problem.n_states : len(problem.point)]]
        responses, n = transpose(of_acted @ point[:, None]), len(self.uncertain)
        grown = np.zeros((len(varying), n, n))
        for group, matrices in enumerate(varying):
            trials = mean[problem.group == group]
            size = noise[group, :, :n_varying].T + np.einsum("knp,tp->tkn", matrices, trials)
            size = size.reshape(-1, n) / np.sqrt(len(trials))
            # Zeros so that there are at least as many rows as the result has.
            rows = np.concatenate([responses[group].reshape(-1, n), size, np.zeros((n, n))])
            grown[group] = np.asarray(np.linalg.qr(rows, mode="r")).T
        return np.concatenate([noise[..., n_varying:], grown], axis=2)

    def move(self, kind: Kinds, regulator: Matrices, noise: Matrices) -> None:
        """Take a step."""
        command = self.problem.transition[kind][:, self.acted, self.problem.n_states :]
        acts = command @ (regulator[..., self.acted] @ self.estimate)
        estimate = self.acted_move.times(kind, self.estimate) - acts
        estimate = np.concatenate([estimate, np.zeros((*estimate.shape[:2], noise.shape[2]))], 2)
        error = np.concatenate([self.error_move.times(kind, self.error), noise], axis=2)
        both = np.concatenate([estimate, error], axis=1)
        if both.shape[2] > 2 * both.shape[1] + noise.shape[2]:
            # The same covariances from fewer numbers.
            both = transpose(np.asarray(np.linalg.qr(transpose(both), mode="r")))
        self.estimate, self.error = np.split(both, [estimate.shape[1]], axis=1)
