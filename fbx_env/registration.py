"""The environments by their ids: making them, describing them, and registering them."""

from __future__ import annotations

import copy
import dataclasses
import html
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import gymnasium
import gymnax
import numpy as np

from fbx_env import bodies, checks
from fbx_env.env import ReachEnv
from fbx_env.params import ReachParams
from fbx_env.parts.numbers import Number, Path, names_of, with_values
from fbx_env.processes import refuse_fork
from fbx_env.task_params import delayed_reach, hold, track

BODIES: dict[str, Callable[[], ReachParams]] = {
    "PointMass": ReachParams,
    "MusclePointMass": bodies.muscle_point_mass_reach,
    "TwoLinkArm": bodies.two_link_arm_reach,
    "MuscleArm": bodies.muscle_arm_reach,
}
"""The bodies by the first part of an id, each with the params of its simple reaches."""

TASKS: dict[str, Callable[[ReachParams], ReachParams]] = {
    "Reach": lambda params: params,
    "DelayedReach": delayed_reach,
    "Hold": hold,
    "Track": track,
}
"""The tasks by the second part of an id, each from the params of a body's reaches to its own."""

IDS: dict[str, tuple[str, str]] = {
    f"{body}{task}-v0": (body, task) for body in BODIES for task in TASKS
}
"""Every id, with its body and its task."""

ENV_ID = "PointMassReach-v0"


def default_params(id: str = ENV_ID) -> ReachParams:
    """The params of an id.

    Raises:
        ValueError: for an unknown id.
    """
    body, task = IDS[known_id(id)]
    return TASKS[task](BODIES[body]())


def known_id(id: str) -> str:
    """Return an id, or raise: ``TypeError`` if it is no text, ``ValueError`` for an unknown one."""
    return checks.known("environment", checks.instance("id", id, str), IDS)


DEFAULTS: dict[str, Callable[[], ReachParams]] = {id: partial(default_params, id) for id in IDS}
"""The same as functions without arguments, one for each id."""


def environment(id: str = ENV_ID) -> ReachEnv:
    """The environment that uses the params of an id where none are given."""
    return ReachEnv() if known_id(id) == ENV_ID else ReachEnv(DEFAULTS[id])


def make(id: str = ENV_ID, **overrides: Any) -> tuple[ReachEnv, ReachParams]:
    """Make the environment and its params.

    Args:
        id: one of ``fbx_env.registration.IDS``, such as ``"PointMassReach-v0"``.
        **overrides: what differs from the params of the id. Parts of the params by their field
            names, as ``plant``, ``task``, ``sensory``, ``motor``, ``loads`` or ``loss``; then any
            number of any part by its keyword, as ``mass`` or ``motor_delay``, which ``describe``
            lists; and ``loss_weights``, a dict by term. A keyword of several numbers is of none:
            each is given by its name, as ``**{"plant.mass": 2.0}``.

    Returns:
        The environment, which has no numbers of its own, and the params, which have them all.

    Raises:
        ValueError: for an unknown id, or a number out of range.
        TypeError: for an unknown keyword, one of several numbers, or a value of the wrong kind.
        RuntimeError: in a process forked after the import, where JAX would wait for ever.

    Example:
        >>> env, params = make("PointMassReach-v0", mass=2.0, loss_weights={"command": 1e-4})
        >>> float(params.plant.mass)
        2.0
    """
    refuse_fork()
    params = default_params(id)
    fields = [field.name for field in dataclasses.fields(ReachParams)]
    given = {name: overrides[name] for name in fields if name in overrides}
    changed = copy.copy(params)
    changed._assign(**given)  # Not checked yet: numbers and parts are checked together.
    by_keyword = {each.keyword: each for each in changed.numbers()}
    weights = checks.instance("loss_weights", overrides.get("loss_weights", {}), Mapping)
    known = list(dict.fromkeys([*fields, *by_keyword, "loss_weights"]))
    advice = f"numbers are listed by fbx_env.describe({id!r}), parts by help(fbx_env.make)"
    for name in overrides:
        sharing = [] if name in known else names_of(changed, name)
        if sharing:
            raise TypeError(
                f"{name} is the keyword of several numbers here: give "
                f"{' or '.join(map(repr, sharing))}, as make(**{{{sharing[0]!r}: ...}})"
            )
    checks.keywords(id, overrides, known, advice)
    values: dict[Path, Any] = {(name,): value for name, value in given.items()}
    for name in set(overrides) - {*fields, "loss_weights"}:
        number = by_keyword[name]
        values[number.path] = number.declaration.check(name, overrides[name])
    params = with_values(params, values)
    return environment(id), params.replace(loss=params.loss.with_weights(**weights))


@dataclass(frozen=True)
class Description:
    """An environment's trial, observation and action, and every number of it; prints as a table.

    Attributes:
        id: of the environment.
        params: the experiment.
    """

    id: str
    params: ReachParams

    @property
    def numbers(self) -> tuple[Number, ...]:
        """With keyword, dotted name, unit, default, bounds and meaning."""
        return tuple(self.params.numbers())

    def lines(self) -> list[str]:
        """The id, how long a trial is, and in order what an observation and an action consist of.

        An action acts clipped to its bounds; its cost is of the unclipped one.
        """
        params = self.params
        layout = environment(self.id).observation_layout(params).items()
        parts = [f"{name} [{where.start}:{where.stop}]" for name, where in layout]
        controls = [
            " ".join([each.name, show(each.low), "to", show(each.high), each.unit]).rstrip()
            for each in params.plant.controls
        ]
        return [
            self.id,
            f"trial: {params.max_steps_in_episode} steps of {show(params.dt)} s",
            f"observation: {', '.join(parts)}",
            f"action: {', '.join(controls)}",
        ]

    def rows(self) -> list[dict[str, str]]:
        """The table: one dict of texts for each number."""
        return [
            {
                "keyword": each.keyword,
                "name": each.name,
                "default": "none" if is_none(each) else show(each.value),
                "unit": each.declaration.unit,
                "allowed": each.declaration.bounds,
                "meaning": each.text,
            }
            for each in self.numbers
        ]

    def __repr__(self) -> str:
        rows = self.rows()
        widths = {name: max(len(row[name]) for row in [{name: name}, *rows]) for name in rows[0]}
        lines = [{name: name for name in widths}, *rows]
        table = [
            "  ".join(row[name].ljust(widths[name]) for name in widths).rstrip() for row in lines
        ]
        return "\n".join([*self.lines(), "", *table])

    def _repr_html_(self) -> str:
        """The table as a notebook shows it."""
        rows = self.rows()
        lines = [_html_row("th", rows[0]), *(_html_row("td", row.values()) for row in rows)]
        caption = "<br/>".join(map(html.escape, self.lines()))
        return f"<table><caption>{caption}</caption>{''.join(lines)}</table>"


def _html_row(tag: str, cells: Iterable[str]) -> str:
    texts = "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells)
    return f"<tr>{texts}</tr>"


def describe(id: str = ENV_ID, **overrides: Any) -> Description:
    """An environment's trial, observation and action; its numbers with units, defaults and bounds.

    Args:
        id, **overrides: as of ``make``; numbers of parts that are given there are described too.

    Example:
        >>> describe("PointMassReach-v0").numbers[0].keyword
        'max_steps_in_episode'
    """
    return Description(id, make(id, **overrides)[1])


def is_none(number: Number) -> bool:
    """Whether a number that may be missing is."""
    return number.value is None and number.declaration.optional


def show(value: Any) -> str:
    """A number as a person writes it."""
    if value is None:
        return "0"
    array = np.asarray(value)
    if array.ndim:
        return "(" + ", ".join(show(item) for item in array) + ")"
    return str(array) if array.dtype.kind in "biU" else f"{float(str(array)):g}"


def register() -> None:
    """Let gymnax and Gymnasium know the environments; doing so again changes nothing."""
    for id in IDS:
        if id not in gymnax.registered_envs:
            gymnax.register(id, partial(environment, id))
        if id not in gymnasium.registry:
            gymnasium.register(
                id,
                entry_point="fbx_env.gym.single:ReachGymEnv",
                vector_entry_point="fbx_env.gym.vector:ReachVectorEnv",
                # Not by the name of "id", which gymnasium.make_vec itself uses.
                kwargs={"env_id": id},
            )
