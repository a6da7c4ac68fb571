"""Runs that are stopped, resumed, replaced, or met by another process."""

import contextlib
import errno
import importlib
import json
import os
import runpy
import shutil
import signal

import numpy as np
import pytest

import agents.__main__ as command_line
from agents import History, load_model
from agents.commands import train
from agents.storage.files import locked
from fbx_env import Component

pytestmark = pytest.mark.optimised

TINY = ["--n-batches", "6", "--batch-size", "1", "--log-step", "3", "--hidden-size", "3"]
TINY += ["--max-steps-in-episode", "4", "--n-replicates", "2"]


def run(*arguments):
    """The exit status of a command."""
    try:
        command_line.main([str(argument) for argument in arguments])
    except SystemExit as stop:
        return stop.code
    return 0


def names(folder):
    return {path.name for path in folder.iterdir()}


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


FINISHED = {"config.json", "history.csv", "metrics.json", "policy.model"}
FINISHED |= {"loss_history.png", "reaches.png"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that was never stopped."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    assert run("train", *TINY, "--out", folder) == 0
    return folder


@contextlib.contextmanager
def interrupted_in(label, number):
    """Send this process a signal when training reports something."""
    original = train.train_replicates

    def train_replicates(*arguments, **options):
        def write(text):
            if text.startswith(label):
                os.kill(os.getpid(), number)

        return original(*arguments, **options, write=write)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "train_replicates", train_replicates)
        yield


def test_an_interrupted_run_is_resumed_to_the_same_end(whole, tmp_path, capsys):
    folder = tmp_path / "a run"
    with interrupted_in("Training iteration 3", signal.SIGTERM):
        assert run("train", *TINY, "--out", folder) == 128 + signal.SIGTERM
    message = capsys.readouterr().err.splitlines()[-1]
    assert "the state after 4 updates is in " in message
    assert message.endswith(f"; resume it with: python -m agents train --resume '{folder}'")
    assert names(folder) == {"config.json", "000000004.checkpoint", "training.history"}
    for command in ("evaluate", "plot"):
        assert run(command, folder) == 2
        message = capsys.readouterr().err
        assert f"{folder} is not a run: it holds no policy.model" in message
        assert "--resume" in message
    assert run("train", *TINY, "--out", folder) == 2
    assert f"{folder} is not empty" in (message := capsys.readouterr().err)
    assert "--resume" in message

    assert run("train", "--resume", folder) == 0
    assert names(folder) == FINISHED
    assert (folder / "policy.model").read_bytes() == (whole / "policy.model").read_bytes()
    one, other = (json.loads((each / "metrics.json").read_text()) for each in (whole, folder))
    for metrics in (one, other):
        for name in ("compile_seconds", "train_seconds", "wall_clock_seconds"):
            assert metrics.pop(name) > 0
    assert one == other
    one, other = (History.load(each / "history.csv").columns for each in (whole, folder))
    for name in one.keys() - {"seconds"}:
        np.testing.assert_array_equal(one[name], other[name])

    capsys.readouterr()
    assert run("train", "--resume", folder) == 0
    assert f"The run in {folder} is finished; there is nothing to" in capsys.readouterr().out


@pytest.mark.parametrize(
    "command", [["train", *TINY, "--overwrite", "--out"], ["train", "--resume"], ["evaluate"]]
)
def test_a_second_process_is_refused(command, whole, capsys):
    before = content(whole)
    with locked(whole):
        assert run(*command, whole) == 2
    assert f"at work in {whole}" in capsys.readouterr().err
    assert content(whole) == before


def test_what_python_saved_is_left_to_python(whole, tmp_path, capsys):
    saved = shutil.copytree(whole, tmp_path / "saved")
    (saved / "config.json").unlink()
    assert run("evaluate", saved) == 2
    message = capsys.readouterr().err
    assert f"{saved} is not a run: it holds metrics.json, history.csv, but no config" in message
    assert "agents.load_model" in message


SCRIPT_WITH_A_PART = """
import jax.numpy as jnp
from agents import OpenLoopPolicy, save_model
from fbx_env import Load, make

class Breeze(Load):
    name = "breeze"

    def force_on(self, effector, trial, clock):
        return jnp.array([0.0, 0.1])

if __name__ == "__main__":
    params = make(max_steps_in_episode=3, loads=(Breeze(),))[1]
    save_model("run", OpenLoopPolicy(jnp.zeros((3, 2))), params)
"""


def test_what_a_script_saved_is_for_who_imports_its_parts(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "breeze.py").write_text(SCRIPT_WITH_A_PART)
    try:
        runpy.run_path("breeze.py", run_name="__main__")
        del Component.registry["Breeze"]  # As in another process.
        assert run("evaluate", "run") == 2
        error = capsys.readouterr().err
        assert "its class Breeze is not imported; it was defined in a script: put it in" in error
        # What it says to do.
        monkeypatch.syspath_prepend(tmp_path)
        importlib.import_module("breeze")
        assert run("evaluate", "run") == 0
        assert "Endpoint error" in capsys.readouterr().out
    finally:
        del Component.registry["Breeze"]


def test_what_cannot_be_resumed_is_refused(whole, tmp_path, capsys):
    assert run("train", "--resume", tmp_path / "nowhere") == 2
    assert "nowhere is not a run: config.json cannot be read" in capsys.readouterr().err
    changes = ["--seed", 3, "--mass", 2, "--n-batches", 9, "--load", "curl"]
    assert run("train", "--resume", whole, *changes) == 2
    message = capsys.readouterr().err
    assert "(--seed, --load, --mass, --n-batches)" in message
    assert run("sb3", "ppo", "--resume", whole) == 2
    assert "its learner is bptt" in capsys.readouterr().err
    (tmp_path / "config.json").write_bytes((whole / "config.json").read_bytes())
    (tmp_path / "000000003.checkpoint").write_bytes(b"nonsense")
    assert run("train", "--resume", tmp_path) == 2
    assert "no checkpoint in" in capsys.readouterr().err
    assert names(tmp_path) == {"config.json", "000000003.checkpoint"}


def test_a_full_disk_is_reported_and_costs_nothing(whole, tmp_path, capsys, monkeypatch):
    """The disk is full when the trained policy is to be written."""
    with monkeypatch.context() as patch:

        def full(*_, **__):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        patch.setattr("agents.storage.archive.write", full)
        assert run("train", *TINY, "--out", tmp_path / "run") == 2
    message = capsys.readouterr().err
    assert "error: [Errno 28] No space left on device" in message
    assert (
        f"when that is mended, resume it with: python -m agents train --resume {tmp_path}"
        in message
    )
    assert not any(name.startswith(".") for name in names(tmp_path / "run"))
    assert run("train", "--resume", tmp_path / "run") == 0
    assert names(tmp_path / "run") == FINISHED
    assert (tmp_path / "run/policy.model").read_bytes() == (whole / "policy.model").read_bytes()


@pytest.mark.parametrize("error", [errno.EROFS, errno.EACCES])
def test_a_folder_that_cannot_be_written_is_reported(error, whole, tmp_path, capsys, monkeypatch):
    """A folder for reading only, or of somebody else."""

    def refuse(path, *_):
        raise OSError(error, os.strerror(error), str(path))

    before = content(whole)
    monkeypatch.setattr("agents.storage.files._lock", refuse)
    for command in (["train", *TINY, "--out", tmp_path / "run"], ["evaluate", whole]):
        assert run(*command) == 2
        message = capsys.readouterr().err
        assert message.startswith(f"error: [Errno {error}] {os.strerror(error)}: ")
        assert len(message.splitlines()) == 1
    assert content(whole) == before
    assert not names(tmp_path / "run")


def test_a_folder_that_cannot_be_made_is_reported(tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    assert run("train", *TINY, "--out", tmp_path / "file" / "run") == 2
    assert "error: [Errno 20] Not a directory" in capsys.readouterr().err


def test_a_run_that_explodes_is_reported_by_every_command(tmp_path, capsys):
    folder = tmp_path / "run"
    assert run("train", *TINY, "--dt", "1e30", "--out", folder) == 1
    assert "the loss terms position, final_velocity, " in capsys.readouterr().err
    assert names(folder) == {"config.json", "history.csv", "policy.model", "reaches.png"}
    assert run("plot", folder) == 2
    message = capsys.readouterr().err
    assert message == f"error: the model in {folder} cannot be drawn: its trials are not finite\n"
    assert run("train", "--resume", folder) == 1


def test_a_configuration_that_cannot_be_read_is_reported(whole, tmp_path, capsys):
    folder = shutil.copytree(whole, tmp_path / "run")
    config = json.loads((whole / "config.json").read_text())
    for wrong in (
        *(b"{", b"[]", b'{"experiment": 3}', b"\xff", b"[" * 10**5),
        json.dumps({**config, "learner": "nobody"}).encode(),
        json.dumps({**config, "no_such": 1}).encode(),
    ):
        (folder / "config.json").write_bytes(wrong)
        for command in (["evaluate"], ["plot"], ["train", "--resume"]):
            assert run(*command, folder) == 2
            message = capsys.readouterr().err
            assert f"{folder} is not a run: config.json cannot be read" in message
            assert len(message.splitlines()) == 1


EVALUATION = "agents.commands.shared.evaluate_replicates"


@pytest.mark.parametrize("where", [EVALUATION, "agents.commands.train.train_replicates"])
def test_ctrl_c_in_the_middle_of_something_is_no_traceback(where, tmp_path, capsys, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(where, interrupted)
        assert run("train", *TINY, "--out", folder) == 128 + signal.SIGINT
    message = capsys.readouterr().err.splitlines()[-1]
    assert message.startswith("stopped: in the middle of its work; resume it with: python -m agent")
    assert "metrics.json" not in names(folder)
    assert run("train", "--resume", folder) == 0
    capsys.readouterr()
    with monkeypatch.context() as patch:
        patch.setattr(EVALUATION, interrupted)
        assert run("evaluate", folder) == 128 + signal.SIGINT
    assert capsys.readouterr().err == "stopped\n"
    assert names(folder) == FINISHED


def test_a_run_that_is_half_replaced_is_not_a_run(whole, tmp_path, capsys, monkeypatch):
    """Killed while the old files are being removed."""
    folder = tmp_path / "run"
    folder.mkdir()
    for name, old in content(whole).items():
        (folder / name).write_bytes(old)
    (folder / "notes.txt").write_text("mine")

    class Killed(BaseException):
        pass

    for n_removed in range(3):
        allowed = iter(range(n_removed))

        def unlink(path, missing_ok=False, allowed=allowed):
            if path.name in FINISHED and next(allowed, None) is None:
                raise Killed
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)

        with monkeypatch.context() as patch:
            patch.setattr("pathlib.Path.unlink", unlink)
            with pytest.raises(Killed):
                command_line.main(["train", *TINY, "--overwrite", "--out", str(folder)])
        capsys.readouterr()
        status = run("evaluate", folder)
        assert status == (0 if n_removed == 0 else 2)
        assert run("train", "--resume", folder) == (0 if n_removed == 0 else 2)
    assert run("train", *TINY, "--overwrite", "--out", folder) == 0
    assert {*names(folder)} == FINISHED | {"notes.txt"}
    assert load_model(folder)
