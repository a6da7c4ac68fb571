"""Checkpoints: what a training needs to go on, after it was stopped, as if it had not been.

A checkpoint is one file: a line with the format and the SHA-256 of all that follows, then an
``npz`` archive with every array of the state and of the history, and a description in JSON. Reading
it runs no code. Every array comes back with the same bits, trials and noise are drawn from the
number of the update, and the same compiled function makes every update: so the training ends with
the same bits, on the same machine with the same versions.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np

from agents.storage.files import remove_partial, write_whole
from agents.storage.history import History
from agents.storage.runs import versions
from fbx_env import checks

FORMAT = b"fbx-env checkpoint 1 "
KEPT = 2
"""How many checkpoints are kept: if the last cannot be read, the one before it can."""

State = Any


@dataclass(frozen=True)
class Checkpoints:
    """When and where ``train`` keeps what it needs to go on after it was stopped.

    They are written at these intervals, at the end, and on SIGINT or SIGTERM, after which ``train``
    raises ``Interrupted``. The last two are kept. If one cannot be written, as on a full disk,
    training says so and goes on.

    Args:
        folder: of the checkpoints; it is made if it is not there. One training, one folder.
        every_seconds: at least so much time passes between two [s].
        every_updates: if given, one is also written whenever the number of updates made is a
            multiple of this.
        resume: whether to go on from the last checkpoint in the folder that can be read. The other
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
        found = (re.fullmatch(r"(\d+)\.checkpoint", path.name) for path in _entries(self.folder))
        iterations = sorted((int(match[1]) for match in found if match), reverse=True)
        return [self._path(iteration) for iteration in iterations]

    def remove(self) -> None:
        """Remove the checkpoints in the folder, the last one last."""
        for path in reversed(self.files()):
            path.unlink(missing_ok=True)

    def _path(self, iteration: int) -> Path:
        return Path(self.folder) / f"{iteration:09d}.checkpoint"


class Keeper:
    """The checkpoints of one training.

    Args:
        checkpoints: where and when; ``None`` for never.
        about: what tells this training from others, ready for JSON; see ``describe``.
        say: what prints a line of text.
    """

    def __init__(
        self, checkpoints: Checkpoints | None, about: dict[str, Any], say: Callable[[str], None]
    ) -> None:
        self.checkpoints = checkpoints
        self.about = about
        self.say = say
        self.last_time = time.perf_counter()
        self.last_iteration: int | None = None
        self.unusable: list[Path] = []

    def restore(self, state: State) -> tuple[State, History]:
        """The state and history to begin with: those of the last checkpoint, if it is asked for.

        Args:
            state: before the first update.

        Raises:
            ValueError: if there are checkpoints and going on was not asked for, or none of them can
                be used.
        """
        if self.checkpoints is None:
            return state, History()
        files = self.checkpoints.files()
        if files and not self.checkpoints.resume:
            raise ValueError(
                f"{self.checkpoints.folder} holds checkpoints of a training; resume it, or choose "
                "another folder"
            )
        Path(self.checkpoints.folder).mkdir(parents=True, exist_ok=True)
        remove_partial(self.checkpoints.folder)
        for path in files:
            try:
                state, history, written_with = read_checkpoint(path, state, self.about)
            except (OSError, ValueError) as error:
                self.say(f"{path} cannot be used: {error}.")
                self.unusable.append(path)
                continue
            self.last_iteration = len(history)
            self.say(f"Going on after {len(history)} updates, from {path}.")
            for name, version in surroundings().items():
                if (before := written_with.get(name)) != version:
                    self.say(
                        f"It was written with {name} {before}, this is {version}: the results can "
                        "differ by rounding."
                    )
            return state, history
        if files:
            names = ", ".join(path.name for path in files)
            raise ValueError(
                f"no checkpoint in {self.checkpoints.folder} can be used: {names}. Remove them to "
                "begin at the beginning"
            )
        return state, History()

    def until_due(self, iteration: int, n_updates: int) -> int:
        """``n_updates``, or as many as may be made before one is due by the number of updates."""
        if self.checkpoints is None or self.checkpoints.every_updates is None:
            return n_updates
        every_updates = self.checkpoints.every_updates
        return min(n_updates, every_updates - iteration % every_updates)

    def save_if_due(self, state: State, history: History) -> None:
        """Write a checkpoint if it is time."""
        if self.checkpoints is None:
            return
        every_updates = self.checkpoints.every_updates
        by_number = every_updates is not None and len(history) % every_updates == 0
        if by_number or time.perf_counter() - self.last_time >= self.checkpoints.every_seconds:
            self.save(state, history)

    def save(self, state: State, history: History) -> str:
        """Write a checkpoint, and say in words what there is to go on from.

        What fails is told, and does not end the training: there is the checkpoint before it.
        """
        if self.checkpoints is None:
            return "nothing is kept"
        self.last_time = time.perf_counter()
        iteration = len(history)
        path = self.checkpoints._path(iteration)
        if iteration != self.last_iteration:
            try:
                write_checkpoint(path, state, history, self.about)
            except OSError as error:
                self.say(f"The checkpoint after {iteration} updates could not be written: {error}.")
                return f"the last checkpoint is of update {self.last_iteration or 0}"
            self.last_iteration = iteration
            others = [file for file in self.checkpoints.files() if file not in self.unusable]
            for outdated in (*self.unusable, *others[KEPT:]):
                if outdated != path:
                    outdated.unlink(missing_ok=True)
            self.unusable = []
        return f"the state after {iteration} updates is in {path}"


def write_checkpoint(path: Path, state: State, history: History, about: dict[str, Any]) -> None:
    """Write a checkpoint, whole or not at all; arguments as of ``to_bytes``."""
    write_whole(path, to_bytes(state, history, about))


def to_bytes(state: State, history: History, about: dict[str, Any]) -> bytes:
    """What a checkpoint's file holds.

    Args:
        state: any pytree; its arrays are kept.
        history: until now.
        about: what tells this training from others, ready for JSON.
    """
    description = {
        "about": about,
        "surroundings": surroundings(),
        "compile_seconds": history.compile_seconds,
        "train_seconds": history.train_seconds,
    }
    arrays = {
        "description": np.frombuffer(json.dumps(description).encode(), np.uint8),
        **{f"history/{name}": values for name, values in history.columns.items()},
        **{f"state/{name}": _storable(leaf) for name, leaf in _named_arrays(state).items()},
    }
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    content = buffer.getvalue()
    digest = hashlib.sha256(content).hexdigest().encode()
    return FORMAT + digest + b"\n" + content


def read_checkpoint(
    path: Path, state: State, about: dict[str, Any]
) -> tuple[State, History, dict[str, str]]:
    """Read what ``write_checkpoint`` wrote.

    Raises:
        OSError: if the file cannot be opened.

    Other arguments, results and errors are as of ``from_bytes``.
    """
    return from_bytes(path.read_bytes(), state, about)


def from_bytes(
    file_content: bytes, state: State, about: dict[str, Any]
) -> tuple[State, History, dict[str, str]]:
    """The inverse of ``to_bytes``; no code in the content is run.

    Args:
        file_content: of a checkpoint.
        state: like the one that was written, such as the state before the first update.
        about: what the checkpoint should be about.

    Returns:
        The state, the history, and the versions with which they were written.

    Raises:
        ValueError: if it is no checkpoint, damaged, or about another training.
    """
    header, _, content = file_content.partition(b"\n")
    if not header.startswith(FORMAT):
        raise ValueError(f"it does not begin with {FORMAT.decode()!r}, as a checkpoint does")
    if header != FORMAT + hashlib.sha256(content).hexdigest().encode():
        raise ValueError("it is damaged: its checksum is not that of its content")
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays = dict(file)
        description = json.loads(arrays["description"].tobytes())
        differing = _differences(description["about"], about)
        if not differing:
            restored = _restore_state(arrays, state)
        columns = {
            name.removeprefix("history/"): values
            for name, values in arrays.items()
            if name.startswith("history/")
        }
        history = History(columns, description["compile_seconds"], description["train_seconds"])
        written_with = dict(description["surroundings"])
    except Exception as error:
        raise ValueError(f"its content is not that of a checkpoint ({error!r})") from error
    if differing:
        raise ValueError(f"it is of another training, with another {', '.join(differing)}")
    return restored, history, written_with


def describe(exact: Any, rounded: Any) -> dict[str, Any]:
    """What two pytrees are, as something for JSON that tells them from others.

    Args:
        exact: a pytree whose arrays count to the last bit.
        rounded: one in which floating-point arrays count by their sums, because another machine may
            compute them a little differently.
    """
    structure = re.sub(r" at 0x[0-9a-f]+", "", str(jax.tree.structure((exact, rounded))))
    return {
        "structure": hashlib.sha256(structure.encode()).hexdigest(),
        "numbers": {name: _digest(leaf) for name, leaf in _named_arrays(exact).items()},
        "weights": {
            name: _sums(leaf) if eqx.is_inexact_array(leaf) else _digest(leaf)
            for name, leaf in _named_arrays(rounded).items()
        },
    }


def surroundings() -> dict[str, str]:
    """What the last bits of a result depend on: versions, and the processor."""
    return {**versions(), "device": jax.devices()[0].device_kind}


def _entries(folder: Path | str) -> list[Path]:
    return list(Path(folder).iterdir()) if Path(folder).is_dir() else []


def _named_arrays(tree: Any) -> dict[str, Any]:
    leaves = jax.tree_util.tree_leaves_with_path(eqx.filter(tree, eqx.is_array))
    return {jax.tree_util.keystr(path): leaf for path, leaf in leaves}


def _is_key(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array) and jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _storable(leaf: Any) -> np.ndarray:
    """An array of a dtype that NumPy knows without help, with the same bits."""
    array = np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf)
    return array.view(f"u{array.itemsize}") if array.dtype.kind == "V" else array


def _restored(array: np.ndarray, like: Any) -> Any:
    """The array that ``_storable`` stored, given another one like it."""
    expected = _storable(like)
    if (array.shape, array.dtype) != (expected.shape, expected.dtype):
        raise ValueError(
            f"an array has shape {array.shape} and type {array.dtype}, expected were "
            f"{expected.shape} and {expected.dtype}"
        )
    if _is_key(like):
        return jax.random.wrap_key_data(jax.numpy.asarray(array), impl=jax.random.key_impl(like))
    return jax.numpy.asarray(array.view(like.dtype))


def _restore_state(arrays: dict[str, np.ndarray], state: State) -> State:
    dynamic, fixed = eqx.partition(state, eqx.is_array)
    restored = jax.tree_util.tree_map_with_path(
        lambda path, like: _restored(arrays[f"state/{jax.tree_util.keystr(path)}"], like), dynamic
    )
    return eqx.combine(restored, fixed)


def _digest(leaf: Any) -> str:
    array = _storable(leaf)
    return f"{array.dtype} {array.shape} {hashlib.sha256(array.tobytes()).hexdigest()}"


def _sums(leaf: Any) -> list[float]:
    array = np.asarray(leaf, np.float64)
    return [float(array.sum()), float(np.abs(array).sum())]


def _differences(one: dict[str, Any], other: dict[str, Any], prefix: str = "") -> list[str]:
    """Names of the entries in which two descriptions differ."""
    names = []
    for name in sorted({*one, *other}):
        first, second = one.get(name), other.get(name)
        if isinstance(first, dict) and isinstance(second, dict):
            names += _differences(first, second, f"{prefix}{name} ")
        elif isinstance(first, list) and isinstance(second, list):
            same = len(first) == len(second) and np.allclose(first, second, rtol=1e-4, atol=1e-6)
            names += [] if same else [f"{prefix}{name}"]
        elif first != second:
            names.append(f"{prefix}{name}")
    return names
