"""Learners as the command line, comparisons and figures find them."""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import importlib.util
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import agents.learners

GROUP = "fbx_env.learners"
"""Of the entry points by which other packages name modules that register learners."""


@dataclass(frozen=True)
class Budget:
    """How long a learner trains.

    Attributes:
        option: of the learner's command, as ``"n_batches"``.
        unit: what is counted, as ``"updates"``.
        default: how many.
        text: its meaning, in a sentence.
        by_id: how many in an environment where it is another number.
    """

    option: str
    unit: str
    default: int
    text: str
    by_id: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Learner:
    """A learner, whose runs have the files and the history of all runs.

    The column ``environment_steps`` of its history says how many steps it made before each row.

    Attributes:
        name: in commands and folders, as ``"ppo"``.
        label: in figures and tables, as ``"PPO"``.
        command: that trains it, after ``python -m agents``, as ``"sb3 ppo"``.
        options: the dataclass of the command's options, a ``TrainingCommand``.
        budget: how long it trains.
        needs: module that must be installed.
        extra: of this package that installs it.
    """

    name: str
    label: str
    command: str
    options: type[Any]
    budget: Budget
    needs: str = "agents"
    extra: str = ""

    def check_installed(self) -> None:
        """Raise ``ValueError`` if what the learner needs is not installed."""
        if importlib.util.find_spec(self.needs) is None:
            raise ValueError(f'{self.needs} is not installed: pip install "fbx-env[{self.extra}]"')


_registered: dict[str, Learner] = {}


def register(learner: Learner) -> Learner:
    """Make a learner known by its name and its command.

    Raises:
        ValueError: if another one has its name or its command.

    Example:
        >>> register(Learner("es", "Evolution", "es", TrainES, Budget(...)))
    """
    for other in _registered.values():
        if other.options is not learner.options:
            for what in ("name", "command"):
                if getattr(other, what) == getattr(learner, what):
                    raise ValueError(f"there is a learner of the {what} {getattr(learner, what)!r}")
    _registered[learner.name] = learner
    return learner


def learners() -> dict[str, Learner]:
    """Return all learners by their names, in alphabetical order."""
    _import_all()
    return dict(sorted(_registered.items()))


@functools.cache
def _import_all() -> None:
    for module in pkgutil.iter_modules(agents.learners.__path__, f"{agents.learners.__name__}."):
        importlib.import_module(module.name)
    for entry in importlib.metadata.entry_points(group=GROUP):
        entry.load()
