"""The command ``python -m agents compare``."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, make_dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from agents.commands import options
from agents.experiment import Experiment
from agents.learners import Learner, learners
from agents.optimum.best_known import MAX_STARTS
from agents.reports import comparison
from agents.reports.comparison_figures import draw_curves, draw_side_by_side
from agents.reports.figures import save_figure
from agents.storage.files import write_whole
from agents.storage.interrupts import Interrupted, Request, requests_to_stop
from agents.storage.runs import CONFIG, key_from, versions, write_json
from fbx_env import ReachParams, checks


@dataclass(frozen=True)
class Compare:
    """Train several learners in one experiment, and compare them and the exact optimum.

    Every learner and seed is a run of its own, in a process of its own, in a folder of its own: one
    that fails leaves the others' results. Runs that are finished are not repeated, so that the same
    command goes on after an interruption.
    """

    out: Path = Path("runs/comparison")
    """Folder of the comparison."""
    redraw: bool = False
    """Only draw and tabulate again what is saved in the folder, without training."""
    learners: tuple[str, ...] = ("bptt", "ppo", "recurrent-ppo", "sac")
    """The learners to compare."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Each learner is trained once with each."""
    best_known_starts: int = 0
    """Where the optimum is not exactly known, from how many commands to look for the best known
    loss, which takes minutes; 0 for not at all."""
    experiment: tyro.conf.Suppress[Experiment] = field(default_factory=Experiment)

    @classmethod
    def default_for(cls, id: str) -> Compare:
        """Each learner trains as long as it does by itself in this environment."""
        budgets: dict[str, Any] = {
            budget_option(learner): learner.budget.by_id.get(id, learner.budget.default)
            for learner in learners().values()
        }
        return cls(**budgets)

    def run(self) -> None:
        """Train what is missing, then table and draw the results."""
        starts = self.best_known_starts
        checks.whole("best_known_starts", starts, at_least=0, at_most=MAX_STARTS)
        failed = [] if self.redraw else self.train_all()
        labels = {learner.name: learner.label for learner in learners().values()}
        results = comparison.load_results(self.out, labels)
        description = comparison.read_description(self.out)
        _, params = comparison.experiment_of(self.out, description).make()
        reference = comparison.reference_of(params, starts, self.out)
        rows = comparison.table(results, params, reference)
        text = comparison.markdown(rows)
        write_whole(self.out / "table.md", text + "\n")
        comparison.write_csv(self.out / "table.csv", rows)
        save_figure(draw_curves(results, reference), self.out / "comparison.png", dpi=110)
        save_figure(draw_side_by_side(results, params), self.out / "reaches.png", dpi=72)
        print(f"\n{text}\n\nThe comparison is in {self.out}.")
        unfinished = [
            name
            for name in comparison.run_names(self.out)
            if not comparison.is_finished(self.out / name) and name not in failed
        ]
        if unfinished:
            print(f"not finished, left out: {', '.join(unfinished)}", file=sys.stderr)
        if failed:
            print(f"error: these runs failed: {', '.join(failed)}", file=sys.stderr)
            raise SystemExit(1)

    def train_all(self) -> list[str]:
        """Train what is not finished yet; return the names of the runs that failed."""
        params = self.check()
        self.out.mkdir(parents=True, exist_ok=True)
        self.describe(params)
        failed = []
        for seed in self.seeds:
            for learner in self.compared():
                name = f"{learner.name}-seed{seed}"
                if comparison.is_finished(self.out / name):
                    print(f"{name} is finished already.")
                    continue
                print(f"\n{name}", flush=True)
                with requests_to_stop() as request:
                    status = run_apart(self.words(learner, seed), request)
                if request.signal is not None:
                    message = f"in {name}; the same command resumes it"
                    raise Interrupted(message, request.signal)
                if status != 0:
                    failed.append(name)
        if len(failed) == len(self.seeds) * len(self.learners):
            raise ValueError("every run failed, for the reasons above; there is nothing to compare")
        return failed

    def compared(self) -> list[Learner]:
        """The learners that are compared."""
        return [learners()[checks.known("learner", name, learners())] for name in self.learners]

    def budget(self, learner: Learner) -> int:
        """How long a learner trains."""
        budget: int = getattr(self, budget_option(learner))
        return budget

    def check(self) -> ReachParams:
        """Find out before training what cannot work.

        Returns:
            The params of the experiment.

        Raises:
            ValueError: for a number that is not allowed, or a learner that is not installed.
        """
        _, params = self.experiment.make()
        for name, values in (("learners", self.learners), ("seeds", self.seeds)):
            if not values or len(set(values)) < len(values):
                raise ValueError(f"{name} must be one or more, each once, got {list(values)}")
        for seed in self.seeds:
            key_from(seed)
        for learner in self.compared():
            learner.check_installed()
            program, words = f"python -m agents {learner.command}", self.words(learner, 0)
            options.parse(learner.options, words[len(learner.command.split()) :], program)
        return params

    def describe(self, params: ReachParams) -> None:
        """Write what is compared, or check that it is what the folder already holds.

        Raises:
            ValueError: if the folder holds a comparison of something else.
        """
        description: dict[str, Any] = {
            "learners": list(self.learners),
            "seeds": list(self.seeds),
            "budgets": {learner.name: self.budget(learner) for learner in self.compared()},
            "experiment": json.loads(json.dumps(dataclasses.asdict(self.experiment))),
            "fingerprint": comparison.fingerprint(params),
            "versions": versions(),
        }
        path = self.out / comparison.DESCRIPTION
        if path.exists():
            before = comparison.read_description(self.out)
            comparison.check_task(self.out, before, params)
            different = [
                budget_option(learner)
                for learner in self.compared()
                if before["budgets"].get(learner.name, self.budget(learner)) != self.budget(learner)
            ]
            if before["experiment"] != description["experiment"]:
                different.append("experiment")
            if different:
                raise ValueError(
                    f"{self.out} holds a comparison with another {', '.join(different)}; "
                    "give another --out"
                )
            description["budgets"] = before["budgets"] | description["budgets"]
            for name in ("learners", "seeds"):
                description[name] = list(dict.fromkeys([*before[name], *description[name]]))
        elif any(self.out.iterdir()):
            raise ValueError(f"{self.out} is not empty and holds no comparison; give another --out")
        write_json(path, description)

    def words(self, learner: Learner, seed: int) -> list[str]:
        """The words after ``python -m agents`` that make one run, or complete it."""
        run = self.out / f"{learner.name}-seed{seed}"
        command = learner.command.split()
        if (run / CONFIG).exists():
            return [*command, "--resume", str(run)]
        budget = learner.budget.option.replace("_", "-")
        command += ["--seed", str(seed), "--out", str(run)]
        command += [f"--{budget}", str(self.budget(learner))]
        return command + options.words_of(self.experiment)


def budget_option(learner: Learner) -> str:
    """Return the option of ``compare`` that says how long a learner trains."""
    return f"{learner.name}_{learner.budget.unit}".replace("-", "_")


def run_apart(words: list[str], request: Request) -> int:
    """Run ``python -m agents`` in a process of its own; return its exit status.

    A SIGTERM to this process reaches only it, unlike Ctrl-C, and is passed on, once.
    """
    child = subprocess.Popen([sys.executable, "-m", "agents", *words])
    passed_on = False
    while True:
        try:
            return child.wait(timeout=0.2)
        except subprocess.TimeoutExpired:
            if request.signal == signal.SIGTERM and not passed_on:
                child.send_signal(signal.SIGTERM)
                passed_on = True


def parse(words: Sequence[str], prog: str) -> Compare:
    """Read the options, which include a budget for each learner there is."""
    budgets = [
        (
            budget_option(learner),
            Annotated[int, tyro.conf.arg(help=learner.budget.text)],
            field(default=learner.budget.default),
        )
        for learner in learners().values()
    ]
    kind = make_dataclass("CompareLearners", budgets, bases=(Compare,), frozen=True)
    kind.__doc__ = Compare.__doc__
    command: Compare = options.parse(kind, words, prog)
    return command
