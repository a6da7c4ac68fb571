"""The history of a training run: every loss term, for figures, spreadsheets and pandas."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agents.storage.files import replacing
from fbx_env import checks

if TYPE_CHECKING:
    import pandas


@dataclass
class History:
    """What happened at each update of one model, or of a group of replicates.

    Attributes:
        columns: one array each, with an entry an update: ``iteration``, ``training_<term>`` and
            ``training_total``, ``gradient_norm`` (before clipping), ``learning_rate``, ``seconds``
            since training began (at the end of the compiled stretch of updates), and
            ``validation_<term>`` and ``validation_total``, NaN at updates after which there was no
            validation. For replicates, losses and gradient norms have a second axis, one entry a
            replicate.
        compile_seconds: spent on compilation before training began.
        train_seconds: spent on training, validation included.
    """

    columns: dict[str, np.ndarray] = field(default_factory=lambda: {"iteration": np.zeros(0, int)})
    compile_seconds: float = 0.0
    train_seconds: float = 0.0

    def __len__(self) -> int:
        """Number of updates."""
        return len(self.columns.get("iteration", ()))

    def __getitem__(self, name: str) -> np.ndarray:
        """A column by its name.

        Raises:
            KeyError: naming the columns there are.
        """
        if name not in self.columns:
            raise KeyError(f"no column {name!r}; there are {', '.join(self.columns)}")
        return self.columns[name]

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of the loss terms, without the total."""
        prefix = "training_"
        names = (name[len(prefix) :] for name in self.columns if name.startswith(prefix))
        return tuple(name for name in names if name != "total")

    @property
    def n_replicates(self) -> int | None:
        """How many replicates were trained together; ``None`` for a single model."""
        shape = np.shape(self.columns.get("training_total", ()))
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

    def extend(self, rows: Mapping[str, np.ndarray], seconds: float) -> None:
        """Append updates.

        Args:
            rows: loss terms, ``total``, ``gradient_norm`` and ``learning_rate``, one entry an
                update; all but the last with a second axis for replicates.
            seconds: since training began.

        Raises:
            ValueError: if rows are of different lengths, or there is no total.
        """
        lengths = {np.shape(values)[:1] for values in rows.values()}
        if len(lengths) != 1 or () in lengths or "total" not in rows:
            shapes = ", ".join(f"{name} {np.shape(values)}" for name, values in rows.items())
            raise ValueError(f"rows must have a total, and all one entry an update, got {shapes}")
        n_updates = len(rows["total"])
        known = ("gradient_norm", "learning_rate")
        new = {
            "iteration": len(self) + np.arange(n_updates),
            **{
                name if name in known else f"training_{name}": np.asarray(values)
                for name, values in rows.items()
            },
            "seconds": np.full(n_updates, seconds),
        }
        if not len(self):
            self.columns = new
            return
        for name, old in self.columns.items():
            added = new.get(name, np.full((n_updates, *old.shape[1:]), np.nan))
            self.columns[name] = np.concatenate([old, added])

    def add_validation(self, terms: Mapping[str, Any]) -> None:
        """Note the validation losses after the last update, by term and in total."""
        if not len(self):
            raise ValueError("there is no update yet after which there could be a validation")
        for name, value in terms.items():
            values = np.asarray(value, float)
            gaps = np.full((len(self), *values.shape), np.nan)
            self.columns.setdefault(f"validation_{name}", gaps)[-1] = values

    def table(self) -> dict[str, np.ndarray]:
        """The columns as a flat table: a replicate's column is called ``<name>/<index>``."""
        flat: dict[str, np.ndarray] = {}
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
        """Write the table as a CSV file, whole or not at all; cells without a value are empty."""
        table, path = self.table(), checks.path("path", path)
        with replacing(path) as temporary, temporary.open("w", newline="") as file:
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
            with checks.path("path", path).open(newline="") as file:
                names, *rows = list(csv.reader(file)) or [[]]
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
