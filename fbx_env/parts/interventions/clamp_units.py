"""Units clamped to a value."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from fbx_env.parts.component import SignalScalar, number, static
from fbx_env.parts.interventions.intervention import ActivityIntervention


class ClampUnits(ActivityIntervention):
    """Units held at a value, whatever drives them.

    Units with an output and a memory apart, as those of an LSTM, have their output held, and their
    memory goes on.

    Attributes:
        units: indices of the units; none for all (static).
        value: of their activity; one number, or one for each of the units.

    Example:
        >>> env, params = fbx_env.make(interventions=(ClampUnits((3, 7), 0.5, onset=1.0),))
    """

    value: SignalScalar = number(
        "activity to which units are clamped", default=0.0, shape=None, keyword="{name}_value"
    )
    name: str = static(default="clamp", kw_only=True)

    def changed(self, activity: Float[Array, " chosen"], key: PRNGKeyArray) -> Float[Array, "..."]:
        return jnp.broadcast_to(jnp.asarray(self.value), activity.shape)
