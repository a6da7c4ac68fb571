"""Options of a command line: a command's own, and the numbers that an experiment declares."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import make_dataclass
from typing import Annotated, Any, Literal, Protocol, runtime_checkable

import numpy as np
import tyro

from agents.experiment import NONE, ROLES, Experiment, named_parts, plain_value
from agents.storage.models import load_model
from fbx_env import ReachParams
from fbx_env.parts.component import (
    FlagDeclaration,
    IndicesDeclaration,
    WholeDeclaration,
    WordDeclaration,
)
from fbx_env.parts.numbers import Number
from fbx_env.registration import ENV_ID, IDS, default_params

CONFIG = (tyro.conf.FlagCreatePairsOff, tyro.conf.DisallowNone)

Start = Annotated[str | None, tyro.conf.arg(name="from", metavar="RUN")]
"""The folder of the run, or of the saved model, from whose policy and experiment to go on."""

PARTS = {
    "load": ("loads", "Forces of the world on the effector, one or several."),
    "intervene": ("interventions", "Interventions on the units and weights of the network."),
}
"""The options that choose parts: the role of each in an experiment, and its help."""


@runtime_checkable
class WithRecipe(Protocol):
    """A command whose defaults depend on the environment."""

    @classmethod
    def default_for(cls, id: str) -> Any:
        """Return the command with the defaults for an environment."""


Field = tuple[str, Any, Any]
"""Of a dataclass to be made: name, type and default."""


def parse(
    kind: type, arguments: Sequence[str], prog: str, params: ReachParams | None = None
) -> Any:
    """Read the options of a command; tyro explains what is wrong with them, and exits.

    Args:
        kind: the dataclass of the command. Its ``experiment`` is read from the options that the
            declared numbers of the experiment give.
        arguments: what follows the command.
        prog: what to call the command in help and errors.
        params: of the experiment that is changed; without them, the option ``--env`` says which.

    Returns:
        The command.

    Raises:
        SystemExit: after an error, with status 2, and after ``--help``.
    """
    words = list(arguments)
    if params is None and any(each.name == "start" for each in dataclasses.fields(kind)):
        start = _choices([("start", Start, dataclasses.field(default=None))], words, prog).start
        params = None if start is None else load_model(start)[1]
    parts = _parts(choose_env=params is None)
    chosen = _choices(parts, words, prog)
    id = getattr(chosen, "env", ENV_ID)
    names: Any = {role: getattr(chosen, option, ()) for option, (role, _) in PARTS.items()}
    base = Experiment(id, **names).applied_to(default_params(id) if params is None else params)
    numbers = {_identifier(number.keyword): number for number in base.numbers()}
    options = make_dataclass("Options", [*parts, *map(_field, numbers.values())])
    command: Any = ("command", Annotated[kind, tyro.conf.arg(name="")])
    if issubclass(kind, WithRecipe):
        command += (dataclasses.field(default=kind.default_for(id)),)
    both = make_dataclass("Both", [command, ("experiment", _on_one_level(options))], kw_only=True)
    parsed: Any = tyro.cli(
        both, args=words, prog=prog, description=first_paragraph(kind), config=CONFIG
    )
    given = {word.partition("=")[0].replace("-", "_") for word in words if word.startswith("--")}
    values = {
        number.keyword: _as_declared(number, getattr(parsed.experiment, name))
        for name, number in numbers.items()
        if given & {f"__{number.keyword}", f"__no_{number.keyword}"}
    }
    if params is None:
        defaults = {number.keyword: plain_value(number) for number in numbers.values()}
        values = {name: value for name, value in values.items() if value != defaults[name]}
    return dataclasses.replace(parsed.command, experiment=Experiment(id, **names, numbers=values))


def first_paragraph(kind: type) -> str:
    """Return what a class is for, by its docstring."""
    return " ".join(str(kind.__doc__).split("\n\n")[0].split())


def words_of(experiment: Experiment) -> list[str]:
    """Return an experiment as the command line spells it."""
    words = ["--env", experiment.id]
    for option, (role, _) in PARTS.items():
        if chosen := getattr(experiment, role):
            words += [f"--{option}", *chosen]
    for keyword, value in experiment.numbers.items():
        option = keyword.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{option}" if value else f"--no-{option}")
        else:
            words += [f"--{option}", *(str(each) for each in np.ravel(value).tolist())]
    return words


def _choices(fields: Sequence[Field], words: Sequence[str], prog: str) -> Any:
    """The values of the options on which others depend, by their names."""
    values: Any
    values, _ = tyro.cli(
        make_dataclass("Choices", fields),
        args=[word for word in words if word not in ("-h", "--help")],
        prog=prog,
        return_unknown_args=True,
        add_help=False,
        config=CONFIG,
    )
    return values


def _parts(choose_env: bool) -> list[Field]:
    """Options that choose parts, of which the numbers depend."""
    parts: list[Field] = []
    if choose_env:
        help = "The environment: a body and a task. What follows are its numbers."
        option = tyro.conf.arg(help=help)
        parts.append(("env", Annotated[_one_of(IDS), option], dataclasses.field(default=ENV_ID)))
    for name, (role, help) in PARTS.items():
        names = [*named_parts(ROLES[role]), *([] if choose_env else NONE)]
        several = tuple.__class_getitem__((_one_of(names), ...))
        option = tyro.conf.arg(help=help, help_behavior_hint="(default: none)")
        parts.append((name, Annotated[several, option], dataclasses.field(default=())))
    return parts


def _field(number: Number) -> Field:
    """The option of a declared number."""
    declaration = number.declaration
    kind, default = _kind(number), plain_value(number)
    if isinstance(default, list):
        default = tuple(np.ravel(default).tolist())
    elif declaration.shape is None and default is not None:
        default = (default,)
    unit = f" [{declaration.unit}]" if declaration.unit else ""
    plain = ("finite", "True or False", "a name")
    bounds = "" if declaration.bounds in plain else f", {declaration.bounds}"
    help = f"{number.text[:1].upper()}{number.text[1:]}{unit}{bounds}."
    hint = "(default: none)" if default is None else None
    option = tyro.conf.arg(name=number.keyword, help=help, help_behavior_hint=hint)
    kind = kind if default is not None else kind | None
    default_field = dataclasses.field(default=default)
    return _identifier(number.keyword), Annotated[kind, option], default_field


def _kind(number: Number) -> Any:
    """The type of what is given for a number; of an array its entries, one after the other."""
    declaration = number.declaration
    if isinstance(declaration, FlagDeclaration):
        return bool
    if isinstance(declaration, WholeDeclaration):
        return int
    if isinstance(declaration, WordDeclaration):
        return str
    if isinstance(declaration, IndicesDeclaration):
        return tuple[int, ...]
    if declaration.shape is None:
        return tuple[float, ...]
    if declaration.shape == ():
        return float
    return tuple[(float,) * math.prod(declaration.shape)]  # type: ignore[misc]


def _as_declared(number: Number, value: Any) -> Any:
    """A given value in the declared shape, as JSON would hold it."""
    if not isinstance(value, tuple):
        return value
    shape = number.declaration.shape
    if shape is None:
        return value[0] if len(value) == 1 else list(value)
    return np.reshape(value, shape).tolist() if value else []


def _one_of(names: Iterable[str]) -> Any:
    """The type of a text that is one of some."""
    return Literal.__getitem__(tuple(names))


def _on_one_level(options: Any) -> Any:
    """The type of options that are called by their own names alone."""
    return Annotated[options, tyro.conf.OmitArgPrefixes]


def _identifier(keyword: str) -> str:
    return re.sub(r"\W", "_", keyword)
