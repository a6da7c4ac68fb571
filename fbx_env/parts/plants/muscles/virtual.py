"""The virtual muscle of Li and Todorov."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, Float

from fbx_env.parts.component import number
from fbx_env.parts.plants.clip import clip
from fbx_env.parts.plants.muscles.activation import ActivationDynamics, Muscles
from fbx_env.parts.plants.muscles.muscle import Muscle
from fbx_env.parts.plants.muscles.todorov_li_activation import TodorovLiActivation

SHORTEST = 0.05
"""Fibres act as if they were at least this long [optimal lengths]."""


class VirtualMuscle(Muscle):
    """The muscle of Li and Todorov (2004), a simplified Virtual Muscle of Brown and Loeb.

    With length l [optimal lengths] and velocity v [optimal lengths/s] the force is

        recruitment (force_length(l) force_velocity(l, v) + compression(l))

    Attributes:
        force_length: beta, omega and rho of exp(-|(l^beta - 1) / omega|^rho).
        shortening: vmax, c0 and c1 of (vmax - v) / (vmax + (c0 + c1 l) v).
        lengthening: b, a0, a1 and a2 of (b - (a0 + a1 l + a2 l^2) v) / (b + v).
        compression: c, k and l of c exp(k (l - l2)), by which short fibres push.
        recruitment: f, n0 and n1 of 1 - exp(-(a / (f n))^n), n = n0 + n1 (1/l - 1).
    """

    activation: ActivationDynamics = dataclasses.field(default_factory=TodorovLiActivation)
    force_length: Float[Array, "*batch 3"] | tuple[float, ...] = number(
        "beta, omega and rho of force over length", default=(1.93, 1.03, 1.87), shape=(3,)
    )
    shortening: Float[Array, "*batch 3"] | tuple[float, ...] = number(
        "vmax, c0 and c1 of force over velocity, shortening",
        default=(-5.72, 1.38, 2.09),
        shape=(3,),
    )
    lengthening: Float[Array, "*batch 4"] | tuple[float, ...] = number(
        "b, a0, a1 and a2 of force over velocity, lengthening",
        default=(0.62, -3.12, 4.21, -2.67),
        shape=(4,),
    )
    compression: Float[Array, "*batch 3"] | tuple[float, ...] = number(
        "c2, k2 and l2 of the force of compression", default=(-0.02, -18.7, 0.79), shape=(3,)
    )
    recruitment: Float[Array, "*batch 3"] | tuple[float, ...] = number(
        "f, n0 and n1 of force over activation", default=(0.56, 2.11, 4.16), shape=(3,)
    )

    def tension(
        self, activation: Muscles, length: Muscles, velocity: Muscles, optimal_length: Muscles
    ) -> Muscles:
        _, n0, n1 = jnp.asarray(self.recruitment)
        length = clip(length / optimal_length, SHORTEST, 0.95 * n1 / (n1 - n0))
        velocity = velocity / optimal_length
        beta, omega, rho = jnp.asarray(self.force_length)
        c2, k2, l2 = jnp.asarray(self.compression)
        force_length = jnp.exp(-(jnp.abs((length**beta - 1) / omega) ** rho))
        force = force_length * self._force_at_velocity(length, velocity)
        tension: Array = force + c2 * jnp.exp(k2 * (length - l2))
        return self._recruited(activation, length) * tension

    def _force_at_velocity(self, length: Muscles, velocity: Muscles) -> Muscles:
        vmax, c0, c1 = jnp.asarray(self.shortening)
        b, a0, a1, a2 = jnp.asarray(self.lengthening)
        shortens = velocity <= 0
        # One division of what is chosen: neither denominator is zero where it is.
        above = jnp.where(
            shortens, vmax - velocity, b - (a0 + a1 * length + a2 * length**2) * velocity
        )
        return above / jnp.where(shortens, vmax + (c0 + c1 * length) * velocity, b + velocity)

    def _recruited(self, activation: Muscles, length: Muscles) -> Muscles:
        """The active fraction of a muscle, whose slope is infinite at 0 for long fibres."""
        fraction, n0, n1 = jnp.asarray(self.recruitment)
        power = n0 + n1 * (1 / length - 1)
        # The inner choice keeps the gradient finite at 0, where the outer one does not take it.
        active = activation > 0
        base = jnp.where(active, activation, 1.0) / (fraction * power)
        return jnp.where(active, 1 - jnp.exp(-(base**power)), 0.0)
