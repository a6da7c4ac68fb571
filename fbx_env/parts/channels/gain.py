"""The gain."""

from __future__ import annotations

from jaxtyping import PRNGKeyArray

from fbx_env.parts.channels.channel import Channel, Signal
from fbx_env.parts.clock import Clock
from fbx_env.parts.component import SignalScalar, number


class Gain(Channel):
    """The signal's difference to what it was at the start, multiplied.

    So a command is multiplied, and a seen movement is scaled about the start of the trial.

    Attributes:
        gain: one number, or one for each entry of the signal.
    """

    gain: SignalScalar = number(
        "what the signal's change is multiplied with",
        default=1.0,
        shape=None,
        keyword="{role}_gain",
    )

    def init(self, signal: Signal) -> Signal:
        return signal

    def step(
        self, key: PRNGKeyArray, state: Signal, signal: Signal, clock: Clock
    ) -> tuple[Signal, Signal]:
        return state + self.gain * (signal - state), state
