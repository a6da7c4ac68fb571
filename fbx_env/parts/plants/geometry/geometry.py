"""The base of every geometry of muscles."""

from __future__ import annotations

import abc

import jax.numpy as jnp
from jaxtyping import Array, Float

from fbx_env.parts.component import Component, SignalScalar, number, static

Muscles = Float[Array, " muscles"]
"""A number for each muscle."""


class MuscleGeometry(Component, abc.ABC):
    """The muscles of a body, and the course of each. A new geometry is a new subclass.

    Moment arms are not given: they follow from ``length`` as its derivative.

    Attributes:
        names: of the muscles.
        max_force: the force of each muscle's fibres at most, at rest [N], greater than 0.
        optimal_length: of the fibres, at which they are strongest [m], greater than 0.
        tendon_length: of the tendon, which does not stretch [m], at least 0.

    Raises:
        TypeError, ValueError: for a number that is not allowed, or not one number for each muscle.
    """

    names: tuple[str, ...] = static()
    max_force: SignalScalar = number(
        "largest force of each muscle at rest", default=1.0, unit="N", above=0, shape=None
    )
    optimal_length: SignalScalar = number(
        "fibre length at which a muscle is strongest", default=1.0, unit="m", above=0, shape=None
    )
    tendon_length: SignalScalar = number(
        "length of a muscle's tendon", default=0.0, unit="m", at_least=0, shape=None
    )

    def __check_init__(self) -> None:
        n_muscles = len(self.names)
        for name, declaration in type(self).declarations().items():
            shape = jnp.shape(getattr(self, name))
            if declaration.shape is None and shape[-1:] not in ((), (n_muscles,)):
                raise ValueError(
                    f"{name} must have shape ({n_muscles},), one number for each of "
                    f"{', '.join(self.names)}, got {shape}"
                )

    @abc.abstractmethod
    def length(self, coordinates: Float[Array, "2"]) -> Muscles:
        """The length of each muscle with its tendon [m].

        Args:
            coordinates: joint angles [rad], or the position of a point [m].
        """
