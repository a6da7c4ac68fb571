"""Units given an input."""

from __future__ import annotations

import jax.numpy as jnp

from fbx_env.parts.clock import Clock
from fbx_env.parts.component import SignalScalar, indices, number, static
from fbx_env.parts.interventions.intervention import Net, NetworkIntervention, check_units
from fbx_env.parts.interventions.unit_policy import UnitPolicy


class UnitInput(NetworkIntervention):
    """A current added to what drives units, as an equal change of their bias would.

    The drive is the argument of a unit's activation function; of gated units that of the candidate
    for their new activity or memory, so that the gates see the current only through the activity.

    Attributes:
        units: indices of the units; none for all (static).
        current: in the unit of the drive; one number, or one for each of the units.

    Raises:
        ValueError: in use, if the network has no such units, or no bias for each of them.

    Example:
        >>> current = UnitInput((3, 7), 0.2, onset=1.0, duration=0.5)
        >>> env, params = fbx_env.make(interventions=(current,))
    """

    units: tuple[int, ...] = indices(
        "units of the intervention {name}, all if none are given",
        default=(),
        keyword="{name}_units",
    )
    current: SignalScalar = number(
        "current into units", default=1.0, shape=None, keyword="{name}_current"
    )
    name: str = static(default="input", kw_only=True)

    def check_policy(self, policy: UnitPolicy, n_units: int) -> None:
        check_units(self, self.units, n_units)
        policy.with_input(jnp.zeros(n_units))

    def on(self, policy: Net, clock: Clock) -> Net:
        none = jnp.zeros_like(policy.activity(policy.initial_carry()))
        chosen = jnp.asarray(self.units or range(none.size), jnp.int32)
        current = jnp.where(self.acts(clock), self.current, 0.0)
        driven: Net = policy.with_input(none.at[chosen].set(current))
        return driven
