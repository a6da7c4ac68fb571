"""The clock of a trial, which tasks, loads, channels and losses are given."""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from fbx_env import checks
from fbx_env.parts.component import Component, Scalar, static


class Clock(Component):
    """Where in a trial a moment is; nothing else counts steps or time.

    Attributes:
        step: control steps since the start.
        dt: duration of a step [s].
        n_steps: control steps of the trial.
        epoch_start: the first step of each epoch of the trial; ``None`` for a trial of one epoch.
        epoch_names: of the epochs, in order.
    """

    step: Int[Array, "*trials"]
    dt: Float[Array, "*batch"]
    n_steps: int = static()
    epoch_start: Int[Array, "*trials epochs"] | None = None
    epoch_names: tuple[str, ...] = static(default=("movement",))

    @property
    def time(self) -> Float[Array, ""]:
        """Time since the start [s]."""
        return self.step.astype(float) * self.dt

    @property
    def progress(self) -> Float[Array, ""]:
        """The fraction of the trial that has passed, from 0 to 1."""
        return self.step.astype(float) / self.n_steps

    def has_reached(self, time: Scalar, *, epoch: str = "") -> Bool[Array, ""]:
        """Whether a time [s] has been reached, within a thousandth of a step.

        Args:
            time: since the start of the trial, or of the epoch.
            epoch: from whose start time counts.
        """
        begin = self._start_of(epoch) if epoch else 0
        return (self.step - begin).astype(float) + 1e-3 >= time / self.dt

    @property
    def is_last(self) -> Bool[Array, ""]:
        """Whether the trial has had all its steps."""
        return self.step >= self.n_steps

    @property
    def epoch(self) -> Int[Array, ""]:
        """The index of the epoch."""
        if self.epoch_start is None:
            return jnp.zeros((), jnp.int32)
        return jnp.sum(self.step >= self.epoch_start, dtype=jnp.int32) - 1

    def is_in(self, epochs: Sequence[str]) -> Bool[Array, ""]:
        """Whether this is in one of the named epochs.

        Raises:
            ValueError: for a name that none has.
        """
        indices = jnp.asarray([self._index(name) for name in epochs], jnp.int32)
        return jnp.any(self.epoch == indices)

    def progress_in(self, epochs: Sequence[str]) -> Float[Array, ""]:
        """The fraction that has passed of the time from the first to the last of some epochs.

        Args:
            epochs: their names; none for the whole trial.

        Raises:
            ValueError: for a name that none has.
        """
        if not epochs:
            return self.progress
        indices = [self._index(name) for name in epochs]
        begin, last = self._start_of(self.epoch_names[min(indices)]), max(indices) + 1
        is_inner = last < len(self.epoch_names)
        end = self._start_of(self.epoch_names[last]) if is_inner else self.n_steps
        # An epoch that has no steps has not begun.
        n_steps = jnp.maximum(jnp.asarray(end) - begin, 1)
        passed = jnp.clip(self.step - begin, 0, n_steps)
        return passed.astype(float) / n_steps.astype(float)

    def _index(self, epoch: str) -> int:
        return self.epoch_names.index(checks.known("epoch", epoch, self.epoch_names))

    def _start_of(self, epoch: str) -> Int[Array, ""]:
        index = self._index(epoch)
        return jnp.zeros((), jnp.int32) if self.epoch_start is None else self.epoch_start[index]
