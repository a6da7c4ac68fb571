"""Channels between agent and plant: delay, limit and noise, on the way in and on the way out."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from fbx_env import checks
from fbx_env.component import Component, static
from fbx_env.plants import Scalar

Buffer = Float[Array, "delay size"]
"""The values under way in a channel, the oldest first."""

MAX_DELAY = 10**6
"""Steps; a batch of longer buffers would fill any memory."""


class SensoryChannel(Component):
    """What the agent senses: the plant's feedback some steps ago, plus Gaussian noise.

    Attributes:
        delay: whole number of time steps, from 0 to ``MAX_DELAY``. The initial feedback is sensed
            until then.
        noise_std: standard deviation of the noise [m and m/s], at least 0. The plain number 0 means
            that no random number is drawn; it is then kept as ``None``. Give ``jnp.array(0.0)`` to
            differentiate at 0.

    Raises:
        TypeError: if ``delay`` is not a whole number.
        ValueError: if either is negative, or ``delay`` is more than ``MAX_DELAY``.
    """

    delay: int = static(default=0)
    noise_std: Scalar | None = None

    def __post_init__(self) -> None:
        self._assign(
            delay=checks.whole("sensory delay", self.delay, at_least=0, at_most=MAX_DELAY),
            noise_std=_noise("sensory noise_std", self.noise_std),
        )

    def start(self, feedback: Float[Array, " size"]) -> Buffer:
        """The buffer at the start of a trial, full of the initial ``feedback``."""
        return jnp.tile(feedback, (self.delay, 1))

    def push(self, buffer: Buffer, feedback: Float[Array, " size"]) -> Buffer:
        """The buffer after one step, ``feedback`` being from before that step."""
        return _push(buffer, feedback)

    def sense(
        self, key: PRNGKeyArray, buffer: Buffer, feedback: Float[Array, " size"]
    ) -> Float[Array, " size"]:
        """What is sensed now, ``feedback`` being the present one.

        Raises:
            ValueError: if the buffer is of a channel with another delay.
        """
        _check_length("sensory", buffer, self.delay)
        return _add_noise(key, _oldest(buffer, feedback), self.noise_std)


class MotorChannel(Component):
    """How a command becomes a force: delayed, limited, then with noise added.

    The noise has a part of constant size and a part that grows with the force, the
    signal-dependent noise of Harris and Wolpert, Nature 394:780 (1998).

    Attributes:
        delay: whole number of time steps, from 0 to ``MAX_DELAY``. The force is zero until then.
        max_force: limit of the force along each axis, before noise [N], greater than 0.
        noise_std: standard deviation of the constant noise [N], at least 0.
        signal_noise: standard deviation of the signal-dependent noise, as a fraction of the force
            along the same axis, at least 0. For both, the plain number 0 means that no random
            number is drawn, as in ``SensoryChannel``.

    Raises:
        TypeError: if ``delay`` is not a whole number.
        ValueError: if a number is out of range.
    """

    delay: int = static(default=0)
    max_force: Scalar = 10.0
    noise_std: Scalar | None = None
    signal_noise: Scalar | None = None

    def __post_init__(self) -> None:
        self._assign(
            delay=checks.whole("motor delay", self.delay, at_least=0, at_most=MAX_DELAY),
            max_force=checks.real("max_force", self.max_force, above=0),
            noise_std=_noise("motor noise_std", self.noise_std),
            signal_noise=_noise("signal_noise", self.signal_noise),
        )

    def start(self, action_size: int) -> Buffer:
        """The buffer at the start of a trial: no command has been given yet."""
        return jnp.zeros((self.delay, action_size))

    def push(self, buffer: Buffer, command: Float[Array, " size"]) -> Buffer:
        """The buffer after one step in which ``command`` was given."""
        return _push(buffer, command)

    def force(
        self, key: PRNGKeyArray, buffer: Buffer, command: Float[Array, " size"]
    ) -> Float[Array, " size"]:
        """The force [N] that acts while ``command`` is given.

        Raises:
            ValueError: if the buffer is of a channel with another delay.
        """
        _check_length("motor", buffer, self.delay)
        key_constant, key_signal = jax.random.split(key)
        limited = jnp.clip(_oldest(buffer, command), -self.max_force, self.max_force)
        force = _add_noise(key_constant, limited, self.noise_std)
        if self.signal_noise is None:
            return force
        return _add_noise(key_signal, force, self.signal_noise * limited)


def _noise(name: str, std: Scalar | None) -> Float[Array, ""] | None:
    if std is None or (isinstance(std, int | float) and not isinstance(std, bool) and std == 0):
        return None
    return checks.real(name, std, at_least=0)


def _check_length(channel: str, buffer: Buffer, delay: int) -> None:
    if len(buffer) != delay:
        raise ValueError(
            f"{channel} delay is {delay}, but the state comes from a trial with a delay of "
            f"{len(buffer)}; reset with these params"
        )


def _oldest(buffer: Buffer, newest: Float[Array, " size"]) -> Float[Array, " size"]:
    return buffer[0] if buffer.shape[0] else newest


def _push(buffer: Buffer, newest: Float[Array, " size"]) -> Buffer:
    return jnp.concatenate([buffer[1:], newest[None]]) if buffer.shape[0] else buffer


def _add_noise(
    key: PRNGKeyArray,
    signal: Float[Array, " size"],
    std: Float[Array, " size"] | Scalar | None,
) -> Float[Array, " size"]:
    if std is None:
        return signal
    return signal + std * jax.random.normal(key, signal.shape, signal.dtype)
