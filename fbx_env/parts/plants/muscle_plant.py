"""The base of plants that muscles move."""

from __future__ import annotations

import abc
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fbx_env import checks
from fbx_env.parts.component import SignalScalar
from fbx_env.parts.plants.geometry.geometry import MuscleGeometry
from fbx_env.parts.plants.integration import Integration
from fbx_env.parts.plants.muscles.activation import Muscles
from fbx_env.parts.plants.muscles.muscle import Muscle
from fbx_env.parts.plants.plant import Control, Feedback
from fbx_env.parts.plants.visible_plant import Signals, VisiblePlant


class MusclePlant(VisiblePlant, abc.ABC):
    """A body that muscles with rigid tendons pull.

    Attributes:
        geometry: the muscles, and their lengths by the body's coordinates.
        muscle: the laws that they obey.
        integration: of the plant's differential equation.
    """

    geometry: MuscleGeometry
    muscle: Muscle
    integration: Integration

    def __check_init__(self) -> None:
        checks.instance("geometry", self.geometry, MuscleGeometry)
        checks.instance("muscle", self.muscle, Muscle)
        checks.instance("integration", self.integration, Integration)

    @abc.abstractmethod
    def coordinates(self, state: Any) -> tuple[Float[Array, "2"], Float[Array, "2"]]:
        """Joint angles or position, and their rates of change."""

    @property
    def controls(self) -> tuple[Control, ...]:
        return tuple(Control(f"{name} excitation", "", 0.0, 1.0) for name in self.geometry.names)

    def feedback(self, state: Any) -> Feedback:
        hand = self.effector(state)
        length, velocity = self.fibres(state)
        optimal_length = self.geometry.optimal_length
        return {
            "vision": {"position": hand.pos, "velocity": hand.vel},
            "proprioception": {
                "length": length / optimal_length,
                "velocity": velocity / (10 * optimal_length),
            },
        }

    def fibres(self, state: Any) -> tuple[Muscles, Muscles]:
        """Length of each muscle's fibres [m], and the velocity at which they lengthen [m/s]."""
        coordinates, rates = self.coordinates(state)
        length, velocity = jax.jvp(self.geometry.length, (coordinates,), (rates,))
        fibre = length - self.geometry.tendon_length
        return jnp.where(fibre > 0, fibre, 0.0), velocity

    def tension(self, state: Any) -> Muscles:
        """The force with which each muscle pulls [N]."""
        length, velocity = self.fibres(state)
        optimal_length = jnp.broadcast_to(self.geometry.optimal_length, length.shape)
        fraction = self.muscle.tension(state.activation, length, velocity, optimal_length)
        return jnp.asarray(self.geometry.max_force) * fraction

    def pull(self, state: Any) -> Float[Array, "2"]:
        """The effect of the muscles on the body: torques [N m] of the joints, or a force [N]."""
        _, torque_of = jax.vjp(self.geometry.length, self.coordinates(state)[0])
        torques: Array = torque_of(self.tension(state))[0]
        return -torques

    def muscle_signals(self, state: Any) -> Signals:
        """Length, activation and force of each muscle."""
        length, _ = self.fibres(state)
        quantities = {
            "Muscle activation": state.activation,
            "Muscle force [N]": self.tension(state),
            "Muscle length [l_opt]": length / self.geometry.optimal_length,
        }
        return {
            name: dict(zip(self.geometry.names, values, strict=True))
            for name, values in quantities.items()
        }

    def activation_at(self, activation: SignalScalar | None) -> Float[Array, "*trials muscles"]:
        """Return given activations, one or one for each muscle, or the lowest; or raise."""
        dynamics, n_muscles = self.muscle.activation, len(self.geometry.names)
        if activation is None:
            activation = dynamics.min_activation
        activation = checks.real("activation", activation, at_least=0, at_most=1, shape=None)
        if jnp.shape(activation)[-1:] not in ((), (1,), (n_muscles,)):
            raise ValueError(
                f"activation must be one number or {n_muscles}, one for each muscle, got shape "
                f"{activation.shape}"
            )
        whole = jnp.broadcast_to(activation, (*activation.shape[:-1], n_muscles))
        return dynamics.bounded(whole)
