"""The way from the plant to the agent."""

from __future__ import annotations

from jaxtyping import PRNGKeyArray

from fbx_env.parts.channels.channel import (
    MAX_DELAY,
    Buffer,
    Channel,
    Signal,
    check_size,
    delayed,
    filled,
    with_noise,
)
from fbx_env.parts.clock import Clock
from fbx_env.parts.component import SignalScalar, number, whole


class SensoryChannel(Channel):
    """The agent's senses: the plant's feedback some steps ago, plus Gaussian noise.

    Attributes:
        delay: whole number of time steps, from 0 to ``MAX_DELAY``. The initial feedback is sensed
            until then.
        noise_std: standard deviation of the noise in each step, whatever its duration, in the units
            of what is sensed, at least 0; one number, or one for each that is sensed, as
            ``(0.01, 0.01, 0.1, 0.1)`` for position and velocity. The plain number 0 means that no
            random number is drawn; it is then kept as ``None``. Give ``jnp.array(0.0)`` to
            differentiate at 0.

    Raises:
        TypeError, ValueError: for a number that is not allowed.
    """

    delay: int = whole(
        "time steps from the plant to what the agent senses",
        default=0,
        unit="steps",
        at_most=MAX_DELAY,
        keyword="{role}_delay",
    )
    noise_std: SignalScalar | None = number(
        "standard deviation of the noise on what is sensed, in each step",
        default=None,
        unit="units of what is sensed",
        at_least=0,
        shape=None,
        keyword="{role}_noise",
        zero_is_none=True,
    )

    def init(self, signal: Signal) -> Buffer:
        if self.noise_std is not None:
            check_size(self, "noise_std", signal)
        return filled(signal, self.delay)

    def step(
        self, key: PRNGKeyArray, state: Buffer, signal: Signal, clock: Clock
    ) -> tuple[Signal, Buffer]:
        sensed, buffer = delayed(self, state, signal, self.delay)
        return with_noise(key, sensed, self.noise_std), buffer
