"""Activation dynamics after Thelen."""

from __future__ import annotations

import jax.numpy as jnp

from fbx_env.parts.plants.muscles.activation import ActivationDynamics, Muscles


class ThelenActivation(ActivationDynamics):
    """Activation that rises the slower, and falls the faster, the higher it is.

    After Thelen, J. Biomech. Eng. 125:70 (2003).
    """

    def time_constant(self, excitation: Muscles, activation: Muscles) -> Muscles:
        slowness = 0.5 + 1.5 * activation
        # A trial starts where excitation and activation are the same, and can only rise.
        return jnp.where(
            excitation >= activation,
            self.activation_time * slowness,
            self.deactivation_time / slowness,
        )
