"""Units silenced."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from fbx_env.parts.component import static
from fbx_env.parts.interventions.intervention import ActivityIntervention


class SilenceUnits(ActivityIntervention):
    """Units without activity: a lesion, if it lasts all of the trial.

    Attributes:
        units: indices of the units; none for all (static).

    Example:
        >>> env, params = fbx_env.make(interventions=(SilenceUnits((3, 7), onset=1.0),))
    """

    name: str = static(default="silence", kw_only=True)

    def changed(self, activity: Float[Array, " chosen"], key: PRNGKeyArray) -> Float[Array, "..."]:
        return jnp.zeros_like(activity)
