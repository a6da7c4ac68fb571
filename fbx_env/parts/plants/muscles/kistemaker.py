"""The muscle of Kistemaker."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp

from fbx_env.parts.component import Scalar, number
from fbx_env.parts.plants.muscles.activation import ActivationDynamics, Muscles
from fbx_env.parts.plants.muscles.muscle import Muscle
from fbx_env.parts.plants.muscles.thelen_activation import ThelenActivation

WIDTH = 0.66
"""How far from the optimal length active force vanishes [optimal lengths]."""

STEEPNESS, SLOPE = 0.41, 5.2
"""Hill's a (as a fraction of the largest force) and b (in optimal lengths/s)."""

ASYMPTOTE = 0.001
"""Slope of force over velocity of a muscle that lengthens fast."""


class KistemakerMuscle(Muscle):
    """The Hill-type muscle of Kistemaker and others (2010), with a rigid tendon.

    Attributes:
        slack_length: beyond which fibres pull without activation too [optimal lengths].
        velocity_scale: velocity in the relation of force to velocity is in this unit
            [optimal lengths/s], greater than 0.
    """

    activation: ActivationDynamics = dataclasses.field(
        default_factory=lambda: ThelenActivation(min_activation=0.001)
    )
    slack_length: Scalar = number(
        "length beyond which a muscle pulls passively",
        default=1.4,
        unit="optimal lengths",
        above=0,
        at_most=1.6,
    )
    velocity_scale: Scalar = number(
        "unit of velocity in force over velocity", default=1.0, unit="optimal lengths/s", above=0
    )

    def tension(
        self, activation: Muscles, length: Muscles, velocity: Muscles, optimal_length: Muscles
    ) -> Muscles:
        relative = length / optimal_length
        stretch = jnp.where(relative > self.slack_length, relative - self.slack_length, 0.0)
        passive = (stretch / (1 + WIDTH - self.slack_length)) ** 2
        active = 1 - ((relative - 1) / WIDTH) ** 2
        active = jnp.where(active > 0.01, active, 0.01)
        steepness = STEEPNESS * jnp.where(relative > 1, active, 1.0)
        scaled = velocity / (self.velocity_scale * optimal_length)
        force = _active_force(activation, activation * active, activation * steepness, scaled)
        return jnp.where(force > 0, force, 0.0) + passive


def _active_force(
    activation: Muscles, isometric: Muscles, steepness: Muscles, velocity: Muscles
) -> Muscles:
    """Hill's hyperbola for shortening, and one for lengthening that begins where it ends."""
    slowness = jnp.where(activation < 0.3, 1 - 0.9 * (activation - 0.3) / (0.005 - 0.3), 1.0)
    slope = SLOPE * slowness**2
    rest = ASYMPTOTE - 2 * (isometric + steepness) / slope
    growth = ASYMPTOTE * rest * velocity + (1.5 * rest - 0.5 * ASYMPTOTE) * isometric
    shortens = velocity <= 0
    # One division of what is chosen: neither denominator is zero where it is.
    above = jnp.where(
        shortens,
        velocity * steepness + isometric * slope,
        velocity * growth - 0.5 * isometric**2,
    )
    return above / jnp.where(shortens, slope - velocity, velocity * rest - 0.5 * isometric)
