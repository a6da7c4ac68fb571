"""A channel of a stranger: motor noise that drifts (an Ornstein-Uhlenbeck process)."""

import jax.numpy as jnp

from fbx_env import Channel, Scalar, number, standard_normal


class DriftingMotor(Channel):
    """Adds noise whose value decays with a time constant, and is kicked in every step."""

    tau: Scalar = number("time constant of the noise", default=0.3, unit="s", above=0)
    spread: Scalar = number("standard deviation of the noise", default=0.05, unit="N", at_least=0)

    def init(self, signal):
        return jnp.zeros_like(signal)

    def step(self, key, state, signal, clock):
        kept = jnp.exp(-clock.dt / self.tau)
        kick = self.spread * jnp.sqrt(1 - kept**2) * standard_normal(key, signal)
        drift = kept * state + kick
        return signal + drift, drift
