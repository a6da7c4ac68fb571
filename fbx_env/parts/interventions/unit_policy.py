"""Policies into whose units interventions can reach."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from jaxtyping import Array, Float, PRNGKeyArray


@runtime_checkable
class UnitPolicy(Protocol):
    """A policy that updates its units first, and commands by their activity alone.

    Its ``policy(obs, carry, key=key)`` is ``advance``, then ``command``.
    """

    def advance(
        self, obs: Float[Array, " observation"], carry: Any, *, key: PRNGKeyArray | None = None
    ) -> Any:
        """Return the carry after a step with this observation."""
        ...

    def initial_carry(self) -> Any:
        """Return the carry before the first step."""
        ...

    def command(self, carry: Any) -> Float[Array, " command"]:
        """Return the command for the activity in a carry."""
        ...

    def activity(self, carry: Any) -> Float[Array, " units"]:
        """Return the activity of the units."""
        ...

    def with_activity(self, carry: Any, activity: Float[Array, " units"]) -> Any:
        """Return a carry in which the units have this activity."""
        ...

    def with_input(self, current: Float[Array, " units"]) -> Any:
        """Return the policy with a current added to what drives each unit.

        Raises:
            ValueError: if it is not known where the units take an input.
        """
        ...
