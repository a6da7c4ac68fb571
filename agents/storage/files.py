"""Files that are written whole or not at all, and folders in which one process works at a time.

Nothing is written through a link that lies in a folder, symbolic or hard: a folder may come from
elsewhere.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # As on Windows.
    fcntl = None  # type: ignore[assignment]

LOCK, TRAINING_LOCK = ".lock", ".training.lock"
"""The holder of the first may write any file of a run; that of the second, checkpoints."""

PARTIAL = ".partial-"
"""How the names of files begin that are being written."""

NO_LINK = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
NO_WAIT = getattr(os, "O_NONBLOCK", 0)
UNSUPPORTED = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP)
"""The errors of file systems that have no locks."""


@contextlib.contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Write a file so that its name holds the old content or the new one, and never a part.

    Args:
        path: of the file, in an existing folder. A symbolic link of that name is replaced.

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
        _flush_file(temporary)
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)
        raise
    _flush_folder(path.parent)


def write_whole(path: Path | str, content: str | bytes) -> None:
    """Write a file whole or not at all, text in UTF-8; see ``replacing``."""
    with replacing(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def read_whole(path: Path | str) -> bytes:
    """Read a regular file.

    Raises:
        OSError: if there is none; a pipe or a device is refused, and not waited for.
    """
    descriptor = os.open(path, os.O_RDONLY | NO_WAIT | getattr(os, "O_BINARY", 0))
    try:
        _check_is_regular(descriptor, path)
        with open(descriptor, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(descriptor)


def append(path: Path | str, content: bytes, at: int) -> None:
    """Write ``content`` into a file behind its first ``at`` bytes, and cut off what was there.

    Raises:
        OSError: if it cannot be written, or is not a regular file of at least so many bytes. The
            first ``at`` bytes are as they were.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | NO_LINK | NO_WAIT, 0o666)
    try:
        _check_is_regular(descriptor, path)
        status = os.fstat(descriptor)
        if status.st_size < at:
            raise OSError(errno.EINVAL, f"shorter than {at} bytes", str(path))
        with open(descriptor, "r+b", closefd=False) as file:
            if status.st_nlink > 1:  # Under its other name, as in a backup, it stays as it is.
                write_whole(path, file.read(at) + content)
                return
            file.truncate(at)
            file.seek(at)
            file.write(content)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_partial(folder: Path | str, suffix: str = "") -> None:
    """Remove what a killed process was about to write; only for who has the folder locked.

    Args:
        folder: in which.
        suffix: of the names of the files that this concerns; all if it is not given.
    """
    for path in Path(folder).glob(f"{PARTIAL}*{suffix}"):
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(folder: Path | str, name: str = LOCK) -> Iterator[None]:
    """Work in a folder in which nobody else works, in this process, another or another machine.

    The operating system drops the lock when the process ends, however it ends. Where there are no
    locks, on Windows and on some file systems, a warning says so, and work goes on without.

    Args:
        folder: an existing folder.
        name: of the lock's file in it; locks of other names do not exclude each other.

    Raises:
        BlockingIOError: if somebody is at work in it.
        OSError: if the lock's file is a symbolic link, or cannot be opened.

    Example:
        >>> with locked("runs/gru-seed0"):
        ...     write_whole("runs/gru-seed0/notes.txt", "one writer at a time")
    """
    path = Path(folder) / name
    descriptor = _lock(path)
    try:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode())
        yield
    finally:
        # Without its name, the file is no longer what the next one locks. It may have to stay, as
        # on Windows; then it is empty of a lock all the same.
        with contextlib.suppress(OSError):
            path.unlink()
        os.close(descriptor)


def _lock(path: Path) -> int:
    """Open and lock a file, and make sure that it is still the one of that name."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | NO_LINK | NO_WAIT, 0o666)
        try:
            _check_is_regular(descriptor, path)
            if os.fstat(descriptor).st_nlink > 1:
                raise OSError(errno.EMLINK, "also has another name; remove it", str(path))
            _lock_descriptor(descriptor, path)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), path.lstat()):
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


def _lock_descriptor(descriptor: int, path: Path) -> None:
    """Lock an open file, or warn that there are no locks."""
    cause = "this operating system has no flock"
    if fcntl is not None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError as error:
            if error.errno not in UNSUPPORTED:
                raise
            cause = str(error)
    warnings.warn(
        f"{path} cannot be locked ({cause}); see to it that nothing else writes into that folder",
        RuntimeWarning,
        stacklevel=5,
    )


def _check_is_regular(descriptor: int, path: Path | str) -> None:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise OSError(errno.EINVAL, "is not a regular file", str(path))


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _flush_file(path: Path) -> None:
    with path.open("r+b") as file:
        os.fsync(file.fileno())


def _flush_folder(path: Path) -> None:
    """Make a new name last, where a folder can be flushed."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (*UNSUPPORTED, errno.EINVAL):
            raise
    finally:
        os.close(descriptor)
