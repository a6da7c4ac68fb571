"""The muscle of MuJoCo."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp

from fbx_env.parts.component import Scalar, SignalScalar, number
from fbx_env.parts.plants.clip import clip
from fbx_env.parts.plants.muscles.activation import ActivationDynamics, Muscles
from fbx_env.parts.plants.muscles.muscle import Muscle
from fbx_env.parts.plants.muscles.thelen_activation import ThelenActivation


class MujocoMuscle(Muscle):
    """The muscle of the simulator MuJoCo.

    Attributes:
        min_length, max_length: beyond which there is no active force [optimal lengths].
        max_velocity: of shortening [m/s], greater than 0; one number, or one for each muscle.
            MuJoCo's documentation gives it in optimal lengths/s.
        lengthening_force: the largest force of a muscle that lengthens, greater than 1.
        passive_force: of a muscle midway from its optimal to its largest length.
    """

    activation: ActivationDynamics = dataclasses.field(
        default_factory=lambda: ThelenActivation(activation_time=0.01, deactivation_time=0.04)
    )
    min_length: Scalar = number(
        "length below which there is no active force",
        default=0.5,
        unit="optimal lengths",
        at_least=0,
        at_most=0.94,
    )
    max_length: Scalar = number(
        "length above which there is no active force",
        default=1.6,
        unit="optimal lengths",
        above=1,
    )
    max_velocity: SignalScalar = number(
        "largest velocity of shortening", default=1.5, unit="m/s", above=0, shape=None
    )
    lengthening_force: Scalar = number(
        "largest force of a lengthening muscle, by that at rest", default=1.2, above=1
    )
    passive_force: Scalar = number(
        "passive force midway to the largest length", default=1.3, at_least=0
    )

    def tension(
        self, activation: Muscles, length: Muscles, velocity: Muscles, optimal_length: Muscles
    ) -> Muscles:
        relative = length / optimal_length
        active = _bump(relative, self.min_length, 1.0, self.max_length)
        middle = (self.min_length + 0.95) / 2
        active = active + 0.15 * _bump(relative, self.min_length, middle, 0.95)
        stretch = (relative - 1) / ((1 + self.max_length) / 2 - 1)
        passive = 0.25 * jnp.where(stretch > 1, 3 * stretch - 2, clip(stretch, 0.0, 1.0) ** 3)
        excess = self.lengthening_force - 1
        speed = clip(velocity / self.max_velocity, -1.0, excess)
        lengthening = self.lengthening_force - (excess - speed) ** 2 / excess
        force_at_velocity = jnp.where(speed <= 0, (speed + 1) ** 2, lengthening)
        return activation * active * force_at_velocity + self.passive_force * passive


def _bump(length: Muscles, low: Scalar, peak: Scalar, high: Scalar) -> Muscles:
    """A smooth rise from 0 at ``low`` to 1 at ``peak``, and a fall to 0 at ``high``."""
    way = jnp.where(length < peak, (length - low) / (peak - low), (high - length) / (high - peak))
    way = clip(way, 0.0, 1.0)
    return jnp.where(way < 0.5, 2 * way**2, 1 - 2 * (1 - way) ** 2)
