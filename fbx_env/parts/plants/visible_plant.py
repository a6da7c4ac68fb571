"""Plants that can be drawn, and of which more can be shown than the effector."""

from __future__ import annotations

import abc
from typing import Any, NamedTuple

from jaxtyping import Array, Float

from fbx_env.parts.plants.plant import Plant


class Outline(NamedTuple):
    """How a plant looks in the plane; what it has not is empty.

    Attributes:
        links: the joints from the base to the effector, with lines between them [m].
        muscles: the course of each muscle [m].
        activation: of each muscle, from 0 to 1.
        region: the border of where the effector can be [m].
    """

    links: Float[Array, "*trials joints 2"]
    muscles: Float[Array, "*trials muscles points 2"]
    activation: Float[Array, "*trials muscles"]
    region: Float[Array, "*trials corners 2"]


Signals = dict[str, dict[str, Float[Array, "*trials"]]]
"""Quantities by name and unit, such as ``"Joint angle [deg]"``, of each part by its name."""


class VisiblePlant(Plant, abc.ABC):
    """A plant that figures and frames show. They know of it what its methods return."""

    @abc.abstractmethod
    def outline(self, state: Any) -> Outline:
        """How the plant looks."""

    @abc.abstractmethod
    def signals(self, state: Any) -> Signals:
        """The state of joints and muscles, in the units in which it is shown."""
