"""A trial of several epochs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, Real

from fbx_env import checks
from fbx_env.parts.tasks.spread import spread
from fbx_env.parts.tasks.trial import Trial

if TYPE_CHECKING:
    Durations = Float[Array, "*trials durations"]
else:
    Durations = Real[Array | np.ndarray, "*trials durations"] | Sequence[Any]

ROUNDING = 1e-6
"""By what share a duration may fall short of whole steps and is still taken for them."""


class EpochTrial(Trial):
    """A trial that is divided into epochs, or a batch of such trials.

    Attributes:
        start, goal: see ``Trial``.
        epoch_durations: how long each epoch but the last lasts [s], at least 0, ``(epochs - 1,)``:
            as many whole steps as there are in it. The last one lasts until the end of the trial.

    Raises:
        TypeError, ValueError: for numbers that are not allowed; by ``reset_trial`` and ``rollout``,
            if the last epoch would begin after the end of the trial.

    Example:
        >>> EpochTrial(start=(0, 0), goal=(0.5, 0), epoch_durations=(0.4, 0.7)).epoch_durations
        Array([0.4, 0.7], dtype=float32)
    """

    epoch_durations: Durations

    def __check_init__(self) -> None:
        durations = checks.real("epoch_durations", self.epoch_durations, at_least=0, shape=None)
        if durations.shape[:-1] != jnp.shape(self.start)[:-1] or durations.ndim == 0:
            raise ValueError(
                "epoch_durations must have the leading axes of start and one more, of the epochs, "
                f"got {durations.shape} and start of shape {jnp.shape(self.start)}"
            )
        self._assign(epoch_durations=durations)

    def __check_params__(self, params: Any) -> None:
        end = jnp.max(jnp.sum(self.epoch_durations, axis=-1))
        checks.within_trial("the sum of epoch_durations", 0.0, end, params)


def first_steps(trial: Trial, dt: Float[Array, "*batch"], n_epochs: int) -> Int[Array, " epochs"]:
    """The first step of each epoch of a trial.

    Raises:
        TypeError: if the trial has no epochs.
        ValueError: if it has another number of them.
    """
    durations = checks.instance("trial", trial, EpochTrial).epoch_durations
    if durations.shape != (n_epochs - 1,):
        raise ValueError(
            f"epoch_durations must have shape {(n_epochs - 1,)}, got {durations.shape}"
        )
    n_steps = jnp.floor(durations / dt * (1 + ROUNDING)).astype(jnp.int32)
    return jnp.concatenate([jnp.zeros(1, jnp.int32), jnp.cumsum(n_steps, dtype=jnp.int32)])


def draw_durations(
    key: PRNGKeyArray, ranges: Float[Array, "durations 2"]
) -> Float[Array, " durations"]:
    """Draw durations [s], each uniform from its shortest to just below its longest.

    Where these are whole steps, the whole steps in what is drawn are uniform and fewer than those
    of the longest.
    """
    low, high = ranges.T
    drawn = jax.random.uniform(key, low.shape, low.dtype, minval=low, maxval=high)
    return _below(drawn, low, high)


def spread_durations(
    n_trials: int, ranges: Float[Array, "durations 2"]
) -> Float[Array, "trials durations"]:
    """Durations [s] that cover their ranges evenly."""
    low, high = ranges.T
    share = jnp.asarray(spread(n_trials, len(low)), low.dtype)
    return _below(low + share * (high - low), low, high)


def _below(
    durations: Float[Array, "*trials durations"],
    low: Float[Array, " durations"],
    high: Float[Array, " durations"],
) -> Float[Array, "*trials durations"]:
    """Durations that also after rounding have fewer whole steps than the longest."""
    return jnp.maximum(low, jnp.minimum(durations, high * (1 - 2 * ROUNDING)))
