"""The base of the dynamics of every activation."""

from __future__ import annotations

import abc

from jaxtyping import Array, Float

from fbx_env.parts.component import Component, Scalar, number
from fbx_env.parts.plants.clip import clip

Muscles = Float[Array, " muscles"]
"""A number for each muscle."""


class ActivationDynamics(Component, abc.ABC):
    """How activation follows excitation: da/dt = (u - a) / time constant.

    Attributes:
        activation_time, deactivation_time: [s], greater than 0.
        min_activation: from 0 to 1; excitation and activation are at least this.
    """

    activation_time: Scalar = number(
        "time constant of activation", default=0.015, unit="s", above=0
    )
    deactivation_time: Scalar = number(
        "time constant of deactivation", default=0.05, unit="s", above=0
    )
    min_activation: Scalar = number(
        "lowest activation of a muscle", default=0.0, at_least=0, at_most=1
    )

    @abc.abstractmethod
    def time_constant(self, excitation: Muscles, activation: Muscles) -> Muscles:
        """With which activation follows excitation now [s]."""

    def rate(self, excitation: Muscles, activation: Muscles) -> Muscles:
        """The rate of change of activation [1/s]."""
        return (excitation - activation) / self.time_constant(excitation, activation)

    def bounded(self, value: Muscles) -> Muscles:
        """An excitation or activation as far as it is allowed."""
        return clip(value, self.min_activation, 1.0)
