"""Observations in units of how much they vary."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from fbx_env import ReachEnv, ReachParams

N_TRIALS = 1000
"""Random trials whose starts tell how much observations vary."""

LEAST = 1e-4
"""Share of a number's size by which it has to vary: less is the rounding of a constant."""


class Standardisation(eqx.Module):
    """The mean that is subtracted from an observation, and the scale it is then divided by.

    An arm moves by tenths of a metre, and its muscles by a tenth of their length: as small as that
    next to their means, a network learns from them slowly. Neither number is trained.

    Attributes:
        mean: of each number, in its unit.
        deviation: the standard deviation, likewise.

    Example:
        >>> Standardisation((1.0,), (0.5,))(jnp.array([2.0]))
        Array([2.], dtype=float32)
    """

    mean: tuple[float, ...] = eqx.field(static=True)
    deviation: tuple[float, ...] = eqx.field(static=True)

    @classmethod
    def of_starts(cls, env: ReachEnv, params: ReachParams, key: PRNGKeyArray) -> Standardisation:
        """Standardise by the first observations of random trials.

        A number that is the same in all of them, such as a velocity at rest, is taken as it is.

        Args:
            env: the environment.
            params: the experiment.
            key: for the trials.
        """
        keys = jax.random.split(key, N_TRIALS)
        first = np.asarray(jax.vmap(lambda key: env.reset(key, params)[0])(keys), float)
        mean, deviation = first.mean(axis=0), first.std(axis=0)
        varies = deviation > LEAST * np.abs(mean)
        return cls(
            tuple(np.where(varies, mean, 0.0).tolist()),
            tuple(np.where(varies, deviation, 1.0).tolist()),
        )

    def __call__(self, obs: Float[Array, " observation"]) -> Float[Array, " observation"]:
        """Return the standardised observation."""
        return (obs - jnp.asarray(self.mean, obs.dtype)) / jnp.asarray(self.deviation, obs.dtype)
