"""The base of every intervention on a network."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any, TypeVar, final

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from fbx_env import checks
from fbx_env.parts.clock import Clock
from fbx_env.parts.component import Component, Scalar, indices, number, static
from fbx_env.parts.interventions.unit_policy import UnitPolicy
from fbx_env.parts.keys import key_of

Net = TypeVar("Net", bound=UnitPolicy)


class Intervention(Component, abc.ABC):
    """A change of the network that acts, all of a trial or for some time of it.

    It acts in the steps whose beginning t is in onset <= t < onset + duration. A new intervention
    is a new subclass of ``ActivityIntervention`` or ``NetworkIntervention``. No two interventions
    of an experiment have the same name.

    Attributes:
        onset: when it begins, since the start of the trial [s], at least 0.
        duration: how long it lasts [s], greater than 0; ``None`` for until the end of the trial.
        name: by which its numbers are called, as ``interventions.silence.onset`` (static).

    Raises:
        ValueError: by ``ReachParams``, if it begins or ends after the trial; in use, if the network
            has no such units or weights.
    """

    onset: Scalar = number(
        "when the intervention {name} begins",
        default=0.0,
        unit="s",
        at_least=0,
        keyword="{name}_onset",
        kw_only=True,
    )
    duration: Scalar | None = number(
        "how long the intervention {name} lasts, to the end of the trial if not given",
        default=None,
        unit="s",
        above=0,
        optional=True,
        keyword="{name}_duration",
        kw_only=True,
    )
    name: str = static(default="", kw_only=True)

    def __check_params__(self, params: Any) -> None:
        end = self.onset if self.duration is None else self.onset + self.duration
        checks.within_trial(f"the intervention {self.name}", self.onset, end, params)

    @final
    def acts(self, clock: Clock) -> Bool[Array, ""]:
        """Whether it acts in the step that begins now."""
        has_begun = clock.has_reached(self.onset)
        if self.duration is None:
            return has_begun
        return has_begun & ~clock.has_reached(self.onset + self.duration)

    @abc.abstractmethod
    def check_policy(self, policy: UnitPolicy, n_units: int) -> None:
        """Raise ``ValueError`` if a policy with this many units does not have what is changed."""


class ActivityIntervention(Intervention, abc.ABC):
    """A change of the activity of units, after each update and before the command.

    The network goes on from the changed activity.

    Attributes:
        units: indices of the units, from 0 on; none for all (static).
    """

    units: tuple[int, ...] = indices(
        "units of the intervention {name}, all if none are given",
        default=(),
        keyword="{name}_units",
    )

    @abc.abstractmethod
    def changed(self, activity: Float[Array, " chosen"], key: PRNGKeyArray) -> Float[Array, "..."]:
        """Return the activity of the chosen units while the intervention acts.

        Args:
            activity: of the chosen units, as the network updated them.
            key: for randomness.
        """

    @final
    def on(
        self, activity: Float[Array, " units"], clock: Clock, key: PRNGKeyArray
    ) -> Float[Array, " units"]:
        """Return the activity of all units after a step that began at a time."""
        chosen = jnp.asarray(self.units or range(activity.size), jnp.int32)
        before = activity[chosen]
        return activity.at[chosen].set(
            jnp.where(self.acts(clock), self.changed(before, key), before)
        )

    @final
    def check_policy(self, policy: UnitPolicy, n_units: int) -> None:
        check_units(self, self.units, n_units)


class NetworkIntervention(Intervention, abc.ABC):
    """A change of the inputs or weights of the network during a step."""

    @abc.abstractmethod
    def on(self, policy: Net, clock: Clock) -> Net:
        """Return the network for the step that begins now."""


def check_units(part: Component, units: tuple[int, ...], n_units: int) -> None:
    """Raise ``ValueError`` for units that there are not, and for numbers that do not fit them."""
    missing = [unit for unit in units if unit >= n_units]
    if missing:
        raise ValueError(
            f"units of {type(part).__name__} must be from 0 to {n_units - 1}, the policy has "
            f"{n_units} units, got {', '.join(map(str, missing))}"
        )
    n_chosen = len(units) or n_units
    for name, declaration in type(part).declarations().items():
        size = jnp.shape(getattr(part, name))[-1:] if declaration.shape is None else ()
        if size not in ((), (1,), (n_chosen,)):
            raise ValueError(
                f"{name} of {type(part).__name__} must be one number or one for each of its "
                f"{n_chosen} units, got {size[0]}"
            )


def check_interventions(interventions: Sequence[Intervention], policy: Any, n_units: int) -> None:
    """Raise if interventions cannot be made on a policy.

    Raises:
        TypeError: if its units cannot be reached into.
        ValueError: if it has no such units or weights.
    """
    if interventions and not isinstance(policy, UnitPolicy):
        raise TypeError(
            "policy must have advance, command, activity, with_activity and with_input for "
            f"interventions on its units, {type(policy).__name__} has not"
        )
    for each in interventions:
        each.check_policy(policy, n_units)


def act(
    policy: Any,
    interventions: Sequence[Intervention],
    obs: Float[Array, " observation"],
    carry: Any,
    clock: Clock,
    key: PRNGKeyArray,
) -> tuple[Float[Array, " command"], Any]:
    """Return the command and the next carry of a policy under interventions.

    Args:
        policy: that acts; with interventions, one that ``check_interventions`` lets pass.
        interventions: in the order in which they change it.
        obs, carry, key: as of the policy.
        clock: at the beginning of the step.
    """
    acted: tuple[Float[Array, " command"], Any]
    if not interventions:
        acted = policy(obs, carry, key=key)
        return acted
    for each in interventions:
        if isinstance(each, NetworkIntervention):
            policy = each.on(policy, clock)
    carry = policy.advance(obs, carry, key=key)
    activity = policy.activity(carry)
    for index, each in enumerate(interventions):
        if isinstance(each, ActivityIntervention):
            activity = each.on(activity, clock, key_of(key, index))
    carry = policy.with_activity(carry, activity)
    return policy.command(carry), carry
