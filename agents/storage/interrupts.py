"""Being stopped by a signal between two updates, not in the middle of one."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType

WATCHED = (signal.SIGINT, signal.SIGTERM)
"""What Ctrl-C sends, and what job schedulers send before they kill."""


class Interrupted(KeyboardInterrupt):
    """A training was asked to stop, and its state is kept.

    Attributes:
        signal: the number of the signal that asked for it.
    """

    def __init__(self, message: str, signal: int) -> None:
        super().__init__(message)
        self.signal = signal


@dataclass
class Request:
    """Whether somebody has asked to stop.

    Attributes:
        signal: the number of the signal; ``None`` as long as there was none.
    """

    signal: int | None = None


@contextlib.contextmanager
def requests_to_stop() -> Iterator[Request]:
    """Note the first SIGINT or SIGTERM instead of dying of it; a second one acts as always.

    Signals only reach the main thread; elsewhere, nothing is ever noted. Nor are signals that the
    process ignores.
    """
    request = Request()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def note(number: int, frame: FrameType | None) -> None:
        request.signal = number
        restore()

    # What is ignored, as Ctrl-C by a script's background jobs, stays ignored.
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
