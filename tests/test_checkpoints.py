"""Checkpoints: damage and other trainings are refused, and the one before is used."""

import contextlib
import errno
import itertools
import os
import subprocess
import sys
import time

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from test_archive import forged

from agents import Checkpoints, History
from agents.storage import checkpoints as storage
from agents.storage import files
from agents.storage.checkpoints import CheckpointManager, from_bytes, read_checkpoint, to_bytes
from agents.storage.identity import describe, fingerprint

pytestmark = pytest.mark.optimised

STATE = {
    "weights": jnp.linspace(0, 1, 500),
    "halves": jnp.arange(3, dtype=jnp.bfloat16),
    "typed": jax.random.split(jax.random.key(3), 2),
    "raw": jax.random.PRNGKey(4),
    "count": jnp.zeros((), jnp.int32),
    "function": jnp.tanh,
}


def identity(n_batches=9, **functions):
    described = describe({"key": STATE["typed"]}, STATE["weights"], **functions)
    return {"config": {"n_batches": n_batches}, **described}


IDENTITY = identity()


def rows(begin, end):
    values = np.arange(begin, end, dtype=np.float32)
    return {"position": values, "total": 2 * values, "learning_rate": np.full(len(values), 0.1)}


def history(length=5):
    result = History(compile_seconds=1.5, train_seconds=2.5)
    result.extend(rows(0, length), 2.5)
    return result


def assert_same_history(one, other):
    assert list(one.columns) == list(other.columns)
    for name, values in one.columns.items():
        assert values.dtype == other[name].dtype
        np.testing.assert_array_equal(values, other[name])


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@contextlib.contextmanager
def manager(folder, identity=IDENTITY, resume=True, lines=None, **options):
    """A checkpoint manager at work."""
    checkpoints = Checkpoints(folder, resume=resume, **options)
    report = (lambda _: None) if lines is None else lines.append
    with CheckpointManager(checkpoints, identity, report) as entered:
        yield entered


def restored(folder, identity=IDENTITY):
    """What there is to resume from, and what is reported of it."""
    lines = []
    with manager(folder, identity, lines=lines) as entered:
        state, kept = entered.restore(STATE)
    return state, kept, lines


@pytest.fixture
def written(tmp_path):
    """A folder with checkpoints after 5 and 7 updates."""
    kept = history(5)
    with manager(tmp_path, resume=False) as entered:
        assert entered.restore(STATE)[0] is STATE
        entered.save(STATE, kept)
        kept.extend(rows(5, 7), 3.0)
        kept.add_validation({"position": 1.0, "total": 2.0})
        entered.save(STATE | {"count": jnp.ones((), jnp.int32)}, kept)
    return tmp_path


def whole_history():
    kept = history(5)
    kept.extend(rows(5, 7), 3.0)
    kept.add_validation({"position": 1.0, "total": 2.0})
    return kept


def test_every_kind_of_array_comes_back_with_its_bits(written):
    state, kept, lines = restored(written)
    expected = STATE | {"count": jnp.ones((), jnp.int32)}
    assert eqx.tree_equal(state, expected, typematch=True)
    assert state["function"] is jnp.tanh
    assert_same_history(kept, whole_history())
    assert (kept.compile_seconds, kept.train_seconds) == (1.5, 2.5)
    assert lines == [f"Resuming after 7 updates, from {written / '000000007.checkpoint'}."]
    assert names(written) == ["000000005.checkpoint", "000000007.checkpoint", "training.history"]


def test_another_process_gets_the_same_by_bytes():
    data = to_bytes(STATE, whole_history(), IDENTITY)
    state, kept = from_bytes(data, STATE, IDENTITY)
    assert eqx.tree_equal(state, STATE, typematch=True)
    assert_same_history(kept, whole_history())
    assert kept.compile_seconds == 1.5
    with pytest.raises(ValueError, match=r"config.n_batches 9, now 8"):
        from_bytes(data, STATE, identity(n_batches=8))
    state, kept = from_bytes(to_bytes(STATE, History(), IDENTITY), STATE, IDENTITY)
    assert len(kept) == 0


def toy(n_updates, folder=None, stop_at=None, every_updates=3):
    """A training whose every update depends on the state and the number of the update."""
    state = {"w": jnp.ones(3), "key": jax.random.key(1), "opt": {"mean": jnp.zeros(3)}}
    checkpoints = None
    if folder is not None:
        checkpoints = Checkpoints(folder, every_updates=every_updates, resume=True)
    with CheckpointManager(checkpoints, identity(n_updates), lambda _: None) as entered:
        state, kept = entered.restore(state)
        while (done := len(kept)) < n_updates:
            if done == stop_at:
                raise KeyboardInterrupt
            noise = jax.random.normal(jax.random.fold_in(state["key"], done), (3,))
            mean = 0.9 * state["opt"]["mean"] + noise
            state = state | {"w": state["w"] - 0.1 * mean, "opt": {"mean": mean}}
            loss = jnp.sum(state["w"] ** 2)
            kept.extend({"position": loss[None], "total": loss[None]}, seconds=1.0)
            if done % 2:
                kept.add_validation({"total": loss / 2})
            entered.save_if_due(state, kept)
        entered.save(state, kept)
    return state, kept


@pytest.mark.parametrize("stops", [[4], [1, 5, 8], [3, 4, 9]])
def test_a_training_that_is_stopped_ends_with_the_same_bits(stops, tmp_path):
    whole = toy(10)
    for stop_at in stops:
        with pytest.raises(KeyboardInterrupt):
            toy(10, tmp_path, stop_at)
    for _ in range(2):  # A training that is complete comes back without being made again.
        state, kept = toy(10, tmp_path)
        assert eqx.tree_equal(state, whole[0], typematch=True)
        assert_same_history(kept, whole[1])
    assert names(tmp_path) == ["000000009.checkpoint", "000000010.checkpoint", "training.history"]


def damages(content, count):
    """Files that are not what was written: cut, flipped, extended, emptied."""
    rng = np.random.default_rng(0)
    yield b""
    yield content[::-1]
    yield b"\0" * len(content)
    for cut in rng.integers(0, len(content), count // 3):
        yield content[:cut]
    for place in (*range(40), *rng.integers(0, len(content), count)):
        flipped = bytearray(content)
        flipped[place] ^= 1 << rng.integers(8)
        yield bytes(flipped)


def test_damaged_checkpoints_are_refused_and_the_one_before_is_used(written):
    path = written / "000000007.checkpoint"
    content = path.read_bytes()
    n_damages = 0
    for wrong in (*damages(content, 120), content + b"\0"):
        path.write_bytes(wrong)
        state, kept, lines = restored(written)
        assert lines[0].startswith(f"{path} cannot be used: it")
        assert lines[1:] == [f"Resuming after 5 updates, from {written / '000000005.checkpoint'}."]
        assert eqx.tree_equal(state, STATE)
        assert_same_history(kept, history(5))
        n_damages += 1
    assert n_damages >= 200


def test_a_damaged_tail_of_the_history_is_found_and_the_checkpoint_before_used(written):
    path = written / "training.history"
    content = path.read_bytes()
    begin = content.rindex(b"fbx-env archive")
    for wrong in itertools.islice(damages(content[begin:], 60), 0, None, 3):
        path.write_bytes(content[:begin] + wrong)
        _, kept, lines = restored(written)
        assert lines[0].endswith("000000007.checkpoint is damaged after 5 updates.")
        assert lines[1].startswith("Resuming after 5 updates")
        assert_same_history(kept, history(5))
    path.write_bytes(content + b"of a later checkpoint that was not completed")
    assert_same_history(restored(written)[1], whole_history())


@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "flipped", "overwritten"])
def test_a_history_damaged_from_its_beginning_has_gaps_and_the_state_is_kept(damage, written):
    path = written / "training.history"
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        flipped = content.replace(b"float32", b"float33", 1)
        damaged = {"empty": b"", "cut": content[:300], "flipped": flipped}
        path.write_bytes(damaged.get(damage, b"\0" * len(content)))
    with manager(written) as entered:
        state, kept = entered.restore(STATE)
        assert (int(state["count"]), len(kept)) == (1, 7)
        kept.extend(rows(7, 9), 4.0)
        entered.save(state, kept)
    _, again, lines = restored(written)
    assert len(lines) == 1
    assert_same_history(again, kept)
    assert np.isnan(again["training_total"][:7]).all()
    assert again["training_total"][7:].tolist() == [14, 16]
    assert again["iteration"].tolist() == list(range(9))


def test_a_history_of_another_training_is_not_taken_for_ones_own(written, tmp_path):
    with manager(tmp_path / "other") as entered:
        entered.save(STATE, history(20))
    content = (tmp_path / "other" / "training.history").read_bytes()
    (written / "training.history").write_bytes(content)
    _, kept, _ = restored(written)
    assert len(kept) == 7
    assert kept.columns.keys() == {"iteration"}
    # Nor is one that is as long, with other keys.
    with manager(tmp_path / "as long", {**IDENTITY, "exact": {"key": 9}}) as entered:
        entered.save(STATE, history(7))
    content = (tmp_path / "as long" / "training.history").read_bytes()
    (written / "training.history").write_bytes(content)
    assert restored(written)[1].columns.keys() == {"iteration"}


def test_a_history_that_cannot_be_read_is_not_overwritten(written):
    (written / "training.history").unlink()
    os.mkfifo(written / "training.history")
    with pytest.raises(OSError, match=r"is not a regular file: .*training.history"):
        restored(written)


def test_a_history_that_somebody_removes_meanwhile_is_written_again(tmp_path):
    lines, kept = [], history(5)
    with manager(tmp_path, lines=lines) as entered:
        entered.save(STATE, kept)
        (tmp_path / "training.history").unlink()
        kept.extend(rows(5, 7), 3.0)
        entered.save(STATE, kept)
    assert not lines
    assert_same_history(restored(tmp_path)[1], kept)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            {"n_batches": 8},
            r"000000007.checkpoint .*: it was written with config.n_batches 9, now 8",
        ),
        ({"optimizer": "another"}, "it was written with optimizer None, now another"),
    ],
)
def test_a_checkpoint_of_another_training_is_refused_and_stays(other, message, written):
    before = {name: (written / name).read_bytes() for name in names(written)}
    with pytest.raises(ValueError, match=message) as refused:
        restored(written, identity(**other))
    assert "remove" not in str(refused.value).lower()
    assert {name: (written / name).read_bytes() for name in names(written)} == before


def test_one_of_another_training_is_passed_over_and_stays(written, tmp_path):
    with manager(tmp_path / "other", identity(n_batches=8)) as entered:
        entered.save(STATE, history(9))
    foreign = (tmp_path / "other" / "000000009.checkpoint").read_bytes()
    (written / "000000009.checkpoint").write_bytes(foreign)
    lines = []
    with manager(written, lines=lines) as entered:
        state, kept = entered.restore(STATE)
        assert lines[0].endswith(
            "000000009.checkpoint cannot be used: it was written with config.n_batches 8, now 9."
        )
        assert_same_history(kept, whole_history())
        kept.extend(rows(7, 8), 4.0)
        entered.save(state, kept)
    assert (written / "000000009.checkpoint").read_bytes() == foreign
    assert [int(path.stem) for path in Checkpoints(written).files()] == [9, 8, 7]


def test_another_optimiser_is_refused(tmp_path):
    def of(optimizer):
        weights = jnp.ones(3)
        return identity(optimizer=fingerprint(optimizer.update, weights, optimizer.init(weights)))

    with manager(tmp_path, of(optax.adam(1e-3))) as entered:
        entered.save(STATE, history())
    assert len(restored(tmp_path, of(optax.adam(1e-3)))[1]) == 5
    with pytest.raises(ValueError, match="it was written with another optimizer"):
        restored(tmp_path, of(optax.adam(1.0)))


def test_another_setting_of_jax_is_named_and_nothing_else(written):
    with (
        jax.enable_x64(True),
        pytest.raises(ValueError, match="written with jax_enable_x64 False, now True$") as refused,
    ):
        restored(written, identity())
    assert "remove" not in str(refused.value).lower()


def test_checkpoints_are_only_resumed_if_that_is_asked_for(written):
    with (
        pytest.raises(ValueError, match="holds checkpoints of a training; resume it, or choose"),
        manager(written, resume=False) as entered,
    ):
        entered.restore(STATE)


def test_if_none_can_be_read_nothing_is_removed_and_nobody_advised_to(written):
    for name in names(written):
        (written / name).write_bytes(b"nonsense")
    with pytest.raises(
        ValueError, match=r"no checkpoint in .* can be used: 000000007.ch"
    ) as refused:
        restored(written)
    assert "remove" not in str(refused.value).lower()
    assert names(written) == ["000000005.checkpoint", "000000007.checkpoint", "training.history"]


@pytest.mark.parametrize("content", [3, None, [], {}, {"history": 3}, {"history": {"rows": -1}}])
def test_other_content_under_a_right_checksum_is_refused(content, written):
    path = written / "000000007.checkpoint"
    path.write_bytes(forged({"arrays": {}, "content": content}, kind="checkpoint"))
    with pytest.raises(ValueError, match=r"."):
        read_checkpoint(path, STATE, IDENTITY)
    assert restored(written)[2][1].startswith("Resuming after 5 updates")


def test_an_array_of_another_shape_is_refused(written):
    path = written / "000000007.checkpoint"
    with pytest.raises(ValueError, match=r"array weights is float32 of shape \(500,\), wanted is"):
        read_checkpoint(path, STATE | {"weights": jnp.zeros(4)}, IDENTITY)


@pytest.mark.parametrize("fails", ["append", "archive.write"])
def test_a_full_disk_does_not_end_the_training(fails, tmp_path, monkeypatch):
    def full(*arguments, **_):
        if fails == "append":  # After some bytes.
            with open(arguments[0], "ab") as file:
                file.write(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    lines, kept = [], history(3)
    with manager(tmp_path, lines=lines) as entered:
        entered.save(STATE, kept)
        kept.extend(rows(3, 4), 3.0)
        with monkeypatch.context() as patch:
            patch.setattr(f"agents.storage.checkpoints.{fails}", full)
            assert entered.save(STATE, kept) == "the last checkpoint is of update 3"
        assert "after 4 updates could not be written: [Errno 28] No space left" in lines[0]
        assert_same_history(restored_elsewhere(tmp_path), history(3))
        kept.extend(rows(4, 5), 3.0)
        entered.save(STATE, kept)
    assert_same_history(restored(tmp_path)[1], kept)
    assert len(Checkpoints(tmp_path).files()) == 2


def restored_elsewhere(folder):
    """The history that a copy of the folder gives."""
    copy = folder / "copy"
    copy.mkdir()
    for path in folder.iterdir():
        if path.is_file():
            (copy / path.name).write_bytes(path.read_bytes())
    return restored(copy)[1]


def test_damaged_files_are_removed_once_there_is_a_better_one(written):
    (written / "000000007.checkpoint").write_bytes(b"nonsense")
    with manager(written) as entered:
        state, kept = entered.restore(STATE)
        assert (written / "000000007.checkpoint").exists()
        kept.extend(rows(5, 6), 3.0)
        entered.save(state, kept)
    assert names(written) == ["000000005.checkpoint", "000000006.checkpoint", "training.history"]


def test_two_trainings_of_one_process_cannot_have_the_same_folder(tmp_path):
    with manager(tmp_path):
        assert names(tmp_path) == [".training.lock"]
        with (
            pytest.raises(BlockingIOError, match=f"process {os.getpid()} on .* is at work in"),
            manager(tmp_path),
        ):
            pass
    with manager(tmp_path):
        pass
    assert names(tmp_path) == []


HOLD = """
import runpy, sys, time
files = runpy.run_path(sys.argv[1])
with files["locked"](sys.argv[2], files["TRAINING_LOCK"]):
    print("locked", flush=True)
    time.sleep(60)
"""


def test_nor_can_two_processes(tmp_path):
    command = [sys.executable, "-c", HOLD, files.__file__, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "locked\n"
        with (
            pytest.raises(BlockingIOError, match=f"process {other.pid} on .* is at work in"),
            manager(tmp_path),
        ):
            pass
        other.kill()
    with manager(tmp_path):
        pass


def test_no_link_in_the_folder_is_followed(tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("mine")
    for name in ("training.history", "000000005.checkpoint", ".training.lock"):
        folder = tmp_path / name.strip(".")
        folder.mkdir()
        (folder / name).symlink_to(precious)
        with contextlib.suppress(OSError), manager(folder, resume=False) as entered:
            entered.save(STATE, history(5))
        assert precious.read_text() == "mine"


def test_the_cost_of_a_checkpoint_does_not_grow_with_what_lies_behind(tmp_path):
    def cost(length):
        folder, seconds = tmp_path / str(length), []
        with manager(folder) as entered:
            kept = history(length)
            entered.save(STATE, kept)
            size = (folder / "training.history").stat().st_size
            for _ in range(5):
                kept.extend(rows(0, 100), 3.0)
                begun = time.perf_counter()
                entered.save(STATE, kept)
                seconds.append(time.perf_counter() - begun)
            grown = (folder / "training.history").stat().st_size - size
            return min(seconds), grown, Checkpoints(folder).files()[0].stat().st_size

    short, long = cost(1000), cost(1_000_000)
    assert long[0] < 10 * short[0]
    assert long[1] < 1.01 * short[1]
    assert long[2] < short[2] + 100


def test_time_is_that_of_a_clock_that_cannot_jump(tmp_path, monkeypatch):
    """Checkpoints are ordered by updates, and due by a clock that nobody sets."""
    with manager(tmp_path, every_seconds=3600) as entered:
        monkeypatch.setattr(storage.time, "time", lambda: 1e12)
        entered.save_if_due(STATE, history(1))
        assert not Checkpoints(tmp_path).files()
        for updates in (1, 2):
            entered.save(STATE, history(updates))
        os.utime(Checkpoints(tmp_path).files()[0], (0, 0))
        entered.save(STATE, history(3))
    assert [path.name for path in Checkpoints(tmp_path).files()] == [
        "000000003.checkpoint",
        "000000002.checkpoint",
    ]


def test_a_checkpoint_is_due_at_multiples_of_updates(tmp_path):
    with manager(tmp_path, every_updates=4) as entered:
        assert entered.until_due(0, 9) == 4
        assert entered.until_due(5, 9) == 3
        assert entered.until_due(5, 2) == 2
        for updates in range(1, 10):
            entered.save_if_due(STATE, history(updates))
    assert [path.stem for path in Checkpoints(tmp_path).files()] == ["000000008", "000000004"]


def test_without_checkpoints_nothing_is_kept():
    with CheckpointManager(None, {}, print) as entered:
        state, kept = entered.restore(STATE)
        assert state is STATE
        assert len(kept) == 0
        entered.save_if_due(STATE, history())
        assert entered.save(STATE, history()) == "nothing is kept"
        assert entered.until_due(3, 5) == 5


def test_another_version_is_reported(written, monkeypatch):
    monkeypatch.setattr("agents.storage.identity.versions", lambda: {"jax": "0.1"})
    lines = restored(written, identity(optimizer="not compared then"))[2]
    assert f"jax {jax.__version__}, now 0.1" in lines[1]
    assert "the results can differ by rounding" in lines[1]


def test_checkpoints_are_removed_with_their_history(written):
    (written / "notes.txt").write_text("mine")
    Checkpoints(written).remove()
    assert names(written) == ["notes.txt"]


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
