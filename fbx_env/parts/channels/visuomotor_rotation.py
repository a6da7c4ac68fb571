"""The visuomotor rotation."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from fbx_env.parts.channels.channel import Channel, Signal, check_vision
from fbx_env.parts.clock import Clock
from fbx_env.parts.component import Scalar, number


class VisuomotorRotation(Channel):
    """Seen position and velocity, turned about the start of the trial.

    Attributes:
        angle: [rad], positive counter-clockwise.

    Raises:
        ValueError: in use, if the signal is not that of vision.
    """

    angle: Scalar = number(
        "angle by which seen position and velocity are turned, counter-clockwise",
        default=0.0,
        unit="rad",
        keyword="rotation",
    )

    def init(self, signal: Signal) -> Float[Array, "2"]:
        check_vision(self, signal)
        return signal[:2]

    def step(
        self, key: PRNGKeyArray, state: Float[Array, "2"], signal: Signal, clock: Clock
    ) -> tuple[Signal, Float[Array, "2"]]:
        cos, sin = jnp.cos(self.angle), jnp.sin(self.angle)
        turn = jnp.stack([jnp.stack([cos, -sin]), jnp.stack([sin, cos])])
        return jnp.concatenate([state + turn @ (signal[:2] - state), turn @ signal[2:]]), state
