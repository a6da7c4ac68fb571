"""The best loss that is known where the optimum is not: commands optimised trial by trial."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from agents.optimum.experiment import Experiment, enable_x64
from agents.optimum.losses import known_experiment
from agents.optimum.moves import searched
from agents.optimum.newton import AGREEMENT, call, losses_of, optimised, total_losses
from agents.optimum.refusals import NoOptimumError
from fbx_env import ReachParams, Trial, checks
from fbx_env.reach import check_trials

BEST_KNOWN = "best known"

MAX_STARTS = 1000

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
    zero, then from random smooth ones. Each leads to a local optimum. Where these differ, as with
    muscles, parts of the commands of each are then moved in time as long as that lowers its loss.

    Args:
        params: the experiment.
        trials: one trial, or several along a leading axis.
        n_starts: from how many commands to start, at least 1.
        drawn: the numbers drawn for these trials, as in a ``Trajectory``.

    Raises:
        NoOptimumError: if there is noise, or the loss is not finite.
        ValueError: if a trial is out of reach.
        TypeError: inside ``jax.jit``, ``jax.vmap`` and ``jax.grad``.

    Example:
        >>> params = ReachParams(max_steps_in_episode=20)
        >>> best = best_known_loss(params, params.task.validation_trials(), n_starts=2)
        >>> best.kind, best.n_agreed
        ('best known', 2)
    """
    n_starts = checks.whole("n_starts", n_starts, at_least=1, at_most=MAX_STARTS)
    experiment = known_experiment(params, trials, drawn)
    if experiment.n_normals or experiment.n_start_normals or experiment.draws_others:
        raise NoOptimumError("params must have no noise: the commands are found in advance")
    with enable_x64(True):
        check_trials(experiment.params, trials)
    shape = (experiment.n_trials, experiment.n_steps, experiment.n_controls)
    inside = INSIDE * (experiment.high - experiment.low)
    rest = np.clip(0.0, experiment.low + inside, experiment.high - inside)
    rest = np.broadcast_to(rest, shape)
    found = [optimised(experiment, rest)]
    size = SHARE * np.sqrt(np.square(found[0] - rest).mean(axis=(1, 2), keepdims=True))
    for seed in range(1, n_starts):
        found.append(optimised(experiment, rest + size * _smooth(seed, shape)))
    totals = _totals(experiment, found)
    differ = totals.max(axis=0) > (1 + AGREEMENT) * totals.min(axis=0)
    found = [searched(experiment, each, differ) for each in found]
    totals = _totals(experiment, found)
    n_agreed = (totals <= (1 + AGREEMENT) * totals.min(axis=0)).sum(axis=0)
    commands = np.stack(found)[totals.argmin(axis=0), np.arange(experiment.n_trials)]
    terms = call(losses_of, experiment, commands)[0].mean(axis=0)
    losses = dict(zip(experiment.terms, terms.tolist(), strict=True))
    return BestKnownLoss(
        losses=losses,
        total=sum(losses.values()),
        peak_command=float(np.abs(commands).max()),
        kind=BEST_KNOWN,
        n_starts=n_starts,
        n_agreed=int(n_agreed.min()),
        commands=commands,
    )


def _totals(
    experiment: Experiment, found: list[Float[np.ndarray, "trials steps controls"]]
) -> Float[np.ndarray, "starts trials"]:
    """The loss of each trial with the commands found from each start."""
    return np.stack([total_losses(experiment, commands) for commands in found])


def _smooth(seed: int, shape: tuple[int, int, int]) -> Float[np.ndarray, "trials steps controls"]:
    """Random time courses with a standard deviation of 1."""
    n_trials, n_steps, n_controls = shape
    random = np.random.default_rng(seed)
    phases = np.pi * np.arange(n_steps) / n_steps * np.arange(1, N_WAVES + 1)[:, None]
    waves = np.concatenate([np.sin(phases), np.cos(phases)])
    amplitudes = random.normal(size=(n_trials, n_controls, len(waves))) / np.sqrt(N_WAVES)
    return np.asarray((amplitudes @ waves).swapaxes(1, 2))
