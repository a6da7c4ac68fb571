"""Files are whole or absent, and a folder has one process at work."""

import errno
import os
import resource
import signal
import subprocess
import sys

import pytest

import agents.storage.files
from agents.storage.files import locked, remove_partial, replacing, write_whole


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "a.txt"
    write_whole(path, "old")
    with replacing(path) as temporary:
        assert temporary.suffix == ".txt"
        temporary.write_text("new, half")
        assert path.read_text() == "old"
        temporary.write_text("new")
    assert path.read_text() == "new"
    assert names(tmp_path) == ["a.txt"]
    assert path.stat().st_mode & 0o777 == 0o666 & ~current_umask()


def current_umask():
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_what_fails_leaves_the_old_file_and_nothing_else(error, tmp_path):
    write_whole(tmp_path / "a.txt", "old")

    def write_half():
        with replacing(tmp_path / "a.txt") as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        write_half()
    assert (tmp_path / "a.txt").read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_full_disk_leaves_the_old_file(tmp_path):
    """A limit of the size of files fails in the same call as a full disk, after some bytes."""
    write_whole(tmp_path / "a", b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            write_whole(tmp_path / "a", bytes(5000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert (tmp_path / "a").read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


# Only this module is loaded there: the package itself takes seconds.
LOCK_AND_WAIT = """
import runpy, sys, time
with runpy.run_path(sys.argv[1])["locked"](sys.argv[2]):
    print("locked", flush=True)
    time.sleep(60)
"""


def test_one_process_at_a_time_and_a_killed_one_leaves_no_lock(tmp_path):
    command = [sys.executable, "-c", LOCK_AND_WAIT, agents.storage.files.__file__, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "locked\n"
        with (
            pytest.raises(BlockingIOError, match=f"process {other.pid} on .* is at work in"),
            locked(tmp_path),
        ):
            pass
        other.kill()
    with locked(tmp_path):
        assert names(tmp_path) == [".lock"]
    assert names(tmp_path) == []


def test_the_lock_is_exclusive_within_a_process_and_released_after_errors(tmp_path):
    with locked(tmp_path), pytest.raises(BlockingIOError):
        lock(tmp_path)
    with locked(tmp_path):
        pass


def open_files():
    return len(os.listdir("/proc/self/fd"))


def test_a_disk_that_knows_no_locks_is_told_and_nothing_stays_open(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(agents.storage.files.fcntl, "flock", refuse)
    before = open_files()
    with pytest.raises(OSError, match="No locks available"), locked(tmp_path):
        pass
    assert open_files() == before


def test_a_lock_on_a_file_that_was_removed_meanwhile_does_not_count(tmp_path, monkeypatch):
    """Another process ended between our opening its lock file and our locking it."""
    flock = agents.storage.files.fcntl.flock
    removals = iter([True])

    def remove_first(*arguments):
        if next(removals, False):
            (tmp_path / ".lock").unlink()
        flock(*arguments)

    before = open_files()
    monkeypatch.setattr(agents.storage.files.fcntl, "flock", remove_first)
    with locked(tmp_path):
        assert names(tmp_path) == [".lock"]
        with pytest.raises(BlockingIOError):
            lock(tmp_path)
    assert open_files() == before


def lock(folder):
    with locked(folder):
        pass


def test_leftovers_of_a_killed_process_are_removed(tmp_path):
    with locked(tmp_path):
        (tmp_path / ".partial-x-model.npz").write_bytes(b"half")
        (tmp_path / "notes.txt").write_text("mine")
        remove_partial(tmp_path)
        assert names(tmp_path) == [".lock", "notes.txt"]
