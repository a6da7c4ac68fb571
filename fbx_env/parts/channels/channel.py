"""The base of every channel, and the parts that the shipped ones share."""

from __future__ import annotations

import abc
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from fbx_env.parts.clock import Clock
from fbx_env.parts.component import Component, SignalScalar

Signal = Float[Array, " size"]
"""The numbers a channel carries: a command, or what a plant feeds back."""

Buffer = Float[Array, "delay size"] | None
"""The values under way in a channel, the oldest first; ``None`` where nothing is ever under way, as
checkpoints of other libraries hold no empty arrays."""

MAX_DELAY = 10**6
"""Steps; a batch of longer buffers would fill any memory."""


class Channel(Component, abc.ABC):
    """A way from one signal to another, with a state. A new channel is a new subclass.

    Example:
        >>> class Reversal(Channel):
        ...     def init(self, signal):
        ...         return ()
        ...     def step(self, key, state, signal, clock):
        ...         return -signal, state
        >>> env, params = fbx_env.make(motor=Reversal())
    """

    @abc.abstractmethod
    def init(self, signal: Signal) -> Any:
        """The state before the first step, ``signal`` having been there all along.

        For commands this is zero, for what is sensed the feedback at the start of the trial.
        """

    @abc.abstractmethod
    def step(
        self, key: PRNGKeyArray, state: Any, signal: Signal, clock: Clock
    ) -> tuple[Signal, Any]:
        """The signal that comes out when ``signal`` goes in, and the state after that.

        A sensory channel is asked once for the start of a trial and once after each step; the motor
        channel once for each step.

        Args:
            key: for noise, drawn by ``standard_normal``.
            state: before.
            signal: what goes in.
            clock: now.
        """


def check_vision(channel: Channel, signal: Signal) -> None:
    """Raise ``ValueError`` if a signal is not a seen position and velocity on the plane."""
    if signal.shape != (4,):
        raise ValueError(
            f"{type(channel).__name__} must be a channel of vision, of position and velocity on "
            f"the plane, got a signal of shape {signal.shape}"
        )


def standard_normal(key: PRNGKeyArray, like: Signal) -> Signal:
    """Independent Gaussian noise of mean 0 and standard deviation 1, one number for each entry.

    Channels draw their noise by this function, so that ``agents.optimal_loss`` can follow it.
    """
    return jax.random.normal(key, like.shape, like.dtype)


def check_size(channel: Component, name: str, signal: Signal) -> None:
    """Raise ``ValueError`` if a field is not one number, or one for each entry of a signal."""
    size = jnp.shape(getattr(channel, name))[-1:]
    if size not in ((), (1,), signal.shape):
        raise ValueError(
            f"{name} of {type(channel).__name__} must be one number or {signal.size}, got {size[0]}"
        )


def filled(signal: Signal, delay: int) -> Buffer:
    """The buffer of a signal that has been there all along."""
    return jnp.tile(signal, (delay, 1)) if delay else None


def delayed(
    channel: Component, buffer: Buffer, newest: Signal, delay: int
) -> tuple[Signal, Buffer]:
    """The signal ``delay`` steps ago, and the buffer that then holds ``newest``.

    Raises:
        ValueError: if the buffer is of a channel with another delay.
    """
    n_values = 0 if buffer is None else len(buffer)
    if n_values != delay:
        raise ValueError(
            f"delay of {type(channel).__name__} is {delay}, but the state comes from a trial with "
            f"a delay of {n_values}; reset with these params"
        )
    if buffer is None:
        return newest, buffer
    return buffer[0], jnp.concatenate([buffer[1:], newest[None]])


def with_noise(key: PRNGKeyArray, signal: Signal, std: SignalScalar | None) -> Signal:
    """The signal with Gaussian noise of this standard deviation; ``None`` draws nothing."""
    return signal if std is None else signal + std * standard_normal(key, signal)
