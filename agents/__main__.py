"""The command line: ``python -m agents COMMAND``.

What a command needs is imported when it is called: JAX takes seconds.
"""

from __future__ import annotations

import gc
import importlib
import importlib.metadata
import importlib.util
import os
import sys
import time
from collections.abc import Mapping, Sequence
from importlib.machinery import ModuleSpec
from signal import SIGINT
from types import ModuleType
from typing import Any, NoReturn

import tyro

from agents.storage.interrupts import run_as_process
from agents.storage.output import tolerant_output

PROGRAM = "python -m agents"

DESCRIPTION = """Train and evaluate controllers of movements.

Compiled programs are kept in the folder JAX_COMPILATION_CACHE_DIR, if that is set."""

COMMANDS = {
    "train": "Train a policy by backpropagation through the environment.",
    "sb3": "Train by a learner of Stable-Baselines3.",
    "evaluate": "Evaluate trained policies.",
    "plot": "Draw every figure of a run.",
    "analyse": "Take the network of a run apart: tuning, dimensions, fixed points, eigenvalues.",
    "compare": "Train several learners and compare them with each other and with the optimum.",
    "benchmark": "Measure how fast training and environments are on this machine.",
}
"""The commands, each in a sentence; learners of other packages come on top."""

LOST = "the processes lost each other: "
CONNECTION = "Gloo"
"""The library by which processes reach each other, which is in its errors."""

PATIENCE = 2.0
"""How long the first of several processes waits for the others after an error [s]."""

WITHOUT_LEARNER = ("evaluate", "plot", "analyse", "compare", "benchmark")


DEFERRED = "seaborn"
"""It takes half of the import of gymnax, where one game draws with its colours."""

KEEP_EVERY_PROGRAM = {
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}
"""For the folder in ``JAX_COMPILATION_CACHE_DIR``: of the hundred programs of a training, JAX by
itself would keep the two that take more than a second to compile."""


class Deferred(ModuleType):
    """A module that is imported when something in it is asked for.

    Who only looks at what is there, as ``inspect`` does, finds where it would come from.
    """

    def __init__(self, spec: ModuleSpec) -> None:
        super().__init__(spec.name)
        self.__spec__ = spec
        self.__file__ = spec.origin

    def __getattr__(self, name: str) -> Any:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]  # So that it is not found instead of the module.
        return getattr(importlib.import_module(self.__name__), name)


def defer(name: str) -> None:
    """Import a module when something in it is asked for, if there is one and it is not yet."""
    if name not in sys.modules and (spec := importlib.util.find_spec(name)) is not None:
        sys.modules[name] = Deferred(spec)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; mistakes are reported in a line or tyro's frame, with exit status 2."""
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        for name, value in KEEP_EVERY_PROGRAM.items():
            os.environ.setdefault(name, value)
    defer(DEFERRED)
    with tolerant_output():
        if status := _run(sys.argv[1:] if arguments is None else arguments):
            _leave(status)


def _run(words: Sequence[str]) -> int:
    """Run a command, report what went wrong, and return the exit status."""
    try:
        # Nothing that is imported is garbage, and to look for it takes a sixth of the start.
        gc.disable()
        command = parse(words)
        gc.enable()
        command.run()
    except KeyboardInterrupt as stop:
        print(f"stopped: {stop}" if str(stop) else "stopped", file=sys.stderr)
        return 128 + getattr(stop, "signal", SIGINT)
    except (ValueError, TypeError, OSError) as error:
        _report(error)
        return 2
    except (ArithmeticError, MemoryError, RuntimeError) as error:
        return _report_fault(error)
    return 0


def parse(words: Sequence[str]) -> Any:
    """Read a command line; tyro explains what is wrong with it, and exits with status 2.

    Returns:
        The command, whose ``run()`` does what it is for.
    """
    first, *rest = [*words] or [""]
    if first == "--version":
        print(f"fbx-env {importlib.metadata.version('fbx-env')}")
        raise SystemExit(0)
    if first in WITHOUT_LEARNER:
        module = importlib.import_module(f"agents.commands.{first}")
        return module.parse(rest, f"{PROGRAM} {first}")
    if not first or first.startswith("-"):
        _choose(PROGRAM, DESCRIPTION, COMMANDS, words)
    from agents.commands import options
    from agents.learners import learners

    by_command = {learner.command: learner for learner in learners().values()}
    for name, after in ((first, rest), (" ".join(words[:2]), rest[1:])):
        if name in by_command:
            return options.parse(by_command[name].options, after, f"{PROGRAM} {name}")
    texts = {name: options.first_paragraph(learner.options) for name, learner in by_command.items()}
    group = {
        name.removeprefix(f"{first} "): text
        for name, text in texts.items()
        if name.startswith(f"{first} ")
    }
    if group:
        _choose(f"{PROGRAM} {first}", COMMANDS[first], group, rest)
    single = {name: text for name, text in texts.items() if " " not in name}
    _choose(PROGRAM, "", COMMANDS | single, words)


def _choose(
    program: str, description: str, commands: Mapping[str, str], words: Sequence[str]
) -> NoReturn:
    """Let tyro show the commands there are, or explain that there is no such command."""

    def stub(text: str) -> Any:
        def command() -> None: ...

        command.__doc__ = text
        return command

    tyro.extras.subcommand_cli_from_dict(
        {name: stub(text) for name, text in commands.items()},
        prog=program,
        description=description,
        args=list(words),
    )
    raise SystemExit(2)


def _report_fault(error: Exception) -> int:
    """Report what ended a training, and return the exit status; raise what no user has caused."""
    import jax

    from agents.training_error import TrainingError

    if isinstance(error, TrainingError):
        _report(error)
        return 1
    if not isinstance(error, MemoryError | jax.errors.JaxRuntimeError):
        raise error
    is_lost = jax.distributed.is_initialized() and "RESOURCE_EXHAUSTED" not in str(error)
    _report(error, LOST if is_lost else "this is too much for the machine: ")
    return 2


def _report(error: Exception, kind: str = "") -> None:
    """Print an error, and what may have caused it if another process is gone."""
    kind = LOST if CONNECTION in str(error) else kind
    print(f"error: {kind}{error}", file=sys.stderr)
    if kind == LOST:
        print("Another of them may have ended, and reported why.", file=sys.stderr)


def _leave(status: int) -> NoReturn:
    """Exit; at once if other processes train with this one, as in order they wait for each other.

    JAX aborts the others when the first process is gone, so that this one gives those that end for
    the same reason the time to report it.
    """
    jax = sys.modules.get("jax")
    if jax is None or not jax.distributed.is_initialized():
        raise SystemExit(status)
    if jax.process_index() == 0:
        time.sleep(PATIENCE)
    os._exit(status)


if __name__ == "__main__":
    run_as_process(main)
