"""The clock of a trial, which tasks, loads, channels and losses are given."""

from __future__ import annotations

from jaxtyping import Array, Bool, Float, Int

from fbx_env.parts.component import Component, Scalar, static


class Clock(Component):
    """Where in a trial a moment is; nothing else counts steps or time.

    Attributes:
        step: control steps since the start.
        dt: duration of a step [s].
        n_steps: control steps of the trial.
    """

    step: Int[Array, "*trials"]
    dt: Float[Array, "*batch"]
    n_steps: int = static()

    @property
    def time(self) -> Float[Array, ""]:
        """Time since the start [s]."""
        return self.step.astype(float) * self.dt

    @property
    def progress(self) -> Float[Array, ""]:
        """How much of the trial has passed, from 0 to 1."""
        return self.step.astype(float) / self.n_steps

    def has_reached(self, time: Scalar) -> Bool[Array, ""]:
        """Whether a time [s] has come, as exactly as whole steps can be told apart."""
        return self.step.astype(float) + 1e-3 >= time / self.dt

    @property
    def is_last(self) -> Bool[Array, ""]:
        """Whether the trial has had all its steps."""
        return self.step >= self.n_steps
