"""Activity of units, scaled."""

from __future__ import annotations

from jaxtyping import Array, Float, PRNGKeyArray

from fbx_env.parts.component import SignalScalar, number, static
from fbx_env.parts.interventions.intervention import ActivityIntervention


class UnitGain(ActivityIntervention):
    """Activity of units multiplied by a gain after each update: 1 changes nothing, 0 silences.

    The derivative of a loss by the gains at 1 says how much each unit matters.

    Attributes:
        units: indices of the units; none for all (static).
        gain: one number, or one for each of the units.

    Example:
        >>> env, params = fbx_env.make(interventions=(UnitGain((3, 7), 0.5),))
    """

    gain: SignalScalar = number(
        "gain of the activity of units", default=1.0, shape=None, keyword="{name}"
    )
    name: str = static(default="unit_gain", kw_only=True)

    def changed(self, activity: Float[Array, " chosen"], key: PRNGKeyArray) -> Float[Array, "..."]:
        return self.gain * activity
