"""Plants: the bodies that forces move."""

from __future__ import annotations

import abc
from typing import Any

import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float

from fbx_env import checks
from fbx_env.component import Component

Scalar = Float[Array, ""] | float
"""A number in a component: given as a float or an array, kept as an array."""


@struct.dataclass
class Effector:
    """Where the part of the plant that has to reach the goal is, and how fast it moves.

    Attributes:
        pos: position [m], shape ``(2,)``.
        vel: velocity [m/s], shape ``(2,)``.
    """

    pos: Float[Array, "2"]
    vel: Float[Array, "2"]


class Plant(Component, abc.ABC):
    """A body with a state that a force changes. A new body is a new subclass.

    A plant's state is any pytree; its methods act on one state, without a batch axis.
    """

    @property
    @abc.abstractmethod
    def action_size(self) -> int:
        """How many numbers command the plant."""

    @abc.abstractmethod
    def at_rest(self, position: Float[Array, "2"]) -> Any:
        """The state with the effector at ``position`` [m], not moving."""

    @abc.abstractmethod
    def step(self, state: Any, force: Float[Array, " action"], dt: Scalar) -> Any:
        """The state one time step of ``dt`` [s] later, under a constant ``force`` [N]."""

    @abc.abstractmethod
    def effector(self, state: Any) -> Effector:
        """Position and velocity of the effector."""

    @abc.abstractmethod
    def feedback(self, state: Any) -> Float[Array, " feedback"]:
        """What the senses tell of the state, before delay and noise."""


class PointMass(Plant):
    """A mass without size that obeys Newton's second law, with viscous damping.

    The state is an ``Effector``. One step is explicit Euler, as in the original task: the position
    moves with the velocity from before the step.

        pos' = pos + dt vel
        vel' = vel + dt (force - damping vel) / mass

    Attributes:
        mass: [kg], greater than 0.
        damping: [N s/m], at least 0.

    Raises:
        ValueError: for a mass that is not positive or a damping that is negative.

    Example:
        >>> plant = PointMass(mass=2.0)
        >>> state = plant.at_rest(jnp.zeros(2))
        >>> plant.step(state, jnp.array([1.0, 0.0]), dt=0.1).vel
        Array([0.05, 0.  ], dtype=float32)
    """

    mass: Scalar = 1.0
    damping: Scalar = 0.0

    def __post_init__(self) -> None:
        self._assign(
            mass=checks.real("mass", self.mass, above=0),
            damping=checks.real("damping", self.damping, at_least=0),
        )

    @property
    def action_size(self) -> int:
        return 2

    def at_rest(self, position: Float[Array, "2"]) -> Effector:
        return Effector(pos=position, vel=jnp.zeros_like(position))

    def step(self, state: Effector, force: Float[Array, "2"], dt: Scalar) -> Effector:
        acceleration = (force - self.damping * state.vel) / self.mass
        return Effector(pos=state.pos + dt * state.vel, vel=state.vel + dt * acceleration)

    def effector(self, state: Effector) -> Effector:
        return state

    def feedback(self, state: Effector) -> Float[Array, "4"]:
        return jnp.concatenate([state.pos, state.vel])
