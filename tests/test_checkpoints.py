"""Checkpoints: damage and other trainings are refused, and the one before is used."""

import errno
import os

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents import Checkpoints, History
from agents.storage import checkpoints as storage
from agents.storage.checkpoints import Keeper, describe, read_checkpoint, write_checkpoint

STATE = {
    "weights": jnp.linspace(0, 1, 500),
    "halves": jnp.arange(3, dtype=jnp.bfloat16),
    "typed": jax.random.split(jax.random.key(3), 2),
    "raw": jax.random.PRNGKey(4),
    "count": jnp.zeros((), jnp.int32),
    "function": jnp.tanh,
}
ABOUT = {"config": {"n_batches": 9}, **describe(STATE["typed"], STATE["weights"])}


def history(length=5):
    result = History(compile_seconds=1.5, train_seconds=2.5)
    result.extend({"total": np.linspace(0, 1, length)}, 2.5)
    return result


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "000000005.checkpoint"
    write_checkpoint(path, STATE, history(), ABOUT)
    return path


def test_every_kind_of_array_comes_back_with_its_bits(written):
    state, back, written_with = read_checkpoint(written, STATE, ABOUT)
    for name, value in STATE.items():
        if name != "function":
            assert state[name].dtype == value.dtype
        assert eqx.tree_equal(state[name], value), name
    assert state["function"] is jnp.tanh
    np.testing.assert_array_equal(back["training_total"], history()["training_total"])
    assert (back.compile_seconds, back.train_seconds) == (1.5, 2.5)
    assert {"jax", "python", "device"} <= written_with.keys()


def damages(content):
    """Files that are not what was written: cut, flipped, extended, emptied."""
    rng = np.random.default_rng(0)
    yield b""
    yield content + b"\0"
    yield content[::-1]
    for cut in rng.integers(0, len(content), 60):
        yield content[:cut]
    for place in (*range(30), *rng.integers(0, len(content), 110)):
        flipped = bytearray(content)
        flipped[place] ^= 1 << rng.integers(8)
        yield bytes(flipped)


def test_damaged_files_are_refused_and_the_one_before_is_used(written):
    content = written.read_bytes()
    damaged = written.with_name("000000007.checkpoint")
    n_damages = 0
    for wrong in damages(content):
        damaged.write_bytes(wrong)
        lines = []
        keeper = Keeper(Checkpoints(written.parent, resume=True), ABOUT, lines.append)
        state, back = keeper.restore(STATE)
        assert lines[0].startswith(f"{damaged} cannot be used: it ")
        assert lines[1] == f"Going on after 5 updates, from {written}."
        assert eqx.tree_equal(state["weights"], STATE["weights"])
        assert len(back) == 5
        n_damages += 1
    assert n_damages >= 200


def test_a_checkpoint_of_another_training_is_refused(written):
    other = written.with_name("000000009.checkpoint")
    write_checkpoint(other, STATE, history(9), ABOUT | {"config": {"n_batches": 8}})
    lines = []
    keeper = Keeper(Checkpoints(written.parent, resume=True), ABOUT, lines.append)
    assert len(keeper.restore(STATE)[1]) == 5
    assert lines[0] == (
        f"{other} cannot be used: it is of another training, with another config n_batches."
    )


def test_other_content_under_a_right_checksum_is_refused(written):
    """Such as what a later version would write, or somebody who means harm."""
    import hashlib
    import io

    def with_arrays(**arrays):
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)
        return buffer.getvalue()

    description = np.frombuffer(b'{"about": 3}', np.uint8)
    for content in (
        b"not an archive",
        with_arrays(description=np.array([print], dtype=object)),
        with_arrays(description=np.zeros(3)),
        with_arrays(description=description),
        with_arrays(),
    ):
        digest = hashlib.sha256(content).hexdigest().encode()
        written.write_bytes(storage.FORMAT + digest + b"\n" + content)
        with pytest.raises(ValueError, match="its content is not that of a checkpoint"):
            read_checkpoint(written, STATE, ABOUT)


def test_an_array_of_another_shape_is_refused(written):
    with pytest.raises(ValueError, match=r"shape \(500,\) and type float32, expected were \(4,\)"):
        read_checkpoint(written, STATE | {"weights": jnp.zeros(4)}, ABOUT)


def test_a_full_disk_does_not_end_the_training(tmp_path, monkeypatch):
    lines = []
    keeper = Keeper(Checkpoints(tmp_path), ABOUT, lines.append)
    keeper.save(STATE, history(3))

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(storage, "write_whole", full)
        assert keeper.save(STATE, history(4)) == "the last checkpoint is of update 3"
    assert "after 4 updates could not be written: [Errno 28] No space left" in lines[0]
    assert [path.name for path in Checkpoints(tmp_path).files()] == ["000000003.checkpoint"]
    keeper.save(STATE, history(5))
    assert len(Checkpoints(tmp_path).files()) == 2


def test_damaged_files_are_removed_once_there_is_a_better_one(written):
    damaged = written.with_name("000000007.checkpoint")
    damaged.write_bytes(b"nonsense")
    keeper = Keeper(Checkpoints(written.parent, resume=True), ABOUT, lambda _: None)
    keeper.restore(STATE)
    assert damaged.exists()
    keeper.save(STATE, history(6))
    assert [path.name for path in Checkpoints(written.parent).files()] == [
        "000000006.checkpoint",
        "000000005.checkpoint",
    ]


def test_time_is_that_of_a_clock_that_cannot_jump(tmp_path, monkeypatch):
    """Checkpoints are ordered by updates, and due by a clock that nobody sets."""
    keeper = Keeper(Checkpoints(tmp_path, every_seconds=3600), ABOUT, lambda _: None)
    monkeypatch.setattr(storage.time, "time", lambda: 1e12)
    keeper.save_if_due(STATE, history(1))
    assert not Checkpoints(tmp_path).files()
    for updates in (1, 2):
        keeper.save(STATE, history(updates))
    os.utime(Checkpoints(tmp_path).files()[0], (0, 0))
    keeper.save(STATE, history(3))
    assert [path.name for path in Checkpoints(tmp_path).files()] == [
        "000000003.checkpoint",
        "000000002.checkpoint",
    ]


def test_another_version_is_told(written, monkeypatch):
    lines = []
    monkeypatch.setattr(storage, "versions", lambda: {"jax": "0.1"})
    keeper = Keeper(Checkpoints(written.parent, resume=True), ABOUT, lines.append)
    keeper.restore(STATE)
    assert lines[1].endswith("this is 0.1: the results can differ by rounding.")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"every_seconds": -1}, ValueError, "every_seconds must be finite and at least 0, got -1"),
        ({"every_updates": 0}, ValueError, "every_updates must be at least 1, got 0"),
        ({"resume": "yes"}, TypeError, "resume must be True or False, got 'yes'"),
        ({"folder": 3}, TypeError, "folder must be a path, got 3"),
    ],
)
def test_nonsense_is_refused(arguments, error, message, tmp_path):
    with pytest.raises(error, match=message):
        Checkpoints(**{"folder": tmp_path, **arguments})
