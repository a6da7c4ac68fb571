"""The linear-quadratic problem of one trial, in the matrices of textbooks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from agents.optimum.experiment import Experiment, variable
from agents.optimum.linear_quadratic import all_steps, linear_quadratic, over_noise
from agents.optimum.losses import known_experiment, start_noise
from agents.optimum.refusals import check_finite
from fbx_env import ReachParams, Trial, checks


class LinearQuadraticMatrices(NamedTuple):
    """A trial as a linear-quadratic problem, with matrices for each step.

    With x the state, u the command, and n independent standard normal numbers, step t is

        x_next = A x + B u + drift + noise n + sum over i of n_i scaled_noise[i] (x, u)
        y = C x + observed_at_zero
        loss = x'Q x + u'R u + 2 x'N u + q'x + r'u + constant

    where x'Q x is a product with x transposed, and y is observed before the step. Most terms of the
    loss are of x_next, so it is given in expectation over the noise of the step; ``constant`` is
    the loss at x = u = 0. The first state is ``initial_state`` plus ``initial_noise`` times further
    normal numbers. The covariance of noise is ``noise`` times its transpose; that of the senses is
    in what is sensed, which is a part of x. All is in float64 and in the units of the environment.

    Attributes:
        states: the names of the numbers of x: the state of the plant, as ``"plant.pos[0]"``, what
            channels remember, as ``"motor[0, 1]"``, and what is sensed.
        n_regulated: how many of them, from the first on, matter to the loss; the others matter only
            to what is observed.
        A, B, drift: of the step.
        C, observed_at_zero: of the observation.
        Q, R, N, q, r, constant: of the loss.
        noise: the response of x_next to each normal number; without noise there are none.
        scaled_noise: for the first of these numbers, the matrix by which x and u determine the
            response, as with signal-dependent noise.
        initial_state, initial_noise: of the trial.
    """

    states: tuple[str, ...]
    n_regulated: int
    A: Float[np.ndarray, "steps states states"]
    B: Float[np.ndarray, "steps states controls"]
    drift: Float[np.ndarray, "steps states"]
    C: Float[np.ndarray, "steps observation states"]
    observed_at_zero: Float[np.ndarray, "steps observation"]
    Q: Float[np.ndarray, "steps states states"]
    R: Float[np.ndarray, "steps controls controls"]
    N: Float[np.ndarray, "steps states controls"]
    q: Float[np.ndarray, "steps states"]
    r: Float[np.ndarray, "steps controls"]
    constant: Float[np.ndarray, " steps"]
    noise: Float[np.ndarray, "steps states normals"]
    scaled_noise: Float[np.ndarray, "steps scaled states point"]
    initial_state: Float[np.ndarray, " states"]
    initial_noise: Float[np.ndarray, "states initial_normals"]


@np.errstate(over="ignore", invalid="ignore")
def linear_quadratic_matrices(
    params: ReachParams, trial: Trial, *, drawn: Mapping[str, Any] | None = None
) -> LinearQuadraticMatrices:
    """The matrices of an experiment whose steps are affine and whose loss is quadratic.

    They are those by which ``optimal_loss`` and ``OptimalPolicy(params, trial=trial)`` are
    computed: the gains of that policy act on these states, in this order. They come from
    linearising the environment's own step, whoever wrote its parts; that it is affine is checked.

    Args:
        params: the experiment.
        trial: one trial.
        drawn: the numbers drawn for it, as in a ``Trajectory``.

    Raises:
        NoOptimumError: if a part is not affine or a term of the loss not quadratic, which it names.
        ValueError: if there are several trials.
        TypeError: inside ``jax.jit``, ``jax.vmap`` and ``jax.grad``.

    Example:
        >>> params = ReachParams()
        >>> trial = tree_take(params.task.validation_trials(), 0)
        >>> matrices = linear_quadratic_matrices(params, trial)
        >>> matrices.states[: matrices.n_regulated]
        ('plant.pos[0]', 'plant.pos[1]', 'plant.vel[0]', 'plant.vel[1]')
        >>> print(matrices.A[0, 0, 2], matrices.B[0, 2, 0], matrices.R[0, 0, 0])
        0.05 0.05 1e-05
    """
    if np.ndim(checks.instance("trial", trial, Trial).start) > 1:
        raise ValueError(
            "trial must be one trial, as fbx_env.tree_take(trials, 0); got start of shape "
            f"{np.shape(trial.start)}"
        )
    experiment = known_experiment(params, trial, drawn)
    problem = linear_quadratic(experiment, sensing=True)
    n_states, kinds = problem.n_states, problem.dynamics[0]
    base = problem.base[0, problem.point]
    transition, scaled = problem.transition[kinds], problem.multiplicative[kinds]
    noise = problem.noise[kinds].swapaxes(1, 2)
    noise[..., : scaled.shape[1]] -= (scaled @ base).swapaxes(1, 2)

    steps = all_steps(experiment)
    loss_at_base = over_noise(
        lambda normals: steps.move(normals=normals).losses.sum(axis=1),
        experiment.n_normals,
        problem.noisy,
    )
    regulated = problem.regulated
    curvature = np.zeros((len(kinds), len(base), len(base)))
    curvature[:, regulated[:, None], regulated] = problem.curvature[problem.costs[0]]
    gradient_at_base = np.zeros((len(kinds), len(base)))
    gradient_at_base[:, regulated] = problem.gradient[0]
    # From deviations to the numbers themselves.
    gradient = gradient_at_base - curvature @ base
    constant = loss_at_base - gradient_at_base @ base + base @ curvature @ base / 2
    check_finite(gradient, constant)
    return LinearQuadraticMatrices(
        states=_names(experiment, problem.point[:n_states]),
        n_regulated=problem.n_regulated,
        A=transition[..., :n_states],
        B=transition[..., n_states:],
        drift=problem.drift[0] + base[:n_states] - transition @ base,
        C=problem.observing[kinds],
        observed_at_zero=steps.move().observation - problem.observing[kinds] @ base[:n_states],
        Q=curvature[:, :n_states, :n_states] / 2,
        R=curvature[:, n_states:, n_states:] / 2,
        N=curvature[:, :n_states, n_states:] / 2,
        q=gradient[:, :n_states],
        r=gradient[:, n_states:],
        constant=constant,
        noise=noise,
        scaled_noise=scaled,
        initial_state=base[:n_states],
        initial_noise=start_noise(problem)[0],
    )


def _names(experiment: Experiment, chosen: Any) -> tuple[str, ...]:
    """The names of some of an experiment's states."""
    leaves = jax.tree_util.tree_leaves_with_path(experiment.like)
    names = []
    for index in variable(experiment.trial_in_state, experiment.like):
        path, leaf = leaves[index]
        name = jax.tree_util.keystr(path, simple=True, separator=".")
        names += [name + str(list(place)) * bool(place) for place in np.ndindex(leaf.shape)]
    return tuple(names[index] for index in chosen)
