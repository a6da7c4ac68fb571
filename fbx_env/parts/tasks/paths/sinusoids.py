"""Sums of sinusoids."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fbx_env.parts.component import SignalScalar, number
from fbx_env.parts.tasks.paths.path import TargetPath


class SumOfSinusoids(TargetPath):
    """Along each axis a sum of sinusoids, with phases that make it unforeseeable.

    Each has a phase of its own on each axis. Frequencies of which none is a multiple of another
    keep it from repeating.

    Attributes:
        amplitude: of each sinusoid [m], at least 0.
        frequency: of each [Hz], greater than 0; as many.

    Raises:
        TypeError, ValueError: for a number that is not allowed, or not as many of both.

    Example:
        >>> path = SumOfSinusoids(amplitude=(0.2, 0.1), frequency=(0.3, 0.7))
        >>> path.n_phases
        4
    """

    amplitude: SignalScalar = number(
        "amplitude of each sinusoid of the target",
        default=(0.3, 0.2, 0.1),
        unit="m",
        at_least=0,
        shape=None,
    )
    frequency: SignalScalar = number(
        "frequency of each sinusoid of the target",
        default=(0.2, 0.32, 0.52),
        unit="Hz",
        above=0,
        shape=None,
    )

    def __check_init__(self) -> None:
        shapes = {jnp.shape(self.amplitude), jnp.shape(self.frequency)}
        if len(shapes) > 1 or () in shapes:
            raise ValueError(
                "amplitude and frequency must have a number for each sinusoid, got shapes "
                f"{jnp.shape(self.amplitude)} and {jnp.shape(self.frequency)}"
            )

    @property
    def n_phases(self) -> int:
        return 2 * jnp.shape(self.frequency)[-1]

    def position(self, phase: Float[Array, " phases"], time: Float[Array, ""]) -> Float[Array, "2"]:
        angle = 2 * np.pi * jnp.asarray(self.frequency) * time + phase.reshape(2, -1)
        return jnp.sum(self.amplitude * jnp.sin(angle), axis=-1)
