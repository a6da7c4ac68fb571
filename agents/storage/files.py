"""Files that are written whole or not at all, and folders in which one process works at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

LOCK = ".lock"
PARTIAL = ".partial-"
"""How the names of files begin that are being written."""


@contextlib.contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Write a file so that its name holds the old content or the new one, and never a part.

    Args:
        path: of the file, in an existing folder.

    Yields:
        Where to write it: a temporary file in the same folder with the same suffix. At the end it
        is flushed to the disk and takes the name ``path``; after an exception it is removed.

    Example:
        >>> with replacing("figure.png") as temporary:
        ...     figure.savefig(temporary)
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path} cannot be written: there is no folder {path.parent}")
    descriptor, name = tempfile.mkstemp(prefix=PARTIAL, suffix=f"-{path.name}", dir=path.parent)
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        # A temporary file is for its owner alone; the new file is for whom other files are.
        temporary.chmod(0o666 & ~_umask())
        _flush_to_disk(temporary)
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)
        raise
    _flush_to_disk(path.parent)


def write_whole(path: Path | str, content: str | bytes) -> None:
    """Write a file whole or not at all; see ``replacing``."""
    with replacing(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def remove_partial(folder: Path | str) -> None:
    """Remove what a killed process was about to write; only for who has the folder locked."""
    for path in Path(folder).glob(f"{PARTIAL}*"):
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(folder: Path | str) -> Iterator[None]:
    """Work in a folder in which no other process works, on this machine or another.

    The operating system drops the lock when the process ends, however it ends.

    Args:
        folder: an existing folder.

    Raises:
        BlockingIOError: if another process is at work in it.

    Example:
        >>> with locked("runs/gru-seed0"):
        ...     write_whole("runs/gru-seed0/notes.txt", "one writer at a time")
    """
    folder = Path(folder)
    path = folder / LOCK
    descriptor = _lock(path)
    try:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode())
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _lock(path: Path) -> int:
    """Open and lock a file, and make sure that it is still the one of that name."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), path.stat()):
                    return descriptor
        except BlockingIOError as error:
            owner = os.read(descriptor, 200).decode(errors="replace") or "another process"
            os.close(descriptor)
            raise BlockingIOError(
                f"{owner} is at work in {path.parent}; wait until it has ended, or choose another "
                "folder"
            ) from error
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _flush_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
