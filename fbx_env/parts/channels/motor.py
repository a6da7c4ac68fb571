"""The way from the agent to the plant."""

from __future__ import annotations

import jax
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


class MotorChannel(Channel):
    """The control that acts on the plant: the command some steps ago, plus Gaussian noise.

    The noise has a part of constant size and a part that grows with the command, the
    signal-dependent noise of Harris and Wolpert, Nature 394:780 (1998). The environment has limited
    the command before, so that what acts may be beyond the bounds.

    Attributes:
        delay: whole number of time steps, from 0 to ``MAX_DELAY``. What acts is zero until then.
        noise_std: standard deviation of the constant noise in each step, whatever its duration, in
            the units of the command, at least 0; one number, or one for each of the command's. The
            plain number 0 means that no random number is drawn; it is then kept as ``None``. Give
            ``jnp.array(0.0)`` to differentiate at 0.
        signal_noise: standard deviation of the signal-dependent noise, as a fraction of the
            command, likewise.

    Raises:
        TypeError, ValueError: for a number that is not allowed.
    """

    delay: int = whole(
        "time steps from a command to the plant",
        default=0,
        unit="steps",
        at_most=MAX_DELAY,
        keyword="{role}_delay",
    )
    noise_std: SignalScalar | None = number(
        "standard deviation of the constant noise on the command, in each step",
        default=None,
        unit="unit of the command",
        at_least=0,
        shape=None,
        keyword="{role}_noise",
        zero_is_none=True,
    )
    signal_noise: SignalScalar | None = number(
        "standard deviation of the noise that grows with the command, as a fraction of it",
        default=None,
        at_least=0,
        shape=None,
        keyword="signal_noise",
        zero_is_none=True,
    )

    def init(self, signal: Signal) -> Buffer:
        for name in ("noise_std", "signal_noise"):
            if getattr(self, name) is not None:
                check_size(self, name, signal)
        return filled(signal, self.delay)

    def step(
        self, key: PRNGKeyArray, state: Buffer, signal: Signal, clock: Clock
    ) -> tuple[Signal, Buffer]:
        key_constant, key_signal = jax.random.split(key)
        command, buffer = delayed(self, state, signal, self.delay)
        control = with_noise(key_constant, command, self.noise_std)
        if self.signal_noise is None:
            return control, buffer
        return with_noise(key_signal, control, self.signal_noise * command), buffer
