"""The command ``python -m agents compare``."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import matplotlib.pyplot as plt
import tyro

from agents import comparison
from agents.bptt import BPTTConfig
from agents.sb3_recipes import PPORecipe, RecurrentPPORecipe, SACRecipe
from agents.storage.files import replacing, write_whole
from agents.storage.interrupts import Interrupted, Request, requests_to_stop
from agents.storage.runs import CONFIG, Experiment, as_dict, key_from, versions, write_json

Learner = Literal["bptt", "ppo", "sac", "recurrent-ppo"]


@dataclass(frozen=True)
class Compare:
    """Train several learners on one task, and put them beside each other and the exact optimum.

    Every learner and seed is a run of its own, in a process of its own, in a folder of its own: one
    that fails leaves the others' results. Runs that are finished are not repeated, so that the same
    command goes on after an interruption. Writes comparison.png, reaches.png, table.md and
    table.csv.
    """

    out: Path = Path("runs/comparison")
    """Folder of the comparison."""
    redraw: bool = False
    """Only draw and tabulate again what is saved in the folder, without training."""
    learners: tuple[Learner, ...] = ("bptt", "ppo", "recurrent-ppo", "sac")
    """What to compare."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Each learner is trained once with each."""
    bptt_updates: int = BPTTConfig.n_batches
    """Updates of backpropagation through time."""
    ppo_steps: int = PPORecipe.total_steps
    """Environment steps of proximal policy optimisation."""
    recurrent_ppo_steps: int = RecurrentPPORecipe.total_steps
    """Environment steps of proximal policy optimisation with memory."""
    sac_steps: int = SACRecipe.total_steps
    """Environment steps of soft actor-critic."""
    experiment: Annotated[Experiment, tyro.conf.arg(name="")] = field(default_factory=Experiment)

    def run(self) -> None:
        """Do it."""
        failed = [] if self.redraw else self.train_all()
        results = comparison.load_results(self.out)
        description = comparison.read_description(self.out)
        _, params = comparison.experiment_of(self.out, description).make()
        rows = comparison.table(results, params)
        text = comparison.as_markdown(rows)
        write_whole(self.out / "table.md", text + "\n")
        comparison.write_csv(self.out / "table.csv", rows)
        for name, draw, dpi in (
            ("comparison.png", comparison.draw_curves, 110),
            ("reaches.png", comparison.draw_side_by_side, 72),
        ):
            figure = draw(results, params)
            with replacing(self.out / name) as temporary:
                figure.savefig(temporary, dpi=dpi)
            plt.close(figure)
        print(f"\n{text}\n\nThe comparison is in {self.out}.")
        left_out = [name for name in comparison.unfinished_runs(self.out) if name not in failed]
        if left_out:
            print(f"not finished, left out: {', '.join(left_out)}", file=sys.stderr)
        if failed:
            print(f"error: these runs failed: {', '.join(failed)}", file=sys.stderr)
            raise SystemExit(1)

    def train_all(self) -> list[str]:
        """Train what is not finished yet; returns the names of the runs that failed."""
        self.check()
        self.out.mkdir(parents=True, exist_ok=True)
        self.describe()
        failed = []
        for seed in self.seeds:
            for learner in self.learners:
                name = f"{learner}-seed{seed}"
                if comparison.is_finished(self.out / name):
                    print(f"{name} is finished already.")
                    continue
                print(f"\n{name}", flush=True)
                with requests_to_stop() as request:
                    status = run_apart(self.arguments(learner, seed), request)
                if request.signal is not None:
                    raise Interrupted(f"in {name}; the same command goes on", request.signal)
                if status != 0:
                    failed.append(name)
        if len(failed) == len(self.seeds) * len(self.learners):
            raise ValueError("every run failed, for the reasons above; there is nothing to compare")
        return failed

    def check(self) -> None:
        """Find out before training what cannot work.

        Raises:
            ValueError: for a number that is not allowed.
        """
        self.experiment.make()
        for name, values in (("learners", self.learners), ("seeds", self.seeds)):
            if not values or len(set(values)) < len(values):
                raise ValueError(f"{name} must be one or more, each once, got {list(values)}")
        for seed in self.seeds:
            key_from(seed)
        BPTTConfig(n_batches=self.bptt_updates)
        PPORecipe(total_steps=self.ppo_steps)
        RecurrentPPORecipe(total_steps=self.recurrent_ppo_steps)
        SACRecipe(total_steps=self.sac_steps)
        if set(self.learners) - {"bptt"} and importlib.util.find_spec("stable_baselines3") is None:
            raise ValueError(
                'stable_baselines3 is not installed: pip install "fbx-env[sb3]", or compare '
                "--learners bptt alone"
            )

    def describe(self) -> None:
        """Write what is compared, or check that it is what the folder already holds.

        Raises:
            ValueError: if the folder holds a comparison of something else.
        """
        _, params = self.experiment.make()
        settings = json.loads(json.dumps(as_dict(self)))
        del settings["out"], settings["redraw"]
        description = {
            **settings,
            "fingerprint": comparison.fingerprint(params),
            "versions": versions(),
        }
        path = self.out / "comparison.json"
        if path.exists():
            before = comparison.read_description(self.out)
            comparison.check_task(self.out, before, params)
            different = sorted(
                name
                for name, value in settings.items()
                if name not in ("learners", "seeds") and before.get(name) != value
            )
            if different:
                raise ValueError(
                    f"{self.out} holds a comparison with another {', '.join(different)}; "
                    "give another --out"
                )
            for name in ("learners", "seeds"):
                description[name] = list(dict.fromkeys([*before[name], *description[name]]))
        elif any(self.out.iterdir()):
            raise ValueError(f"{self.out} is not empty and holds no comparison; give another --out")
        write_json(path, description)

    def arguments(self, learner: Learner, seed: int) -> list[str]:
        """What follows ``python -m agents`` to make one run."""
        run = self.out / f"{learner}-seed{seed}"
        shared = ["--seed", str(seed), "--out", str(run), *experiment_arguments(self.experiment)]
        command = ["train"] if learner == "bptt" else ["sb3", learner]
        if (run / CONFIG).exists():
            return [*command, "--resume", str(run)]
        if learner == "bptt":
            return [*command, *shared, "--n-batches", str(self.bptt_updates)]
        steps = {
            "ppo": self.ppo_steps,
            "recurrent-ppo": self.recurrent_ppo_steps,
            "sac": self.sac_steps,
        }[learner]
        return [*command, *shared, "--total-steps", str(steps)]


def run_apart(arguments: list[str], request: Request) -> int:
    """Run ``python -m agents`` in a process of its own; returns its exit status.

    A SIGTERM to this process reaches only it, unlike Ctrl-C, and is passed on, once.
    """
    child = subprocess.Popen([sys.executable, "-m", "agents", *arguments])
    is_told = False
    while True:
        try:
            return child.wait(timeout=0.2)
        except subprocess.TimeoutExpired:
            if request.signal == signal.SIGTERM and not is_told:
                child.send_signal(signal.SIGTERM)
                is_told = True


def experiment_arguments(experiment: Experiment) -> list[str]:
    """An experiment as the command line spells it."""
    arguments: list[str] = []
    for name, value in dataclasses.asdict(experiment).items():
        option = f"--{name.replace('_', '-')}"
        if isinstance(value, bool):
            arguments += [option] * value
        else:
            arguments += [option, *(str(number) for number in _flat(value))]
    return arguments


def _flat(value: Any) -> list[Any]:
    if isinstance(value, list | tuple):
        return [number for item in value for number in _flat(item)]
    return [value]
