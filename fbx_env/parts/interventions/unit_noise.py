"""Noise in units."""

from __future__ import annotations

import jax
from jaxtyping import Array, Float, PRNGKeyArray

from fbx_env.parts.component import SignalScalar, number, static
from fbx_env.parts.interventions.intervention import ActivityIntervention


class UnitNoise(ActivityIntervention):
    """Gaussian noise added to the activity of units after each update, independent in each step.

    Attributes:
        units: indices of the units; none for all (static).
        std: standard deviation, at least 0; one number, or one for each of the units.

    Example:
        >>> env, params = fbx_env.make(interventions=(UnitNoise(std=0.05),))
    """

    std: SignalScalar = number(
        "standard deviation of the noise in units",
        default=0.1,
        at_least=0,
        shape=None,
        keyword="{name}_std",
    )
    name: str = static(default="unit_noise", kw_only=True)

    def changed(self, activity: Float[Array, " chosen"], key: PRNGKeyArray) -> Float[Array, "..."]:
        return activity + self.std * jax.random.normal(key, activity.shape, activity.dtype)
