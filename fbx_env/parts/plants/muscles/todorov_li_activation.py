"""Activation dynamics after Li and Todorov."""

from __future__ import annotations

import jax.numpy as jnp

from fbx_env.parts.component import Scalar, number
from fbx_env.parts.plants.muscles.activation import ActivationDynamics, Muscles


class TodorovLiActivation(ActivationDynamics):
    """Activation that rises the faster, the higher the excitation is.

    After Li and Todorov (2004).
    """

    activation_time: Scalar = number(
        "time constant of activation at full excitation", default=0.050, unit="s", above=0
    )
    deactivation_time: Scalar = number(
        "time constant of deactivation", default=0.066, unit="s", above=0
    )

    def time_constant(self, excitation: Muscles, activation: Muscles) -> Muscles:
        rising = excitation * (self.activation_time - self.deactivation_time)
        return self.deactivation_time + jnp.where(excitation >= activation, rising, 0.0)
