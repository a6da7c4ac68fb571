"""The command line: ``python -m agents COMMAND``.

What a command needs is imported when it is called: JAX takes seconds.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import sys
from collections.abc import Mapping, Sequence
from signal import SIGINT
from typing import Any, NoReturn

import tyro

from agents.storage.interrupts import run_as_process
from agents.storage.output import tolerant_output

PROGRAM = "python -m agents"

COMMANDS = {
    "train": "Train a policy by backpropagation through the environment.",
    "sb3": "Train by a learner of Stable-Baselines3.",
    "evaluate": "Evaluate trained policies.",
    "plot": "Draw every figure of a run.",
    "compare": "Train several learners and compare them with each other and with the optimum.",
    "benchmark": "Measure how fast training and environments are on this machine.",
}
"""The commands, each in a sentence; learners of other packages come on top."""

WITHOUT_LEARNER = ("evaluate", "plot", "compare", "benchmark")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; mistakes are reported in a line or tyro's frame, with exit status 2."""
    words = sys.argv[1:] if arguments is None else arguments
    with tolerant_output():
        try:
            parse(words).run()
        except KeyboardInterrupt as stop:
            print(f"stopped: {stop}" if str(stop) else "stopped", file=sys.stderr)
            raise SystemExit(128 + getattr(stop, "signal", SIGINT)) from None
        except (ValueError, TypeError, OSError) as error:
            print(f"error: {error}", file=sys.stderr)
            raise SystemExit(2) from None
        except (ArithmeticError, MemoryError, RuntimeError) as error:
            _end_by_fault(error)


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
        _choose(PROGRAM, "Train and evaluate controllers of movements.", COMMANDS, words)
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


def _end_by_fault(error: Exception) -> NoReturn:
    """Report what ended a training, and exit; raise what no user can have caused."""
    import jax

    from agents.bptt import TrainingError

    if isinstance(error, TrainingError):
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    if not isinstance(error, MemoryError | jax.errors.JaxRuntimeError):
        raise error
    if jax.distributed.is_initialized() and "RESOURCE_EXHAUSTED" not in str(error):
        print(f"error: the processes lost each other: {error}", file=sys.stderr)
        print("Another of them may have ended, and reported why.", file=sys.stderr)
        sys.stderr.flush()
        # Leaving in order would wait for the others, for a minute and a half.
        os._exit(2)
    print(f"error: this is too much for the machine: {error}", file=sys.stderr)
    raise SystemExit(2) from None


if __name__ == "__main__":
    run_as_process(main)
