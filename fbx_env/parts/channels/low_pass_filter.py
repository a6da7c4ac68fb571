"""The first-order low-pass filter."""

from __future__ import annotations

from typing import Any

from jaxtyping import PRNGKeyArray

from fbx_env import checks
from fbx_env.parts.channels.channel import Channel, Signal
from fbx_env.parts.clock import Clock
from fbx_env.parts.component import Scalar, number


class LowPassFilter(Channel):
    """A first-order filter, x' = x + dt (signal - x) / tau; x' is what comes out.

    Attributes:
        tau: time constant [s], greater than 0 and at least a time step.

    Raises:
        ValueError: by ``ReachParams``, if the time constant is less than a time step.
    """

    tau: Scalar = number(
        "time constant of the filter", default=0.05, unit="s", above=0, keyword="{role}_tau"
    )

    def __check_params__(self, params: Any) -> None:
        checks.ordered("dt", params.dt, "tau of LowPassFilter", self.tau)

    def init(self, signal: Signal) -> Signal:
        return signal

    def step(
        self, key: PRNGKeyArray, state: Signal, signal: Signal, clock: Clock
    ) -> tuple[Signal, Signal]:
        filtered = state + clock.dt / self.tau * (signal - state)
        return filtered, filtered
