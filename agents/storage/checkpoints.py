"""Checkpoints: what a training needs to resume, after it was stopped, as if it had not been.

A checkpoint is an archive with every array of the state. The history is in a file beside them, to
which every checkpoint appends the rows since the last one, so that its cost does not grow; it notes
how much of that file belongs to it. Every array comes back with the same bits, trials and noise are
drawn from the number of the update, and the same compiled function makes every update: so the
training ends with the same bits, on the same machine with the same versions.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

from jaxtyping import PyTree

from agents.storage import archive
from agents.storage.files import TRAINING_LOCK, append, locked, read_whole, remove_partial
from agents.storage.history import History
from agents.storage.identity import as_json, differences, other_surroundings
from agents.storage.runs import CHECKPOINTED_ROWS
from fbx_env import checks

KIND, ROWS_KIND = "checkpoint", "history"
SUFFIX = ".checkpoint"
KEPT = 2
"""How many checkpoints are kept: if the last cannot be read, the one before it can."""


class AnotherTrainingError(ValueError):
    """A checkpoint is whole, and of a training that differs from this one."""


@dataclass(frozen=True)
class Checkpoints:
    """When and where ``train`` keeps what it needs to resume after it was stopped.

    They are written at these intervals, at the end, and on SIGINT, SIGTERM or SIGHUP, after which
    ``train`` raises ``Interrupted``. The last two are kept. If one cannot be written, as on a full
    disk, training reports it and continues.

    Args:
        folder: of the checkpoints; it is made if it is not there. One training, one folder.
        every_seconds: at least so much time passes between two [s].
        every_updates: if given, one is also written whenever the number of updates made is a
            multiple of this.
        resume: whether to resume from the last checkpoint in the folder that can be read. The other
            arguments of ``train`` must be those of the training that wrote it. If there is none,
            training begins at the beginning.

    Raises:
        TypeError, ValueError: for a value that is not allowed.

    Example:
        >>> checkpoints = Checkpoints("runs/mine", every_seconds=30, resume=True)
        >>> policy, history = train(policy, env, params, key=key, checkpoints=checkpoints)
    """

    folder: Path | str
    every_seconds: float = 60.0
    every_updates: int | None = None
    resume: bool = False

    def __post_init__(self) -> None:
        checks.path("folder", self.folder)
        checks.number("every_seconds", self.every_seconds, at_least=0)
        if self.every_updates is not None:
            checks.whole("every_updates", self.every_updates, at_least=1)
        checks.flag("resume", self.resume)

    def files(self) -> list[Path]:
        """The checkpoints in the folder, the one with most updates first."""
        folder = Path(self.folder)
        there = folder.iterdir() if folder.is_dir() else ()
        names = [path.name for path in there if not path.is_dir()]
        found = [
            int(match[1]) for name in names if (match := re.fullmatch(r"(\d+)\.checkpoint", name))
        ]
        return [self.path(iteration) for iteration in sorted(found, reverse=True)]

    def path(self, iteration: int) -> Path:
        """Where the checkpoint after so many updates is."""
        return Path(self.folder) / f"{iteration:09d}{SUFFIX}"

    @property
    def rows_path(self) -> Path:
        """Where the history is."""
        return Path(self.folder) / CHECKPOINTED_ROWS

    def remove(self) -> None:
        """Remove the checkpoints in the folder, the last one last."""
        for path in (*reversed(self.files()), self.rows_path):
            path.unlink(missing_ok=True)


class Written(NamedTuple):
    """How much of the history's file belongs to a checkpoint.

    Attributes:
        rows, n_bytes: their numbers.
        sha256: of these bytes, to go on with.
    """

    rows: int
    n_bytes: int
    sha256: Any

    def as_json(self) -> dict[str, Any]:
        return {"rows": self.rows, "bytes": self.n_bytes, "sha256": self.sha256.hexdigest()}


NOTHING = Written(0, 0, hashlib.sha256())


class CheckpointManager:
    """The checkpoints of one training; its context keeps other trainings out of the folder.

    Args:
        checkpoints: where and when; ``None`` for never.
        identity: what tells this training from others, see ``describe``.
        report: what prints a line of text.

    Raises:
        BlockingIOError: on entering the context, if another training is at work in the folder.

    Example:
        >>> with CheckpointManager(checkpoints, identity, print) as manager:
        ...     state, history = manager.restore(state)
        ...     while len(history) < n_updates:
        ...         state = advance(state, history)
        ...         manager.save_if_due(state, history)
        ...     manager.save(state, history)
    """

    def __init__(
        self,
        checkpoints: Checkpoints | None,
        identity: dict[str, Any],
        report: Callable[[str], None],
    ) -> None:
        self.checkpoints = checkpoints
        self.identity = as_json(identity)
        exact = json.dumps(self.identity.get("exact"))
        self.whose = hashlib.sha256(exact.encode()).hexdigest()
        self.report = report
        self.last_time = time.perf_counter()
        self.last_iteration: int | None = None
        self.written = NOTHING
        self.damaged: list[Path] = []
        self.others: dict[Path, AnotherTrainingError] = {}
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        if self.checkpoints is not None:
            folder = Path(self.checkpoints.folder)
            folder.mkdir(parents=True, exist_ok=True)
            self._stack.enter_context(locked(folder, TRAINING_LOCK))
            remove_partial(folder, SUFFIX)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def restore(self, state: PyTree) -> tuple[PyTree, History]:
        """The state and history to begin with: those of the last checkpoint, if it is asked for.

        A checkpoint that is damaged or of another training, or whose part of the history is
        damaged, is passed over for the one before it; if no history is whole, there are gaps in it.

        Args:
            state: before the first update.

        Raises:
            ValueError: if there are checkpoints and resuming was not asked for, they are of another
                training, or none of them can be read.
            OSError: if the history cannot be read.
        """
        if self.checkpoints is None:
            return state, History()
        files = self.checkpoints.files()
        if files and not self.checkpoints.resume:
            raise ValueError(
                f"{self.checkpoints.folder} holds checkpoints of a training; resume it, or choose "
                "another folder"
            )
        with_gaps: list[tuple[Any, ...]] = []
        for path in files:
            try:
                restored, content = read_checkpoint(path, state, self.identity)
            except AnotherTrainingError as error:
                self.report(f"{path} cannot be used: {error}.")
                self.others[path] = error
                continue
            except (OSError, ValueError, MemoryError) as error:
                self.report(f"{path} cannot be used: {error}.")
                self.damaged += [path] if isinstance(error, ValueError) else []
                continue
            history, written, is_whole = self._read_rows(content["history"])
            found = path, restored, history, written, content
            if is_whole:
                self.damaged += [each[0] for each in with_gaps]
                return self._resume(*found)
            self.report(f"The history up to {path} is damaged after {written.rows} updates.")
            with_gaps.append(found)
        if with_gaps:
            return self._resume(*with_gaps[0])
        if self.others:
            path, cause = next(iter(self.others.items()))
            raise ValueError(f"{path} cannot be resumed from: {cause}") from cause
        if files:
            names = ", ".join(path.name for path in files)
            raise ValueError(
                f"no checkpoint in {self.checkpoints.folder} can be used: {names}; to begin at the "
                "beginning, choose another folder"
            )
        return state, History()

    def until_due(self, iteration: int, n_updates: int) -> int:
        """``n_updates``, or as many as may be made before one is due by the number of updates."""
        if self.checkpoints is None or self.checkpoints.every_updates is None:
            return n_updates
        every_updates = self.checkpoints.every_updates
        return min(n_updates, every_updates - iteration % every_updates)

    def save_if_due(self, state: PyTree, history: History) -> None:
        """Write a checkpoint if it is time."""
        if self.checkpoints is None:
            return
        every_updates = self.checkpoints.every_updates
        by_number = every_updates is not None and len(history) % every_updates == 0
        if by_number or time.perf_counter() - self.last_time >= self.checkpoints.every_seconds:
            self.save(state, history)

    def save(self, state: PyTree, history: History) -> str:
        """Write a checkpoint, and return in words what there is to resume from.

        A failure is reported, and does not end the training: there is the checkpoint before it.
        """
        if self.checkpoints is None:
            return "nothing is kept"
        self.last_time = time.perf_counter()
        iteration = len(history)
        path = self.checkpoints.path(iteration)
        if iteration != self.last_iteration:
            try:
                self._write(path, state, history)
            except OSError as error:
                self.report(
                    f"The checkpoint after {iteration} updates could not be written: {error}."
                )
                return f"the last checkpoint is of update {self.last_iteration or 0}"
            self.last_iteration = iteration
            passed_over = (*self.damaged, *self.others)
            mine = [file for file in self.checkpoints.files() if file not in passed_over]
            for outdated in (*self.damaged, *mine[KEPT:]):
                if outdated != path:
                    outdated.unlink(missing_ok=True)
            self.damaged = []
        return f"the state after {iteration} updates is in {path}"

    def _resume(
        self, path: Path, state: PyTree, history: History, written: Written, content: dict[str, Any]
    ) -> tuple[PyTree, History]:
        history.skip(content["history"]["rows"] - len(history))
        history.compile_seconds = content["compile_seconds"]
        history.train_seconds = content["train_seconds"]
        self.written = written
        self.last_iteration = len(history)
        self.report(f"Resuming after {len(history)} updates, from {path}.")
        if other := other_surroundings(content["identity"], self.identity):
            self.report(
                f"It was written with {other}: the results can differ by rounding, and the "
                "functions of the training were not compared."
            )
        return state, history

    def _read_rows(self, belonging: dict[str, Any]) -> tuple[History, Written, bool]:
        """The history that belongs to a checkpoint as far as it is whole, and whether it is."""
        assert self.checkpoints is not None
        try:
            data = read_whole(self.checkpoints.rows_path)[: belonging["bytes"]]
        except FileNotFoundError:
            data = b""
        history, end = History(), 0
        with contextlib.suppress(ValueError):
            while end < len(data):
                record, after = archive.first_in(data, ROWS_KIND, end)
                if record.content != self.whose:
                    break
                history.append(record.arrays)
                end = after
        if len(history) > belonging["rows"]:  # It is not the history of this training.
            history, end = History(), 0
        written = Written(len(history), end, hashlib.sha256(data[:end]))
        return history, written, written.as_json() == belonging

    def _write(self, path: Path, state: PyTree, history: History) -> None:
        assert self.checkpoints is not None
        rows_path, written = self.checkpoints.rows_path, self.written
        if not rows_path.exists() or rows_path.stat().st_size < written.n_bytes:
            written = NOTHING  # Somebody has removed it, or cut it off.
        if len(history) > written.rows:
            record = archive.to_bytes(ROWS_KIND, self.whose, history.since(written.rows))
            append(rows_path, record, at=written.n_bytes)
            sha256 = written.sha256.copy()
            sha256.update(record)
            written = Written(len(history), written.n_bytes + len(record), sha256)
        archive.write(path, KIND, _content(self.identity, history, written), state)
        self.written = written


def read_checkpoint(
    path: Path, state: PyTree, identity: dict[str, Any]
) -> tuple[PyTree, dict[str, Any]]:
    """Read a checkpoint; no code in it is run.

    Args:
        path: of the file.
        state: like the one that was written, such as the state before the first update.
        identity: of this training.

    Returns:
        The state, and what else was written.

    Raises:
        OSError: if the file cannot be read.
        AnotherTrainingError: if it is of another training.
        ValueError: if it is no checkpoint, or damaged.
    """
    return _restored(archive.read(path, KIND), state, identity)


def to_bytes(state: PyTree, history: History, identity: dict[str, Any]) -> bytes:
    """A state with its whole history, to send it to another process.

    Args:
        state: any pytree; its arrays are kept.
        history: until now.
        identity: of this training.
    """
    content = _content(identity, history, NOTHING)
    rows = archive.to_bytes(ROWS_KIND, None, history.columns)
    return archive.to_bytes(KIND, content, state) + rows


def from_bytes(data: bytes, state: PyTree, identity: dict[str, Any]) -> tuple[PyTree, History]:
    """The inverse of ``to_bytes``; arguments and errors as of ``read_checkpoint``."""
    first, end = archive.first_in(data, KIND)
    rows, _ = archive.first_in(data, ROWS_KIND, end)
    restored, content = _restored(first, state, as_json(identity))
    return restored, History(rows.arrays, content["compile_seconds"], content["train_seconds"])


def _content(identity: dict[str, Any], history: History, written: Written) -> dict[str, Any]:
    return {
        "identity": identity,
        "history": written.as_json(),
        "compile_seconds": history.compile_seconds,
        "train_seconds": history.train_seconds,
    }


def _restored(
    file: archive.Archive, state: PyTree, identity: dict[str, Any]
) -> tuple[PyTree, dict[str, Any]]:
    """The state in an archive, if it is of this training."""
    content = file.content
    try:
        for name in ("rows", "bytes"):
            checks.whole(name, content["history"][name], at_least=0, at_most=2**62)
        differing = differences(content["identity"], identity)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"its content is not that of a checkpoint ({error!r})") from error
    if differing:
        raise AnotherTrainingError(f"it was written with {differing}")
    return file.restore(state), content
