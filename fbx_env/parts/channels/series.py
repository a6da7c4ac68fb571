"""Several channels one after the other."""

from __future__ import annotations

from typing import Any

import jax
from jaxtyping import PRNGKeyArray

from fbx_env import checks
from fbx_env.parts.channels.channel import Channel, Signal
from fbx_env.parts.clock import Clock


class Series(Channel):
    """Channels one after the other: what comes out of one goes into the next.

    Attributes:
        channels: in the order in which the signal passes them.

    Raises:
        TypeError: if something among them is not a channel.
        ValueError: if there are none.

    Example:
        >>> rotated = Series((VisuomotorRotation(0.5), SensoryChannel(delay=2)))
        >>> env, params = fbx_env.make(sensory=rotated)
    """

    channels: tuple[Channel, ...]

    def __check_init__(self) -> None:
        self._assign(channels=checks.items("channels", self.channels, Channel))
        if not self.channels:
            raise ValueError("channels must be one or more, got none")

    def init(self, signal: Signal) -> tuple[Any, ...]:
        return tuple(channel.init(signal) for channel in self.channels)

    def step(
        self, key: PRNGKeyArray, state: tuple[Any, ...], signal: Signal, clock: Clock
    ) -> tuple[Signal, tuple[Any, ...]]:
        after = []
        for index, (channel, before) in enumerate(zip(self.channels, state, strict=True)):
            own_key = jax.random.fold_in(key, index)
            signal, own_state = channel.step(own_key, before, signal, clock)
            after.append(own_state)
        return signal, tuple(after)
