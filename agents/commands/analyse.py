"""The command ``python -m agents analyse``."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from agents.commands import options
from agents.commands.evaluate import params_of_first
from agents.experiment import Experiment
from agents.policies import count_replicates
from agents.reports.analysis import analyse, summary, write_analysis
from agents.storage.files import LOCK, locked, write_whole
from agents.storage.models import load_model
from agents.storage.runs import ANALYSIS, key_from, write_json
from fbx_env import checks, tree_take

SETTINGS, SUMMARY = "analysis.json", "summary.md"
"""Files beside the tables and figures: with which settings they were made, and their outline."""


@dataclass(frozen=True)
class Analyse:
    """Take the trained network of a run apart, into a folder of tables and figures."""

    run_folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """Folder of the run."""
    out: Path | None = None
    """Folder of the tables and figures; if not given, the folder analysis in that of the run."""
    epochs: tuple[str, ...] = ()
    """Epochs of the task, and the parts of its last one, "speeding up" and "braking"; if none is
    given, all epochs with steps in every trial, of reaches the last one in its two parts."""
    n_starts: int = 30
    """From how many starts to look for fixed points, of each trial."""
    format: Literal["png", "pdf", "svg"] = "png"
    """Of the figures."""
    seed: int = 0
    """For noise, and for where the search for fixed points starts."""
    experiment: tyro.conf.Suppress[Experiment] = field(default_factory=Experiment)

    def run(self) -> None:
        """Analyse, write, and print what is found."""
        checks.whole("n_starts", self.n_starts, at_least=1)
        folder = self._folder()
        policy, params = load_model(self.run_folder)
        params = self.experiment.applied_to(params)
        n_replicates = count_replicates(policy)
        policies = [policy]
        if n_replicates is not None:
            policies = [tree_take(policy, index) for index in range(n_replicates)]
        key = key_from(self.seed)
        try:
            found = analyse(
                policies, params, epochs=self.epochs or None, n_starts=self.n_starts, key=key
            )
        except ImportError as error:
            raise ValueError(str(error)) from error
        folder.mkdir(parents=True, exist_ok=True)
        text = summary(found)
        settings = {"run": str(self.run_folder), "seed": self.seed, "epochs": self.epochs}
        settings |= {"n_starts": self.n_starts, "changes": dataclasses.asdict(self.experiment)}
        with locked(folder):
            write_json(folder / SETTINGS, settings)
            names = write_analysis(folder, found, self.format)
            write_whole(folder / SUMMARY, f"{text}\n")
        names += [SUMMARY, SETTINGS]
        print(f"{text}\n\nWritten into {folder}: {', '.join(names)}.")

    def _folder(self) -> Path:
        """The folder to write into: new, empty, or of an analysis, which is replaced."""
        folder = self.out or self.run_folder / ANALYSIS
        if self.out is None and folder.is_symlink():
            raise ValueError(
                f"{folder} leads out of the run, as a symbolic link; give another --out"
            )
        there = {path.name for path in folder.iterdir()} - {LOCK} if folder.is_dir() else set()
        if there and SETTINGS not in there:
            raise ValueError(f"{folder} is not empty, and no analysis; give another --out")
        return folder


def parse(words: Sequence[str], prog: str) -> Analyse:
    """Read the options; those of the experiment are of the run among them."""
    command: Analyse = options.parse(Analyse, words, prog, params_of_first(words))
    return command
