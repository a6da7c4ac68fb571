"""The linear-quadratic problem that an experiment is, found from the environment's derivatives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Real

from agents.optimum.experiment import Experiment, Indices, Moved, Outcome, Vectors
from agents.optimum.refusals import check_finite, check_is_linear_quadratic
from agents.optimum.structure import closure

DIGITS = 9
"""To how many digits the derivatives of steps must agree for steps to share matrices."""

BLOCK = 2**14
"""How many points are evaluated before only what is needed of them is kept."""


class LinearQuadratic(NamedTuple):
    """An experiment in deviations from the points where its trials start.

    With x and u the deviations of state and command, p the two together, and n standard normal
    numbers, a step is

        x' = transition p + drift + n (noise + multiplicative p)
        observation before it = observing x + a constant
        loss, expected over n = p curvature p / 2 + gradient p + a constant

    with a p that has only the states that matter to the loss, in the last line. Groups of trials,
    and steps, share matrices.

    Attributes:
        experiment: what it is made from.
        base: state and command where each trial starts, as a point of the experiment.
        group: which group a trial belongs to.
        members: a trial of each group.
        dynamics: which of the matrices that are no curvatures a step has.
        costs: which curvature a step has.
        point: which of the numbers of a point p has: states that matter to the loss, then those
            that matter only to what is observed, then the command.
        n_regulated: how many states matter to the loss.
        normals: which of the experiment's normal numbers n has; the first of them are those of
            ``multiplicative``.
        loss: of a trial that stays at its base, without noise.
    """

    experiment: Experiment
    base: Float[np.ndarray, "trials whole_point"]
    group: Int[np.ndarray, " trials"]
    members: Int[np.ndarray, " groups"]
    dynamics: Int[np.ndarray, "groups steps"]
    costs: Int[np.ndarray, "groups steps"]
    point: Int[np.ndarray, " point"]
    n_regulated: int
    normals: Int[np.ndarray, " normals"]
    transition: Float[np.ndarray, "dynamics states point"]
    observing: Float[np.ndarray, "dynamics observation states"]
    noise: Float[np.ndarray, "dynamics normals states"]
    multiplicative: Float[np.ndarray, "dynamics varying states point"]
    curvature: Float[np.ndarray, "costs regulated regulated"]
    drift: Float[np.ndarray, "trials steps states"]
    gradient: Float[np.ndarray, "trials steps regulated"]
    loss: Float[np.ndarray, " trials"]

    @property
    def n_states(self) -> int:
        """How many numbers x has."""
        return len(self.point) - self.experiment.n_controls

    @property
    def regulated(self) -> Indices:
        """The numbers of p that are states which matter to the loss, or commands."""
        return np.asarray(np.r_[: self.n_regulated, self.n_states : len(self.point)])

    @property
    def varying(self) -> Indices:
        """The experiment's normal numbers that grow with state or command."""
        return self.normals[: self.multiplicative.shape[1]]

    @property
    def noisy(self) -> Indices:
        """The experiment's normal numbers that matter to the loss."""
        constant = np.any(self.noise[..., : self.n_regulated], axis=(0, 2))
        return np.union1d(self.varying, self.normals[constant])

    @property
    def is_noisy(self) -> bool:
        """Whether any number of x is noisy."""
        return bool(np.any(self.noise) or self.varying.size)

    @property
    def of_costs(self) -> Steps:
        """A step with each curvature."""
        _, first = np.unique(self.costs, return_index=True)
        group, time = np.unravel_index(first, self.costs.shape)
        return Steps(self.experiment, self.base, self.members[group], time)

    def spread(self, shared: Float[np.ndarray, "groups ..."]) -> Float[np.ndarray, "_ ..."]:
        """Arrays of groups, for each trial; once for all trials if there is one group."""
        return shared[self.group] if len(self.members) > 1 else shared


class Steps(NamedTuple):
    """Some steps of trials, each at the point where its trial starts."""

    experiment: Experiment
    base: Float[np.ndarray, "trials whole_point"]
    trial: Indices
    time: Indices

    def some(self, which: Indices | Bool[np.ndarray, " _"] | slice) -> Steps:
        """Some of these steps."""
        return self._replace(trial=self.trial[which], time=self.time[which])

    def blocks(self) -> Iterator[Steps]:
        """All of these steps, one block after the other."""
        for begin in range(0, len(self.trial), BLOCK):
            yield self.some(slice(begin, begin + BLOCK))

    def move(self, offset: float | Vectors = 0.0, **options: Any) -> Moved:
        """Take the steps from points that are so far from the bases."""
        points = self.base[self.trial] + offset
        return self.experiment.step(self.trial, self.time, points, **options)

    def outcome(self, offset: Vectors, normals: Vectors) -> Outcome:
        """Take the steps from points that are so far from the bases, without derivatives."""
        points = self.base[self.trial] + offset
        return self.experiment.outcome(self.trial, self.time, points, normals)

    def along(
        self, directions: Vectors, derive: Callable[..., Vectors]
    ) -> Float[np.ndarray, "..."]:
        """Derivatives of every step along every direction, as (steps, directions, numbers)."""
        n_steps, n_directions = len(self.trial), len(directions)
        each = self.some(np.repeat(np.arange(n_steps), n_directions))
        derivatives = derive(each, direction=np.tile(directions, (n_steps, 1)))
        return derivatives.reshape(n_steps, n_directions, -1)


class Dynamics(NamedTuple):
    """The matrices of a ``LinearQuadratic`` that are no curvatures, of all states."""

    transition: Float[np.ndarray, "dynamics states point"]
    observing: Float[np.ndarray, "dynamics observation states"]
    normals: Int[np.ndarray, " normals"]
    noise: Float[np.ndarray, "dynamics normals states"]
    multiplicative: Float[np.ndarray, "dynamics varying states point"]


def linear_quadratic(experiment: Experiment, *, sensing: bool = False) -> LinearQuadratic:
    """Find the problem.

    Args:
        experiment: as a function of vectors.
        sensing: whether x also has the states that matter only to what is observed.

    Raises:
        NoOptimumError: if the experiment is not linear-quadratic, naming the part, or overflows.
    """
    steps, shape = all_steps(experiment), (experiment.n_trials, experiment.n_steps)
    check_is_linear_quadratic(steps)  # Before anything is derived, which takes long to compile.
    (of_dynamics, dynamics), (of_costs, costs) = map(_unique, signatures(steps))
    check_is_linear_quadratic(steps.some(np.concatenate([of_dynamics, of_costs])))
    members, group = _unique(np.stack([dynamics, costs], axis=1).reshape(shape[0], -1))

    whole = _dynamics(steps.some(of_dynamics))
    states, n_regulated = _relevant(
        whole, _touched(steps.some(of_costs))[: experiment.n_states], sensing
    )
    point = np.concatenate([states, np.arange(experiment.n_states, steps.base.shape[1])])
    varying = whole.normals[: whole.multiplicative.shape[1]]
    regulated = np.concatenate([point[:n_regulated], point[len(states) :]])
    drift, gradient, loss = _affine(steps, states, regulated, varying)
    return LinearQuadratic(
        experiment=experiment,
        base=steps.base,
        group=group,
        members=members,
        dynamics=dynamics.reshape(shape)[members],
        costs=costs.reshape(shape)[members],
        point=point,
        n_regulated=n_regulated,
        normals=whole.normals,
        transition=whole.transition[:, states][..., point],
        observing=whole.observing[..., states],
        noise=whole.noise[..., states],
        multiplicative=whole.multiplicative[:, :, states][..., point],
        curvature=curvature(steps.some(of_costs), regulated, varying),
        drift=drift.reshape(*shape, -1),
        gradient=gradient.reshape(*shape, -1),
        loss=loss.reshape(shape).sum(axis=1),
    )


def all_steps(experiment: Experiment) -> Steps:
    """Every step of every trial, the steps of a trial one after the other."""
    starts = experiment.start(np.arange(experiment.n_trials))
    base = np.concatenate([starts, np.tile(experiment.resting_command, (len(starts), 1))], axis=1)
    trial, time = np.indices((experiment.n_trials, experiment.n_steps))
    return Steps(experiment, base, trial.ravel(), time.ravel())


def over_noise(
    function: Callable[[Float[np.ndarray, "1 normals"]], Float[np.ndarray, "..."]],
    n_normals: int,
    which: Indices,
) -> Float[np.ndarray, "..."]:
    """The expectation of a function that is quadratic in some independent normal numbers."""
    middle = function(np.zeros((1, n_normals)))
    expected = middle.copy()
    for unit in np.eye(n_normals)[which, None]:
        expected += (function(unit) + function(-unit)) / 2 - middle
    return expected


def signatures(
    steps: Steps,
) -> tuple[Float[np.ndarray, "steps 4"], Float[np.ndarray, "steps 1"]]:
    """Of dynamics and of costs: numbers that differ between steps if any derivative does."""
    random = np.random.default_rng(0)
    direction = random.normal(size=(1, steps.base.shape[1]))
    normals = random.normal(size=(1, steps.experiment.n_normals))

    dynamics, costs = [], []
    for block in steps.blocks():
        quiet = block.move(direction=direction)
        noisy = block.move(direction=direction, normals=normals)
        seen = [quiet.state_change, noisy.state_change, noisy.state - quiet.state]
        seen.append(quiet.observation_change)
        dynamics.append(np.stack([summary(each) for each in seen], axis=1))
        costs.append(summary(noisy.gradient_change)[:, None])
    return np.concatenate(dynamics), np.concatenate(costs)


def summary(vectors: Float[np.ndarray, "items size"]) -> Float[np.ndarray, " items"]:
    """A number for each vector, which hardly ever is the same for two."""
    return vectors @ np.random.default_rng(1).normal(size=vectors.shape[1])


def _unique(
    rows: Real[np.ndarray, "rows columns"],
) -> tuple[Int[np.ndarray, " kinds"], Int[np.ndarray, " rows"]]:
    """The first of each kind of rows that agree, and the kind of each row."""
    check_finite(rows)
    mantissa, exponent = np.frexp(rows)
    kinds = np.concatenate([np.round(mantissa, DIGITS), exponent], axis=1)
    _, first, kind = np.unique(kinds, axis=0, return_index=True, return_inverse=True)
    return first, kind.ravel()


def _dynamics(steps: Steps) -> Dynamics:
    experiment, n_states = steps.experiment, steps.experiment.n_states
    directions, units = np.eye(steps.base.shape[1]), np.eye(experiment.n_normals)[:, None]

    def changes(each: Steps, **options: Any) -> Vectors:
        moved = each.move(**options)
        return np.concatenate([moved.state_change, moved.observation_change], axis=1)

    def matrices(normals: Vectors | None = None) -> Float[np.ndarray, "steps numbers point"]:
        return steps.along(directions, partial(changes, normals=normals)).swapaxes(1, 2)

    probe = np.random.default_rng(2).normal(size=(1, len(directions)))
    quiet, rest = changes(steps, direction=probe), steps.move().state
    varies = [
        not np.allclose(changes(steps, direction=probe, normals=unit), quiet, 1e-12, 0)
        for unit in units
    ]
    normals = np.argsort(np.logical_not(varies), kind="stable")
    both = matrices()
    transition, observing = np.split(both, [n_states], axis=1)
    noise = [steps.move(normals=units[index]).state - rest for index in normals]
    multiplicative = [
        matrices(units[index])[:, :n_states] - transition for index in normals if varies[index]
    ]
    n_steps, n_point = len(transition), len(directions)
    return Dynamics(
        transition=transition,
        observing=observing[..., :n_states],
        normals=normals,
        noise=np.reshape(noise, (-1, n_steps, n_states)).swapaxes(0, 1),
        multiplicative=np.reshape(multiplicative, (-1, n_steps, n_states, n_point)).swapaxes(0, 1),
    )


def _touched(steps: Steps) -> Bool[np.ndarray, " whole_point"]:
    """The states on which the loss depends, and all commands."""
    offset = np.random.default_rng(3).normal(size=(1, steps.base.shape[1]))
    offset[:, steps.experiment.n_states :] = 0
    touched = np.asarray(np.any(steps.move(offset).gradient, axis=0))
    touched[steps.experiment.n_states :] = True
    return touched


def _relevant(
    whole: Dynamics, touched: Bool[np.ndarray, " states"], sensing: bool
) -> tuple[Indices, int]:
    """The states that matter to the loss, then those that matter to what is observed."""
    n_states = len(touched)
    affects = np.any(whole.transition[..., :n_states], axis=0)
    affects |= np.any(whole.multiplicative[..., :n_states], axis=(0, 1))

    regulated = closure(affects, touched)
    observed = closure(affects, np.any(whole.observing, axis=(0, 1))) & ~regulated
    chosen = [np.flatnonzero(regulated), *([np.flatnonzero(observed)] if sensing else [])]
    return np.concatenate(chosen), int(regulated.sum())


def _affine(
    steps: Steps,
    states: Int[np.ndarray, " states"],
    regulated: Int[np.ndarray, " regulated"],
    varying: Indices,
) -> tuple[
    Float[np.ndarray, "steps states"],
    Float[np.ndarray, "steps regulated"],
    Float[np.ndarray, " steps"],
]:
    """Drift, gradient of the expected loss, and loss without noise, of every step."""
    drifts, gradients, losses = [], [], []
    for block in steps.blocks():
        moved = block.move()
        drifts.append((moved.state - steps.base[block.trial, : moved.state.shape[1]])[:, states])
        losses.append(moved.losses.sum(axis=1))

        def gradient(normals: Vectors, block: Steps = block) -> Vectors:
            return block.move(normals=normals).gradient[:, regulated]

        gradients.append(over_noise(gradient, steps.experiment.n_normals, varying))
    return np.concatenate(drifts), np.concatenate(gradients), np.concatenate(losses)


def curvature(
    steps: Steps,
    point: Int[np.ndarray, " point"],
    varying: Indices,
    weights: Float[np.ndarray, " terms"] | None = None,
) -> Float[np.ndarray, "steps point point"]:
    """Second derivatives of the expected loss."""
    touched = _touched(steps)[point]
    directions = np.eye(steps.base.shape[1])[point[touched]]

    def changes(each: Steps, **options: Any) -> Vectors:
        return each.move(weights=weights, **options).gradient_change[:, point]

    def along(normals: Vectors) -> Float[np.ndarray, "steps touched point"]:
        return steps.along(directions, partial(changes, normals=normals))

    hessian = np.zeros((len(steps.trial), len(point), len(point)))
    hessian[:, touched] = over_noise(along, steps.experiment.n_normals, varying)
    return hessian
