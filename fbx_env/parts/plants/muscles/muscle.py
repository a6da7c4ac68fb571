"""The base of every muscle."""

from __future__ import annotations

import abc
import dataclasses

from fbx_env import checks
from fbx_env.parts.component import Component
from fbx_env.parts.plants.muscles.activation import ActivationDynamics, Muscles
from fbx_env.parts.plants.muscles.thelen_activation import ThelenActivation


class Muscle(Component, abc.ABC):
    """The laws that all muscles of a plant obey. A new kind of muscle is a new subclass.

    Attributes:
        activation: the dynamics of activation.

    Example:
        >>> class Spring(Muscle):
        ...     def tension(self, activation, length, velocity, optimal_length):
        ...         return activation * length / optimal_length
        >>> plant = MuscleArm(muscle=Spring())
    """

    activation: ActivationDynamics = dataclasses.field(default_factory=ThelenActivation)

    def __check_init__(self) -> None:
        checks.instance("activation", self.activation, ActivationDynamics)

    @abc.abstractmethod
    def tension(
        self, activation: Muscles, length: Muscles, velocity: Muscles, optimal_length: Muscles
    ) -> Muscles:
        """The force of each muscle, as a fraction of its largest.

        Args:
            activation: from 0 to 1.
            length: of the fibres [m].
            velocity: at which they lengthen [m/s].
            optimal_length: of the fibres [m].
        """
