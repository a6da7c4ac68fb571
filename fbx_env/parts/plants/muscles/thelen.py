"""The muscle of Thelen."""

from __future__ import annotations

import dataclasses
import math

import jax.numpy as jnp

from fbx_env.parts.component import Scalar, number
from fbx_env.parts.plants.muscles.activation import ActivationDynamics, Muscles
from fbx_env.parts.plants.muscles.muscle import Muscle
from fbx_env.parts.plants.muscles.thelen_activation import ThelenActivation


class ThelenMuscle(Muscle):
    """The muscle of Thelen, J. Biomech. Eng. 125:70 (2003), with a rigid tendon.

    Attributes:
        max_velocity: of shortening, at full activation [optimal lengths/s], greater than 0.
        curvature: of the relation of force to velocity, greater than 0.
        lengthening_force: the largest force of a muscle that lengthens, greater than 1.
    """

    activation: ActivationDynamics = dataclasses.field(
        default_factory=lambda: ThelenActivation(min_activation=0.001)
    )
    max_velocity: Scalar = number(
        "largest velocity of shortening", default=10.0, unit="optimal lengths/s", above=0
    )
    curvature: Scalar = number("curvature of force over velocity", default=0.25, above=0)
    lengthening_force: Scalar = number(
        "largest force of a lengthening muscle, by that at rest", default=1.4, above=1
    )

    def tension(
        self, activation: Muscles, length: Muscles, velocity: Muscles, optimal_length: Muscles
    ) -> Muscles:
        relative = length / optimal_length
        active = jnp.exp(-((relative - 1) ** 2) / 0.45)
        passive = (jnp.exp(5 / 0.6 * (relative - 1)) - 1) / (math.exp(5.0) - 1)
        force_at_velocity = self._force_at_velocity(activation, velocity / optimal_length)
        return activation * active * force_at_velocity + jnp.where(passive > 0, passive, 0.0)

    def _force_at_velocity(self, activation: Muscles, velocity: Muscles) -> Muscles:
        """The factor by which velocity [optimal lengths/s] changes the force."""
        level = self.curvature * self.max_velocity * (3 * activation + 1)
        excess, gain = level * (self.lengthening_force - 1), 8 * (1 + self.curvature) * velocity
        shortens = velocity <= 0
        # One division of what is chosen: each denominator is positive where it is.
        above = jnp.where(
            shortens,
            level + 4 * self.curvature * velocity,
            excess + self.lengthening_force * gain,
        )
        factor = above / jnp.where(shortens, level - 4 * velocity, excess + gain)
        return jnp.where(factor > 0, factor, 0.0)
