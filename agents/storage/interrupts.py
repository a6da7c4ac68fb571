"""Stopping at a signal between two updates, and ending a command in one line at the next."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any, NoReturn

WATCHED = tuple(
    signal.Signals[name]
    for name in ("SIGINT", "SIGTERM", "SIGHUP")
    if name in signal.Signals.__members__
)
"""The signals of Ctrl-C, of job schedulers before they kill, and of a terminal that is closed."""

_noted = threading.Event()
"""Whether this process has noted a signal; the next one ends a command at once."""


class Interrupted(KeyboardInterrupt):
    """A training was asked to stop by a signal.

    Attributes:
        signal: the number of the signal.
        policy: as it is after the last update; ``None`` if there is none.
        history: until then; ``None`` if there is none.
        advice: how to resume in Python, in a sentence; empty if there is none.
    """

    def __init__(
        self,
        message: str,
        signal: int,
        policy: Any = None,
        history: Any = None,
        advice: str = "",
    ) -> None:
        super().__init__(message)
        self.signal = signal
        self.policy = policy
        self.history = history
        self.advice = advice

    def _render_traceback_(self) -> list[str]:
        """The lines that a notebook shows instead of a traceback."""
        lines = [f"Interrupted: {self}"]
        if self.policy is not None:
            lines.append("sys.last_value.policy and sys.last_value.history are as they were then.")
        return lines + [self.advice] * bool(self.advice)


@dataclass
class Request:
    """Whether somebody has asked to stop.

    Attributes:
        signal: the number of the signal; ``None`` as long as there was none.
    """

    signal: int | None = None


@contextlib.contextmanager
def requests_to_stop() -> Iterator[Request]:
    """Note the first of the signals ``WATCHED`` instead of dying of it; a second acts as always.

    Signals only reach the main thread; elsewhere, nothing is ever noted. Nor are signals that the
    process ignores.
    """
    request = Request()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def note(number: int, frame: FrameType | None) -> None:
        request.signal = number
        _noted.set()
        restore()

    # What is ignored, as Ctrl-C by a script's background jobs or a hangup by nohup, stays ignored.
    handlers = {number: signal.getsignal(number) for number in WATCHED}
    before = {
        number: handler
        for number, handler in handlers.items()
        if handler not in (signal.SIG_IGN, None)
    }
    for number in before:
        signal.signal(number, note)

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    try:
        yield request
    finally:
        restore()


def run_as_process(command: Callable[[], None]) -> None:
    """Run a command that is all that this process does, so that Ctrl-C never shows a traceback.

    The first SIGINT raises ``KeyboardInterrupt``, unless a training notes it. The next one, and any
    during the exit, ends the process at once with one line on standard error and status 130.

    Args:
        command: it handles ``KeyboardInterrupt``.
    """
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _raise_first)
    sys.unraisablehook = _end_if_interrupted
    try:
        command()
    finally:
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, _end)


def _raise_first(number: int, frame: FrameType | None) -> None:
    if _noted.is_set():
        _end(number, frame)
    _noted.set()
    raise KeyboardInterrupt


def _end(number: int, frame: FrameType | None) -> NoReturn:
    """End the process without anything else being run; locks are dropped by the system."""
    with contextlib.suppress(OSError):
        os.write(2, b"stopped\n")
    os._exit(128 + number)


def _end_if_interrupted(unraisable: Any) -> None:
    """End instead of printing that an interrupt was ignored, as in a destructor."""
    if issubclass(unraisable.exc_type, KeyboardInterrupt):
        _end(signal.SIGINT, None)
    sys.__unraisablehook__(unraisable)
