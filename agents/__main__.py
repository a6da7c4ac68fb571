"""The command line: ``python -m agents COMMAND``."""

from __future__ import annotations

import contextlib
import io
import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import equinox as eqx
import jax
import matplotlib
import tyro
from jaxtyping import PRNGKeyArray

from agents.bptt import BPTTConfig, TrainingError, train, train_replicates
from agents.checkpoints import load_model, save_model
from agents.compare_command import Compare
from agents.evaluation import evaluate, evaluate_replicates
from agents.history import History
from agents.pictures import PICTURES, draw_all, draw_reaches, draw_training
from agents.policies import NetworkPolicy, count_replicates, make_policy
from agents.runs import (
    RUN_FILES,
    Experiment,
    as_dict,
    key_from,
    prepare_folder,
    summary,
    versions,
    write_json,
)
from agents.sb3_command import SB3Command
from fbx_env import ReachEnv, ReachParams, Trajectory, Trial, checks, rollout, tree_take

RunFolder = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]


@dataclass(frozen=True)
class Train:
    """Train a policy by backpropagation through the environment, and judge it.

    Writes one folder: config.json, history.csv, metrics.json, model.json with model.npz,
    loss_history.png and reaches.png.
    """

    out: Path | None = None
    """Folder of the run; if not given, runs/<hidden type>-seed<seed>."""
    overwrite: bool = False
    """Replace the run that is in the folder."""
    seed: int = 0
    """For initial weights, trials and noise."""
    hidden_type: Literal["gru", "lstm", "rnn", "mlp"] = "gru"
    """The policy's hidden layer: gated, long short-term memory, leaky vanilla, or memoryless."""
    hidden_size: int = 50
    """Units in the hidden layer."""
    encoding_size: int | None = None
    """Units in a layer before the hidden one; if not given there is none."""
    n_replicates: int = 1
    """Models to train side by side, each with initial weights, trials and noise of its own."""
    experiment: Annotated[Experiment, tyro.conf.arg(name="")] = field(default_factory=Experiment)
    bptt: Annotated[BPTTConfig, tyro.conf.arg(name="")] = field(default_factory=BPTTConfig)

    def run(self) -> None:
        """Do it."""
        started = time.perf_counter()
        env, params = self.experiment.make()
        policy = self.untrained(env, params)
        key_train, key_evaluate = self.keys()[1:]
        folder = self.out or Path("runs") / f"{self.hidden_type}-seed{self.seed}"
        prepare_folder(folder, self.overwrite, (*RUN_FILES, *PICTURES))
        write_json(folder / "config.json", as_dict(self))

        fault = None
        try:
            policy, history = self.train(policy, env, params, key_train)
        except TrainingError as error:
            policy, history, fault = error.policy, error.history, error
        history.save(folder / "history.csv")
        save_model(folder, policy, params)
        metrics, trajectory = judge(
            policy,
            params,
            params.task.validation_trials(),
            self.bptt.hidden_weight,
            key_evaluate,
        )
        draw_training(folder, history)
        draw_reaches(folder / "reaches.png", trajectory)
        if fault is not None:
            raise fault
        write_json(
            folder / "metrics.json",
            {
                **metrics,
                "compile_seconds": history.compile_seconds,
                "train_seconds": history.train_seconds,
                "wall_clock_seconds": time.perf_counter() - started,
                "versions": versions(),
            },
        )
        print(f"\n{summary(metrics)}\n\nThe run is in {folder}.")

    @classmethod
    def load(cls, folder: Path) -> Train:
        """The configuration of a run that was trained.

        Raises:
            ValueError: if the folder holds none that can be read.
        """
        try:
            config = json.loads((folder / "config.json").read_text())
            config["experiment"] = Experiment(**config["experiment"])
            config["bptt"] = BPTTConfig(**config["bptt"])
            return cls(**{**config, "out": folder})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{folder} is not a run: config.json cannot be read ({error})"
            ) from error

    def keys(self) -> PRNGKeyArray:
        """Keys for the initial weights, for training and for evaluation."""
        return jax.random.split(key_from(self.seed), 3)

    def untrained(self, env: ReachEnv, params: ReachParams) -> NetworkPolicy:
        """The policy, or replicates in one pytree, with initial weights."""
        n_replicates = checks.whole("n_replicates", self.n_replicates, at_least=1)
        obs_size = env.observation_space(params).shape[0]

        def make(key: PRNGKeyArray) -> NetworkPolicy:
            return make_policy(
                self.hidden_type,
                obs_size,
                params.plant.action_size,
                self.hidden_size,
                self.encoding_size,
                key=key,
            )

        key = self.keys()[0]
        if n_replicates == 1:
            return make(key)
        return eqx.filter_vmap(make)(jax.random.split(key, n_replicates))

    def train(
        self, policy: NetworkPolicy, env: ReachEnv, params: ReachParams, key: PRNGKeyArray
    ) -> tuple[NetworkPolicy, History]:
        """Train one policy, or replicates."""
        if self.n_replicates == 1:
            return train(policy, env, params, self.bptt, key=key)
        keys = jax.random.split(key, self.n_replicates)
        return train_replicates(policy, env, params, self.bptt, keys=keys)


@dataclass(frozen=True)
class Evaluate:
    """Judge a trained policy on centre-out reaches, and draw them into its folder."""

    run_folder: RunFolder
    """Folder of the run."""
    grid_n: int = 1
    """Starts along each axis of the workspace."""
    n_directions: int = 7
    """Goals around each start."""
    distance: float = 0.5
    """From start to goal [m]."""
    seed: int = 0
    """For noise."""

    def run(self) -> None:
        """Do it."""
        policy, params = load_model(self.run_folder)
        hidden_weight = Train.load(self.run_folder).bptt.hidden_weight
        trials = params.task.validation_trials(self.grid_n, self.n_directions, self.distance)
        metrics, trajectory = judge(policy, params, trials, hidden_weight, key_from(self.seed))
        write_json(self.run_folder / "evaluation.json", metrics)
        draw_reaches(self.run_folder / "evaluation.png", trajectory)
        print(f"{summary(metrics)}\n\nWritten to evaluation.json and .png in {self.run_folder}.")


@dataclass(frozen=True)
class Plot:
    """Draw every picture of a run into its folder."""

    run_folder: RunFolder
    """Folder of the run."""
    replicate: int = 0
    """Which replicate's reaches and activity are shown, if there are several."""
    grid_n: int = 1
    """Starts along each axis of the workspace."""
    n_directions: int = 7
    """Goals around each start."""
    seed: int = 0
    """For noise, and for the units and trials that are shown."""

    def run(self) -> None:
        """Do it."""
        policy, params = load_model(self.run_folder)
        untrained = Train.load(self.run_folder).untrained(ReachEnv(), params)
        key_rollout, key_pictures = jax.random.split(key_from(self.seed))
        n_replicates = count_replicates(policy)
        index = checks.whole(
            "replicate", self.replicate, at_least=0, at_most=(n_replicates or 1) - 1
        )
        if n_replicates is not None:
            policy, untrained = (tree_take(each, index) for each in (policy, untrained))
        trials = params.task.validation_trials(self.grid_n, self.n_directions)
        trained, before = (
            rollout(ReachEnv(), params, each, trials, key_rollout) for each in (policy, untrained)
        )
        names = draw_all(
            self.run_folder,
            History.load(self.run_folder / "history.csv"),
            trained,
            before,
            params.task,
            key=key_pictures,
        )
        print(f"Drawn into {self.run_folder}: {', '.join(names)}.")


def judge(
    policy: NetworkPolicy,
    params: ReachParams,
    trials: Trial,
    hidden_weight: float,
    key: PRNGKeyArray,
) -> tuple[dict[str, Any], Trajectory]:
    """Metrics, and the trajectory of the policy, or of the first replicate if there are several."""
    env = ReachEnv()
    if count_replicates(policy) is None:
        return evaluate(policy, env, params, trials, hidden_weight=hidden_weight, key=key)
    metrics = evaluate_replicates(policy, env, params, trials, hidden_weight=hidden_weight, key=key)
    return metrics, rollout(env, params, tree_take(policy, 0), trials, key)


COMMANDS: dict[str, Any] = {
    "train": Train,
    "evaluate": Evaluate,
    "plot": Plot,
    "sb3": SB3Command,
    "compare": Compare,
}


def parse(arguments: list[str] | None = None) -> Any:
    """Read the command line; errors are two lines on standard error, and exit status 2."""
    messages = io.StringIO()
    try:
        with contextlib.redirect_stderr(messages):
            return tyro.extras.subcommand_cli_from_dict(
                COMMANDS,
                prog="python -m agents",
                description="Train and judge controllers of reaching movements.",
                args=arguments,
                config=(tyro.conf.FlagCreatePairsOff,),
            )
    except SystemExit as stop:
        if stop.code:
            print(f"error: {_without_frame(messages.getvalue())}", file=sys.stderr)
            print("`python -m agents COMMAND --help` lists what is allowed.", file=sys.stderr)
        raise


def _without_frame(message: str) -> str:
    """One line of what tyro says between a frame's title and its closing advice.

    The frame is of box-drawing characters or, where these cannot be printed, of dashes.
    """
    lines = [line.strip(" │") for line in message.splitlines()][1:]
    sections = [""]
    for line in lines:
        if set(line) <= set("╭╮╰╯─- "):
            sections.append("")
        else:
            sections[-1] += f"{line.removeprefix('Argument helptext:')} "
    kept = [text for text in sections if text and not text.startswith("For full helptext")]
    return " ".join(" ".join(kept).split()) or message


def main(arguments: list[str] | None = None) -> None:
    """Run a command; what the user got wrong is told in one line, with exit status 2."""
    matplotlib.use("agg")
    try:
        parse(arguments).run()
    except (ValueError, TypeError, OSError, TrainingError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1 if isinstance(error, TrainingError) else 2) from None


if __name__ == "__main__":
    main()
