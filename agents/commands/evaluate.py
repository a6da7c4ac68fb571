"""The command ``python -m agents evaluate``."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from agents.commands import options
from agents.commands.shared import TrainingCommand, evaluate_all
from agents.experiment import Experiment
from agents.learners import learners
from agents.objective import ActivityCost
from agents.reports.figures import draw_reaches
from agents.reports.tables import as_markdown
from agents.storage.files import locked
from agents.storage.models import load_model
from agents.storage.runs import CONFIG, HISTORY, METRICS, key_from, read_json, summary, write_json
from fbx_env import ReachParams, checks
from fbx_env.registration import default_params

RunFolders = Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]


@dataclass(frozen=True)
class Evaluate:
    """Evaluate trained policies in their experiment, or in one with other numbers."""

    run_folders: RunFolders = ()
    """Folders of the runs, one or more."""
    seed: int = 0
    """For noise, of which the figures are one draw: with others, they differ."""
    best_known_starts: int = 0
    """Where the optimum is not exactly known, from how many commands to look for the best known
    loss, which takes minutes; 0 for not at all."""
    experiment: tyro.conf.Suppress[Experiment] = field(default_factory=Experiment)

    def run(self) -> None:
        """Evaluate each run and write the metrics into its folder; table several policies."""
        if not self.run_folders:
            raise ValueError("RUN must be given: the folder of a run, or of several")
        key = key_from(self.seed)
        models = [load_model(folder) for folder in self.run_folders]
        changed = [self.experiment.applied_to(params) for _, params in models]
        each = []
        for folder, (policy, _), params in zip(self.run_folders, models, changed, strict=True):
            with locked(folder):
                trials = params.task.validation_trials()
                command = command_of(folder)
                costs = (ActivityCost(),) if command is None else command.policy_costs
                metrics, trajectory = evaluate_all(
                    policy, params, trials, costs, key, self.best_known_starts, folder
                )
                changes = dataclasses.asdict(self.experiment)
                del changes["id"]
                write_json(folder / "evaluation.json", {**metrics, "changes": changes})
                draw_reaches(folder / "evaluation.png", trajectory)
            each.append(metrics)
        if len(each) == 1:
            print(summary(each[0]))
        policies = [one for metrics in each for one in metrics.get("replicates", [metrics])]
        if len(policies) > 1:
            print(f"\n{len(policies)} policies of {len(each)} runs\n\n{spread(policies)}")
        folders = ", ".join(map(str, self.run_folders))
        print(f"\nWritten to evaluation.json and .png in {folders}.")


def spread(policies: Sequence[dict[str, Any]]) -> str:
    """Return mean, standard deviation and range of the metrics of several policies, as a table."""
    figures = [
        {
            **{name.replace("_", " "): loss for name, loss in metrics["losses"].items()},
            "times optimum": metrics.get("ratio_to_optimum", np.nan),
            "times best known": metrics.get("ratio_to_best_known", np.nan),
            "endpoint error [mm]": 1e3 * metrics["endpoint_error"],
            "peak speed [m/s]": metrics["peak_speed"],
        }
        for metrics in policies
    ]
    rows = []
    for name in figures[0]:
        values = np.array([each.get(name, np.nan) for each in figures])
        if np.isfinite(values).all():
            statistics = {"mean": values.mean(), "SD": values.std(ddof=1)}
            statistics |= {"lowest": values.min(), "highest": values.max()}
            texts = {column: f"{value:.4g}" for column, value in statistics.items()}
            rows.append({"figure": name, **texts})
    return as_markdown(rows)


def command_of(folder: Path) -> TrainingCommand | None:
    """Return the command by which a run was begun; of a saved model alone, there is none.

    Raises:
        ValueError: if the configuration is missing from a run, or cannot be read.
    """
    path = folder / CONFIG
    if not path.exists():
        # A saved model has nothing else of a run; a run that is half removed has.
        left = [name for name in (METRICS, HISTORY) if (folder / name).exists()]
        if left:
            raise ValueError(
                f"{folder} is not a run: it holds {', '.join(left)}, but no {CONFIG}; what Python "
                "saved there, agents.load_model reads"
            )
        return None
    try:
        known = learners()
        learner = known[checks.known("learner", read_json(path)["learner"], known)]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{folder} is not a run: {CONFIG} cannot be read ({error})") from error
    command: TrainingCommand = learner.options.load(folder)
    return command


def params_of_first(words: Sequence[str]) -> ReachParams:
    """Return the params of the first run among words of a command line, or the default ones."""
    for word in words:
        if Path(word).is_dir():
            try:
                params: ReachParams = load_model(word)[1]
            except ValueError:  # Reported when the run is evaluated.
                continue
            return params
    return default_params()


def parse(words: Sequence[str], prog: str) -> Evaluate:
    """Read the options; those of the experiment are of the first run among them."""
    command: Evaluate = options.parse(Evaluate, words, prog, params_of_first(words))
    return command
