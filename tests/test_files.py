"""Files are whole or absent, and a folder has one process at work."""

import errno
import os
import re
import resource
import signal
import subprocess
import sys

import pytest

from agents.storage import files
from agents.storage.files import (
    append,
    locked,
    read_whole,
    remove_partial,
    replacing,
    write_whole,
)


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
    command = [sys.executable, "-c", LOCK_AND_WAIT, files.__file__, str(tmp_path)]
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


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_reported_and_work_goes_on(number, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(files.fcntl, "flock", refuse)
    before = open_files()
    cause = re.escape(os.strerror(number))
    with pytest.warns(RuntimeWarning, match=rf"{tmp_path}/.lock cannot be locked .*{cause}"):
        lock(tmp_path)
    assert open_files() == before
    assert names(tmp_path) == []


def test_other_errors_of_locks_are_raised_and_nothing_stays_open(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(files.fcntl, "flock", refuse)
    before = open_files()
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        lock(tmp_path)
    assert open_files() == before


WITHOUT_FCNTL = """
import runpy, sys, warnings
sys.modules["fcntl"] = None
files = runpy.run_path(sys.argv[1])
with warnings.catch_warnings(record=True) as caught, files["locked"](sys.argv[2]):
    files["write_whole"](sys.argv[2] + "/a", "text")
print([str(each.message) for each in caught])
"""


def test_without_fcntl_as_on_windows_there_is_no_lock_and_a_warning(tmp_path):
    command = [sys.executable, "-c", WITHOUT_FCNTL, files.__file__, str(tmp_path)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "cannot be locked (this operating system has no flock)" in printed
    assert (tmp_path / "a").read_text() == "text"


def test_a_lock_on_a_file_that_was_removed_meanwhile_does_not_count(tmp_path, monkeypatch):
    """Another process ended between our opening its lock file and our locking it."""
    flock = files.fcntl.flock
    removals = iter([True])

    def remove_first(*arguments):
        if next(removals, False):
            (tmp_path / ".lock").unlink()
        flock(*arguments)

    before = open_files()
    monkeypatch.setattr(files.fcntl, "flock", remove_first)
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


def test_only_leftovers_of_some_files_can_be_removed(tmp_path):
    for name in (".partial-x-1.checkpoint", ".partial-x-model.npz"):
        (tmp_path / name).write_bytes(b"half")
    remove_partial(tmp_path, ".checkpoint")
    assert names(tmp_path) == [".partial-x-model.npz"]


def test_locks_of_other_names_do_not_exclude_each_other(tmp_path):
    with locked(tmp_path), locked(tmp_path, ".training.lock"):
        assert names(tmp_path) == [".lock", ".training.lock"]
    assert names(tmp_path) == []


@pytest.fixture
def precious(tmp_path):
    """A file that nobody should touch, and a folder that has a link to it."""
    path = tmp_path / "precious"
    path.write_text("mine")
    folder = tmp_path / "run"
    folder.mkdir()
    yield folder, path
    assert path.read_text() == "mine"


@pytest.mark.parametrize("link", ["symlink_to", "hardlink_to"])
def test_a_lock_that_is_a_link_is_refused(link, precious):
    folder, path = precious
    getattr(folder / ".lock", link)(path)
    with pytest.raises(OSError, match=r"run/\.lock"):
        lock(folder)
    assert names(folder) == [".lock"]


def test_a_link_to_nowhere_is_not_followed_either(precious):
    folder, path = precious
    (folder / ".lock").symlink_to(path.with_name("new"))
    with pytest.raises(OSError, match=r"run/\.lock"):
        lock(folder)
    assert not path.with_name("new").exists()


def test_a_lock_that_is_a_pipe_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / ".lock")
    with pytest.raises(OSError, match="is not a regular file"):
        lock(tmp_path)


def test_a_link_is_replaced_and_not_written_through(precious):
    folder, path = precious
    for name in ("a", "b"):
        (folder / name).symlink_to(path)
    write_whole(folder / "a", "new")
    assert not (folder / "a").is_symlink()
    with pytest.raises(OSError, match=r"run/b"):
        append(folder / "b", b"new", at=0)


def test_what_has_another_name_stays_as_it_is_there(precious):
    folder, path = precious
    (folder / "a").hardlink_to(path)
    append(folder / "a", b" and yours", at=4)
    assert read_whole(folder / "a") == b"mine and yours"


def test_appending_cuts_off_what_was_there(tmp_path):
    path = tmp_path / "a"
    append(path, b"one", at=0)
    append(path, b"two, and more", at=3)
    append(path, b"three", at=6)
    assert read_whole(path) == b"onetwothree"
    with pytest.raises(OSError, match="shorter than 20 bytes"):
        append(path, b"x", at=20)
    assert read_whole(path) == b"onetwothree"


def test_pipes_and_devices_are_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, "/dev/zero"):
        with pytest.raises(OSError, match="is not a regular file"):
            read_whole(path)
    with pytest.raises(FileNotFoundError):
        read_whole(tmp_path / "nothing")


def test_text_is_utf_8_whatever_the_locale(tmp_path, monkeypatch):
    monkeypatch.setattr("locale.getpreferredencoding", lambda *_: "ascii")
    write_whole(tmp_path / "a", "Δv")
    assert (tmp_path / "a").read_bytes() == "Δv".encode()


def test_a_folder_that_cannot_be_flushed_is_no_failure(tmp_path, monkeypatch):
    """As on some network file systems."""
    fsync = os.fsync

    def fsync_files(descriptor):
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync_files)
    write_whole(tmp_path / "a", "text")
    assert read_whole(tmp_path / "a") == b"text"
