"""The best loss that is known where the optimum is not: commands optimised trial by trial."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from agents.optimum.experiment import Experiment, enable_x64, known_key, start_of_trial
from agents.optimum.losses import known_experiment
from agents.optimum.refusals import check_finite
from fbx_env import ReachEnv, ReachParams, Trial, checks
from fbx_env.parts.draws.drawing import with_drawn

BEST_KNOWN = "best known"

AGREEMENT = 1e-5
"""Two starts lead to the same optimum if their losses differ by less than this share."""

MAX_ITERATIONS = 500
"""Newton steps from one start, those that are taken back included."""

PRECISION = 1e-11
"""Trials are done when their loss should fall by less than this share."""

FIRST_DAMPING = 1e-3
"""Of the first step, as a share of the largest curvature."""

SHARE = 0.3
"""Standard deviation of random commands to start from, as a share of the first that were found."""

N_WAVES = 5
"""Half waves in the time course of a random start."""

Commands = Float[np.ndarray, "trials variables"]


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
        ValueError: if there is noise, or the loss is not finite.
        TypeError: inside ``jax.jit``, ``jax.vmap`` and ``jax.grad``.

    Example:
        >>> params = ReachParams(max_steps_in_episode=20)
        >>> best = best_known_loss(params, params.task.validation_trials(), n_starts=2)
        >>> best.kind, best.n_agreed
        ('best known', 2)
    """
    n_starts = checks.whole("n_starts", n_starts, at_least=1)
    experiment = known_experiment(params, trials, drawn)
    if experiment.n_normals or experiment.n_start_normals:
        raise ValueError("params must have no noise: it tells no commands in advance")
    shape = (experiment.n_trials, experiment.n_steps, experiment.n_controls)
    rest = np.broadcast_to(experiment.resting_command, shape)
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

    Newton steps with the curvature made positive, damped more while the loss does not fall, in
    those commands that are not held at a bound (Bertsekas, SIAM Journal on Control 20:221, 1982).
    """
    low, high = (np.tile(each, experiment.n_steps) for each in (experiment.low, experiment.high))
    commands = np.clip(start.reshape(len(start), -1), low, high)
    damping = np.full((len(start), 1), FIRST_DAMPING)
    loss, gradient, curvature = _call(_derivatives, experiment, commands)
    for _ in range(MAX_ITERATIONS):
        check_finite(loss, gradient, curvature)
        held = ((commands <= low) & (gradient > 0)) | ((commands >= high) & (gradient < 0))
        step, gain = _newton_step(gradient, curvature, held, damping)
        if np.all(gain <= PRECISION * loss):
            break
        tried = np.clip(commands + step, low, high)
        values = _call(_derivatives, experiment, tried)
        falls = values[0] < loss
        damping = np.where(falls[:, None], damping / 8, damping * 8)
        commands[falls] = tried[falls]
        for old, new in zip((loss, gradient, curvature), values, strict=True):
            old[falls] = new[falls]
    return np.asarray(commands.reshape(start.shape))


def _newton_step(
    gradient: Commands,
    curvature: Float[np.ndarray, "trials variables variables"],
    held: Bool[np.ndarray, "trials variables"],
    damping: Float[np.ndarray, "trials 1"],
) -> tuple[Commands, Float[np.ndarray, " trials"]]:
    """A damped step in what is not held, and how much the loss should fall by it."""
    slope = np.where(held, 0.0, gradient)
    bent = np.where(held[:, :, None] | held[:, None], 0.0, curvature)
    sizes, axes = np.linalg.eigh(bent)
    largest = np.abs(sizes).max(axis=1, keepdims=True)
    along = (slope[:, None] @ axes)[:, 0]
    positive = np.abs(sizes) + damping * largest + np.finfo(float).tiny
    step = -(axes @ (along / positive)[..., None])[..., 0]
    return np.where(held, 0.0, step), (np.square(along) / positive).sum(axis=1) / 2


def _call(function: Callable[..., Any], experiment: Experiment, commands: Any) -> list[Any]:
    with enable_x64(True):
        shaped = commands.reshape(len(commands), experiment.n_steps, experiment.n_controls)
        return [np.array(each) for each in function(experiment.params, *experiment.context, shaped)]


@jax.jit
def _losses(params: ReachParams, trials: Trial, drawn: Any, commands: Any) -> tuple[Any]:
    return (jax.vmap(partial(_open_loop, params))(trials, drawn, commands),)


@jax.jit
def _derivatives(params: ReachParams, trials: Trial, drawn: Any, commands: Any) -> Any:
    """Loss, gradient and curvature in all commands of each trial."""

    def one(arguments: Any) -> tuple[Array, Array, Array]:
        trial, drawn, commands = arguments

        def loss(vector: Float[Array, " variables"]) -> Float[Array, ""]:
            return _open_loop(params, trial, drawn, vector.reshape(commands.shape)).sum()

        vector = commands.ravel()
        value, gradient = jax.value_and_grad(loss)(vector)
        return value, gradient, jax.hessian(loss)(vector)

    return jax.lax.map(one, (trials, drawn, commands))


def _open_loop(
    params: ReachParams, trial: Trial, drawn: Any, commands: Float[Array, "steps controls"]
) -> Float[Array, " terms"]:
    """The losses of a trial with given commands, by term."""
    env, key, own = ReachEnv(), known_key(), with_drawn(params, drawn)

    def step(state: Any, command: Float[Array, " controls"]) -> tuple[Any, Float[Array, " terms"]]:
        state, transition = env.transition(key, state, command, params)
        return state, jnp.stack(list(own.loss(transition).values()))

    _, losses = jax.lax.scan(step, start_of_trial(params, trial, drawn), commands)
    return losses.sum(axis=0)
