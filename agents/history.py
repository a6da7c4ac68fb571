"""The history of a training run: every loss term, for figures, spreadsheets and pandas."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np


@dataclass
class History:
    """What happened at each update.

    Attributes:
        columns: one array an update: ``iteration``, ``training_<term>`` and ``training_total``,
            ``gradient_norm`` (before clipping), ``learning_rate``, ``seconds`` since training began
            (at the end of the compiled stretch of updates), and ``validation_<term>`` and
            ``validation_total``, NaN at updates after which there was no validation.
        compile_seconds: spent on compilation before training began.
        train_seconds: spent on training, validation included.
    """

    columns: dict[str, np.ndarray] = field(default_factory=dict)
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

    def extend(self, rows: Mapping[str, np.ndarray], seconds: float) -> None:
        """Append updates.

        Args:
            rows: loss terms, ``total``, ``gradient_norm`` and ``learning_rate``, one value an
                update.
            seconds: since training began.
        """
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
        n_before = len(self)
        for name in [*new, *(name for name in self.columns if name not in new)]:
            old = self.columns.get(name, np.full(n_before, np.nan))
            added = new.get(name, np.full(n_updates, np.nan))
            self.columns[name] = np.concatenate([old, added]) if n_before else added

    def add_validation(self, terms: Mapping[str, Any]) -> None:
        """Note the validation losses after the last update, by term and in total."""
        for name, value in terms.items():
            column = self.columns.setdefault(f"validation_{name}", np.full(len(self), np.nan))
            column[-1] = float(value)

    def save(self, path: Path) -> None:
        """Write a CSV file with one line an update; cells without a value are empty."""
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(self.columns)
            for row in zip(*self.columns.values(), strict=True):
                writer.writerow("" if np.isnan(value) else f"{value:.9g}" for value in row)

    @classmethod
    def load(cls, path: Path) -> History:
        """Read a file that ``save`` wrote.

        Raises:
            ValueError: if the file is not such a file.
        """
        with path.open(newline="") as file:
            names, *rows = list(csv.reader(file)) or [[]]
        if "iteration" not in names or any(len(row) != len(names) for row in rows):
            raise ValueError(f"{path} is not a training history")
        values = np.array([[float(cell or "nan") for cell in row] for row in rows])
        values = values.reshape(-1, len(names))
        columns = {name: values[:, index] for index, name in enumerate(names)}
        columns["iteration"] = columns["iteration"].astype(int)
        return cls(columns=columns)
