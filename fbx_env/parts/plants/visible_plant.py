"""Plants that can be drawn, and of which more can be shown than the effector."""

from __future__ import annotations

import abc
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Float

from fbx_env.parts.plants.plant import Plant


class Outline(NamedTuple):
    """How a plant looks in the plane.

    What is left out is an empty array, and not drawn: a plant has no links, no muscles, or an
    effector that can be everywhere.

    Attributes:
        links: the joints from the base to the effector, with lines between them [m].
        muscles: the course of each muscle [m].
        activation: of each muscle, from 0 to 1.
        region: the border of where the effector can be [m].

    Example:
        >>> Outline(links=jnp.stack([jnp.zeros(2), state.pos])).muscles.shape
        (0, 2, 2)
    """

    links: Float[Array | np.ndarray, "*trials joints 2"] = np.zeros((0, 2))
    muscles: Float[Array | np.ndarray, "*trials muscles points 2"] = np.zeros((0, 2, 2))
    activation: Float[Array | np.ndarray, "*trials muscles"] = np.zeros(0)
    region: Float[Array | np.ndarray, "*trials corners 2"] = np.zeros((0, 2))


Signals = dict[str, dict[str, Float[Array, "*trials"]]]
"""Quantities by name and unit, and of each the numbers by the parts of the plant that have them, as
``{"Joint angle [deg]": {"shoulder": ..., "elbow": ...}}``; each quantity is a panel of figures."""


class VisiblePlant(Plant, abc.ABC):
    """A plant that figures and frames show. They know of it what its methods return.

    ``plot.postures`` and ``render`` draw its outline, and ``plot.body_signals`` its signals. A
    ``Plant`` without these two is shown by the path of its effector.
    """

    @abc.abstractmethod
    def outline(self, state: Any) -> Outline:
        """How the plant looks."""

    @abc.abstractmethod
    def signals(self, state: Any) -> Signals:
        """The state of joints and muscles, in the units in which it is shown."""
