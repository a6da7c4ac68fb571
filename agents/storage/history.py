"""The history of a training run: every loss term, for figures, spreadsheets and pandas."""

from __future__ import annotations

import csv
import html
import io
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agents.storage.files import read_whole, replacing
from fbx_env import checks

if TYPE_CHECKING:
    import pandas

Columns = dict[str, np.ndarray]

OTHER_ROWS = ("gradient_norm", "learning_rate", "environment_steps")
"""Columns that ``extend`` takes beside the terms of the training loss."""

TAIL = 256
"""Rows are joined when they are read, and always when there are so many pieces of them."""


class History:
    """Losses and more at each update of one model, or of a group of replicates.

    Args:
        columns: as below.
        compile_seconds: spent on compilation before training began.
        train_seconds: spent on training, validation included.

    Attributes:
        columns: one array each, with an entry an update: ``iteration`` (from 0),
            ``training_<term>`` and ``training_total``, ``gradient_norm`` (before clipping),
            ``learning_rate``, ``environment_steps`` made until then, ``seconds`` since training
            began (at the end of the chunk of updates), and ``validation_<term>`` and
            ``validation_total``, NaN at updates after which there was no validation. A learner has
            those of them that apply to it. For replicates, losses and gradient norms have a second
            axis, one entry a replicate.
        compile_seconds, train_seconds: as above.

    Example:
        >>> history = History()
        >>> history.extend({"position": [0.2, 0.1], "total": [0.2, 0.1]}, seconds=0.5)
        >>> history["training_total"]
        array([0.2, 0.1])
    """

    def __init__(
        self,
        columns: Mapping[str, np.ndarray] | None = None,
        compile_seconds: float = 0.0,
        train_seconds: float = 0.0,
    ) -> None:
        self.compile_seconds = compile_seconds
        self.train_seconds = train_seconds
        # What a chunk of updates adds is kept as it comes: joining costs as much as all before it.
        self._joined = [{"iteration": np.zeros(0, int)} if columns is None else dict(columns)]
        self._tail: list[Columns] = []
        self._length = _length(self._joined[0])

    @property
    def columns(self) -> Columns:
        """The columns by their names."""
        if len(self._joined) + len(self._tail) > 1:
            self._joined, self._tail = [_join([*self._joined, *self._tail])], []
        return dict(self._joined[0])

    def __len__(self) -> int:
        """Number of updates."""
        return self._length

    def __getitem__(self, name: str) -> np.ndarray:
        """A column by its name.

        Raises:
            KeyError: naming the columns there are.
        """
        columns = self.columns
        if name not in columns:
            raise KeyError(f"no column {name!r}; there are {', '.join(columns)}")
        return columns[name]

    def __repr__(self) -> str:
        replicates = "" if self.n_replicates is None else f" of {self.n_replicates} replicates"
        losses = "".join(f", last {name} {loss:.3e}" for name, loss in self._last_losses().items())
        return f"<History of {len(self)} updates{replicates}, {len(self.columns)} columns{losses}>"

    def _repr_html_(self) -> str:
        """The columns as a table, for a notebook."""
        rows = "".join(
            f"<tr><td>{html.escape(name)}</td><td>{values.shape}</td>"
            + "".join(f"<td>{np.mean(value):.4g}</td>" for value in (values[0], values[-1]))
            + "</tr>"
            for name, values in self.columns.items()
            if len(values)
        )
        head = "<tr><th>column</th><th>shape</th><th>first</th><th>last</th></tr>"
        return f"{html.escape(repr(self))}<table>{head}{rows}</table>"

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of the loss terms, without the total."""
        prefix = "training_"
        names = (name.removeprefix(prefix) for name in self.columns if name.startswith(prefix))
        return tuple(name for name in names if name != "total")

    @property
    def n_replicates(self) -> int | None:
        """How many replicates were trained together; ``None`` for a single model."""
        shape = self.columns.get("training_total", np.zeros(0)).shape
        return shape[1] if len(shape) > 1 else None

    def replicate(self, index: int) -> History:
        """The history of one replicate, as if it had been trained alone.

        Raises:
            ValueError: if there is no such replicate.
        """
        n_replicates = self.n_replicates
        if n_replicates is None:
            raise ValueError("this is the history of a single model: there are no replicates")
        index = checks.whole("index", index, at_least=-n_replicates, at_most=n_replicates - 1)
        columns = {
            name: values if values.ndim == 1 else values[:, index]
            for name, values in self.columns.items()
        }
        return History(columns, self.compile_seconds, self.train_seconds)

    def extend(self, rows: Mapping[str, Any], seconds: float) -> None:
        """Append updates.

        Args:
            rows: loss terms and ``total``, and any of ``OTHER_ROWS``; one entry an update, losses
                and gradient norms with a second axis for replicates.
            seconds: since training began.

        Raises:
            ValueError: if rows are of different lengths, or there is no total.
        """
        # Copies: what comes in may be part of something larger, or change later.
        arrays = {name: np.array(values) for name, values in rows.items()}
        n_updates = _check_rows(arrays, "total")
        columns = {
            name if name in OTHER_ROWS else f"training_{name}": values
            for name, values in arrays.items()
        }
        iteration = len(self) + np.arange(n_updates)
        seconds_each = np.full(n_updates, seconds, float)
        self.append({"iteration": iteration, **columns, "seconds": seconds_each})

    def append(self, columns: Columns) -> None:
        """Append rows with all their columns, as ``since`` gives them.

        Raises:
            ValueError: if they are of different lengths, or there is no iteration.
        """
        n_updates = _check_rows(columns, "iteration")
        if not n_updates:
            return
        self._length += n_updates
        self._tail.append(columns)
        if len(self._tail) == TAIL:
            self._joined, self._tail = [*self._joined, _join(self._tail)], []

    def joined(self, later: History) -> History:
        """This history, and that of a training which went on from its end.

        Updates, environment steps and seconds of the later one are counted on.

        Raises:
            ValueError: if these are histories of other numbers of replicates.
        """
        if not len(self):
            return later
        if len(later) and later.n_replicates != self.n_replicates:
            raise ValueError(
                f"later must be of as many replicates, {self.n_replicates}, got "
                f"{later.n_replicates}"
            )
        before, after = self.columns, later.columns
        for name in {"seconds", "environment_steps"} & before.keys() & after.keys():
            after[name] = after[name] + before[name][-1]
        after["iteration"] = after["iteration"] + len(self)
        seconds = (
            getattr(self, name) + getattr(later, name)
            for name in ("compile_seconds", "train_seconds")
        )
        return History(_join([before, after]), *seconds)

    def skip(self, n_updates: int) -> None:
        """Append updates of which nothing is known: NaN in every column."""
        self.append({"iteration": len(self) + np.arange(n_updates)})

    def add_validation(self, terms: Mapping[str, Any]) -> None:
        """Note the validation losses after the last update, by term and in total."""
        if not len(self):
            raise ValueError("there is no update yet after which there could be a validation")
        last = self._tail[-1] if self._tail else self._joined[-1]
        for name, value in terms.items():
            values = np.asarray(value, float)
            gaps = np.full((_length(last), *values.shape), np.nan)
            # A copy: somebody may have read the column, which should stay as it was then.
            last[f"validation_{name}"] = np.array(last.get(f"validation_{name}", gaps))
            last[f"validation_{name}"][-1] = values

    def since(self, row: int) -> Columns:
        """The columns from a row on; what lies before costs nothing."""
        pieces, begin = [], len(self)
        for piece in itertools.chain(reversed(self._tail), reversed(self._joined)):
            if begin <= row:
                break
            begin -= _length(piece)
            pieces.append(piece)
        if not pieces:
            return {}
        return {name: values[row - begin :] for name, values in _join(pieces[::-1]).items()}

    def _last_losses(self) -> dict[str, float]:
        """The last total of training and of validation, means over replicates."""
        names = ("training_total", "validation_total")
        there = {name: self.columns[name] for name in names if name in self.columns}
        known = {
            name: values[np.isfinite(values).reshape(len(values), -1).all(-1)]
            for name, values in there.items()
        }
        return {name: float(np.mean(values[-1])) for name, values in known.items() if len(values)}

    def table(self) -> Columns:
        """The columns as a flat table: a replicate's column is called ``<name>/<index>``."""
        flat: Columns = {}
        for name, values in self.columns.items():
            if values.ndim == 1:
                flat[name] = values
            else:
                flat |= {f"{name}/{index}": column for index, column in enumerate(values.T)}
        return flat

    def to_frame(self) -> pandas.DataFrame:
        """The table as a pandas frame, with one row an update.

        Raises:
            ImportError: if pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise ImportError("to_frame needs pandas: pip install pandas") from error
        return pd.DataFrame(self.table())

    def save(self, path: Path | str) -> None:
        """Write the table as a CSV file in UTF-8, whole or not at all; gaps are empty cells."""
        table, path = self.table(), checks.path("path", path)
        with (
            replacing(path) as temporary,
            temporary.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.writer(file)
            writer.writerow(table)
            for row in zip(*table.values(), strict=True):
                writer.writerow("" if np.isnan(value) else f"{value:.9g}" for value in row)

    @classmethod
    def load(cls, path: Path | str) -> History:
        """Read a file that ``save`` wrote; the time spent on compilation is not in it.

        Raises:
            ValueError: if the file is not such a file.
        """
        try:
            text = read_whole(checks.path("path", path)).decode()
            names, *rows = list(csv.reader(io.StringIO(text, newline=""))) or [[]]
            if "iteration" not in names:
                raise ValueError("it has no column 'iteration'")
            values = np.array([[float(cell or "nan") for cell in row] for row in rows])
            values = values.reshape(-1, len(names))
        except (OSError, ValueError, csv.Error) as error:
            raise ValueError(f"{path} is not a training history: {error}") from error
        replicates: dict[str, list[np.ndarray]] = {}
        for name, column in zip(names, values.T, strict=True):
            replicates.setdefault(name.partition("/")[0], []).append(column)
        columns = {
            name: np.stack(group, -1) if f"{name}/0" in names else group[0]
            for name, group in replicates.items()
        }
        columns["iteration"] = columns["iteration"].astype(int)
        seconds = columns.get("seconds", np.zeros(0))
        return cls(columns=columns, train_seconds=float(seconds[-1]) if len(seconds) else 0.0)


def _check_rows(rows: Columns, required: str) -> int:
    """The number of rows; raises ``ValueError`` if they have not all as many."""
    lengths = {values.shape[:1] for values in rows.values()}
    if len(lengths) != 1 or () in lengths or required not in rows:
        shapes = ", ".join(f"{name} {values.shape}" for name, values in rows.items())
        raise ValueError(f"rows must have {required}, and all one entry an update, got {shapes}")
    return len(rows[required])


def _length(columns: Columns) -> int:
    return len(columns.get("iteration", ()))


def _join(pieces: list[Columns]) -> Columns:
    """The rows of several pieces in one; NaN where a piece lacks a column of another."""
    pieces = [piece for piece in pieces if _length(piece)] or pieces[:1]
    if len(pieces) == 1:
        return pieces[0]
    columns = {name: values for piece in pieces for name, values in piece.items()}

    def filled(piece: Columns, name: str) -> np.ndarray:
        shape = _length(piece), *columns[name].shape[1:]
        return piece[name] if name in piece else np.full(shape, np.nan)

    return {name: np.concatenate([filled(piece, name) for piece in pieces]) for name in columns}
