"""An experiment as configurations name it: an id, and in what it differs from that."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fbx_env import Component, Intervention, Load, ReachEnv, ReachParams, checks
from fbx_env.parts.numbers import Number, with_values
from fbx_env.registration import ENV_ID, default_params

NONE = ("none",)
"""Instead of the names of parts: that there are none."""

ROLES: dict[str, type[Component]] = {"loads": Load, "interventions": Intervention}
"""The parts that are chosen by their names, several of each role."""


@dataclass(frozen=True)
class Experiment:
    """An experiment that JSON can hold.

    Attributes:
        id: of the environment.
        loads: names of the loads in it; none for those of the params, ``("none",)`` to take these
            off.
        interventions: names of the interventions on the network, likewise.
        numbers: what differs from the defaults, by the keywords of ``fbx_env.make``.

    Example:
        >>> env, params = Experiment("PointMassReach-v0", numbers={"mass": 2.0}).make()
    """

    id: str = ENV_ID
    loads: tuple[str, ...] = ()
    interventions: tuple[str, ...] = ()
    numbers: Mapping[str, Any] = field(default_factory=dict)

    def make(self) -> tuple[ReachEnv, ReachParams]:
        """Make the environment and its params; errors are as of ``applied_to``."""
        return ReachEnv(), self.applied_to(default_params(self.id))

    def applied_to(self, params: ReachParams) -> ReachParams:
        """Return params with these loads and interventions, if there are any, and numbers.

        Raises:
            TypeError: for a value of the wrong kind.
            ValueError: for a number out of range, or a name that the params do not have.
        """
        for role, kind in ROLES.items():
            names = getattr(self, role)
            if names:
                known = named_parts(kind)
                chosen = () if names == NONE else names
                what = role.removesuffix("s")
                parts = tuple(known[checks.known(what, name, known)]() for name in chosen)
                params = params.replace(**{role: parts})
        by_keyword = {number.keyword: number for number in params.numbers()}
        values = {}
        for keyword, value in self.numbers.items():
            number = by_keyword[checks.known("number", keyword, by_keyword)]
            values[number.path] = number.declaration.check(keyword, value)
        changed: ReachParams = with_values(params, values)
        return changed


def refuse_interventions(params: ReachParams, learner: str) -> None:
    """Raise ``ValueError`` for interventions, for a learner that sees the environment alone."""
    if params.interventions:
        raise ValueError(
            f"interventions must be none for {learner}, whose network the environment does not "
            f"see, got {', '.join(each.name for each in params.interventions)}"
        )


def named_parts(kind: type[Component]) -> dict[str, Any]:
    """Return the classes of one kind of part, shipped and of one's own, by their names."""
    classes: list[Any] = [each for same in Component.registry.values() for each in same.values()]
    concrete = (each for each in classes if issubclass(each, kind) and not inspect.isabstract(each))
    return {each.name: each for each in concrete if getattr(each, "name", "")}


def plain_value(number: Number) -> Any:
    """Return a number as Python's own: a float, an int, a bool, nested lists, or ``None``."""
    if isinstance(number.value, bool | int | str) or (
        number.value is None and number.declaration.optional
    ):
        return number.value
    if isinstance(number.value, tuple):
        return list(number.value)
    # The shortest decimals that give the same bits are those that were meant.
    array = np.asarray(0.0 if number.value is None else number.value)
    return np.array([float(str(each)) for each in array.ravel()]).reshape(array.shape).tolist()
