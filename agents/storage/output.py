"""Output that never costs a training its state: what cannot be printed is left out."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any, Protocol, runtime_checkable

BROKEN = (
    *(errno.EPIPE, errno.ECONNRESET, errno.EIO, errno.EBADF),
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG),
)
"""The errors of writing into a closed pipe, a lost terminal or a full disk."""

CLOSED = ("closed file", "'NoneType' object has no attribute 'write'")
"""Python's message about a stream that was closed, by itself or before it started."""


def reporter(write: Callable[[str], None] | None) -> Callable[[str], None]:
    """Wrap what prints a line of text, so that it never raises because of the output.

    Characters that the output cannot encode are replaced. If it is closed, full or broken, nothing
    more is printed. Every other error of ``write`` is raised.

    Args:
        write: such as ``print`` or ``tqdm.write``; ``None`` for silence.

    Example:
        >>> report = reporter(print)
        >>> report("Training step compiled.")
        Training step compiled.
    """
    if write is not None and not callable(write):
        raise TypeError(f"write must be None or a function that takes a text, got {write!r}")
    works = write is not None

    def report(text: str) -> None:
        nonlocal works
        if write is None or not works:
            return
        try:
            try:
                write(text)
            except UnicodeEncodeError as error:
                write(text.encode(error.encoding, "replace").decode(error.encoding))
        except Exception as error:
            if not _is_of_output(error):
                raise
            works = False

    return report


@runtime_checkable
class Stream(Protocol):
    """A stream of text, such as ``sys.stderr``."""

    def write(self, text: str, /) -> int: ...

    def flush(self) -> None: ...

    def isatty(self) -> bool: ...

    def fileno(self) -> int: ...


class TolerantStream:
    """A text stream that never fails to write; for ``tqdm(file=...)`` and as ``sys.stdout``.

    Args:
        stream: such as ``sys.stderr``, which is ``None`` if it was closed.
    """

    def __init__(self, stream: Stream | None) -> None:
        self.stream = stream
        self._report = reporter(None if stream is None else self._write)

    def write(self, text: str) -> int:
        """Write text, as far as it can be."""
        self._report(text)
        return len(text)

    def flush(self) -> None:
        """Nothing: what is written is flushed at once."""

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        with contextlib.suppress(ValueError, AttributeError):
            return bool(self.stream and self.stream.isatty())
        return False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def _write(self, text: str) -> None:
        if self.stream is not None:
            self.stream.write(text)
            self.stream.flush()


@contextlib.contextmanager
def tolerant_output() -> Iterator[None]:
    """Let nothing that is printed meanwhile fail, on standard output and standard error.

    At the end, what a broken output still holds back is dropped, which would otherwise end the
    process with status 120.
    """
    before = sys.stdout, sys.stderr
    streams: Any = [TolerantStream(stream) for stream in before]
    sys.stdout, sys.stderr = streams
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        for stream in before:
            _drop_if_broken(stream)


def _drop_if_broken(stream: Stream | None) -> None:
    if stream is None:
        return
    try:
        stream.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
    except ValueError:  # It is closed.
        pass


def _is_of_output(error: Exception) -> bool:
    """Whether an error says that an output is closed, full or broken."""
    if isinstance(error, OSError):
        return error.errno in BROKEN
    return any(words in str(error) for words in CLOSED)
