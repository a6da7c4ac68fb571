"""The commands ``python -m agents sb3 ppo``, ``sac`` and ``recurrent-ppo``."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import matplotlib.pyplot as plt
import tyro

from agents.checkpoints import load_model
from agents.evaluation import N_RANDOM_TRIALS, evaluate, random_trials
from agents.history import History
from agents.pictures import draw_reaches
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
from agents.sb3_recipes import PPORecipe, Recipe, RecurrentPPORecipe, SACRecipe
from fbx_env import ReachEnv, plot


@dataclass(frozen=True)
class TrainSB3:
    """What the commands of all learners have in common."""

    out: Path | None = None
    """Folder of the run; if not given, runs/<learner>-seed<seed>."""
    overwrite: bool = False
    """Replace the run that is in the folder."""
    resume: bool = False
    """Go on with the run in the folder from its last evaluation, up to --total-steps."""
    tensorboard: bool = False
    """Log for TensorBoard, into the run's folder."""
    seed: int = 0
    """For initial weights, trials, exploration and noise."""
    experiment: Annotated[Experiment, tyro.conf.arg(name="")] = field(default_factory=Experiment)


@dataclass(frozen=True)
class TrainPPO(TrainSB3):
    """Train by proximal policy optimisation (PPO).

    Writes a folder like that of ``train``, and beside it the best and the last model in
    Stable-Baselines3's own format.
    """

    recipe: Annotated[PPORecipe, tyro.conf.arg(name="")] = field(default_factory=PPORecipe)

    def run(self) -> None:
        """Do it."""
        run(self, self.recipe)


@dataclass(frozen=True)
class TrainSAC(TrainSB3):
    """Train by soft actor-critic (SAC).

    Writes a folder like that of ``train``, and beside it the best and the last model in
    Stable-Baselines3's own format.
    """

    recipe: Annotated[SACRecipe, tyro.conf.arg(name="")] = field(default_factory=SACRecipe)

    def run(self) -> None:
        """Do it."""
        run(self, self.recipe)


@dataclass(frozen=True)
class TrainRecurrentPPO(TrainSB3):
    """Train by proximal policy optimisation with memory (RecurrentPPO of sb3-contrib).

    Writes a folder like that of ``train``, and beside it the best and the last model in
    Stable-Baselines3's own format.
    """

    recipe: Annotated[RecurrentPPORecipe, tyro.conf.arg(name="")] = field(
        default_factory=RecurrentPPORecipe
    )

    def run(self) -> None:
        """Do it."""
        run(self, self.recipe)


SB3Command = (
    Annotated[TrainPPO, tyro.conf.subcommand("ppo")]
    | Annotated[TrainSAC, tyro.conf.subcommand("sac")]
    | Annotated[TrainRecurrentPPO, tyro.conf.subcommand("recurrent-ppo")]
)
"""What follows ``python -m agents sb3``."""


def run(command: TrainSB3, recipe: Recipe) -> None:
    """Train a learner, or go on training it, and write what came of it.

    Raises:
        ValueError: if Stable-Baselines3 is not installed, the folder holds another run, or there is
            nothing to resume.
        TrainingError: if the loss is not finite.
    """
    sb3 = import_sb3()
    if command.tensorboard and importlib.util.find_spec("tensorboard") is None:
        raise ValueError("--tensorboard needs TensorBoard: pip install tensorboard")
    started, cpu_started = time.perf_counter(), time.process_time()
    _, params = command.experiment.make()
    key = key_from(command.seed)
    folder = command.out or Path("runs") / f"{recipe.name}-seed{command.seed}"
    if command.resume:
        check_resumable(folder, command)
    else:
        files = (*RUN_FILES, *sb3.SB3_FILES, "loss_history.png", "reaches.png")
        prepare_folder(folder, command.overwrite, files)
    write_json(folder / "config.json", {"learner": recipe.name, **as_dict(command)})

    history = sb3.train_sb3(
        recipe,
        params,
        folder,
        seed=command.seed,
        resume=command.resume,
        tensorboard=command.tensorboard,
    )
    policy, params = load_model(folder)
    env = ReachEnv()
    metrics, trajectory = evaluate(policy, env, params, params.task.validation_trials(), key=key)
    random_metrics, _ = evaluate(policy, env, params, random_trials(params), key=key)
    draw_history(folder, history)
    draw_reaches(folder / "reaches.png", trajectory)
    packages = ("stable-baselines3", "sb3-contrib", "torch")
    write_json(
        folder / "metrics.json",
        {
            **metrics,
            "random_trials": random_metrics,
            "environment_steps": int(history["iteration"][-1]),
            "compile_seconds": history.compile_seconds,
            "train_seconds": history.train_seconds,
            "wall_clock_seconds": time.perf_counter() - started,
            "cpu_seconds": time.process_time() - cpu_started,
            "versions": {
                **versions(),
                **{name: importlib.metadata.version(name) for name in packages},
            },
        },
    )
    ratio = random_metrics.get("ratio_to_optimum")
    print(f"\n{summary(metrics)}")
    print(
        f"On {N_RANDOM_TRIALS:,} random trials: environment's terms "
        f"{random_metrics['losses']['environment']:.3e}"
        + (f", {ratio:.3f} times the optimum" if ratio else "")
    )
    print(f"\nThe run is in {folder}.")


def import_sb3() -> Any:
    """The module ``agents.sb3``, which needs an optional extra.

    Raises:
        ValueError: if the extra is not installed.
    """
    try:
        return importlib.import_module("agents.sb3")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] in ("agents", "fbx_env"):
            raise
        raise ValueError(f'{error.name} is not installed: pip install "fbx-env[sb3]"') from error


def check_resumable(folder: Path, command: TrainSB3) -> None:
    """Check that the run in a folder was begun by the same command.

    Raises:
        ValueError: if there is none, or what differs is more than the steps to train for.
    """
    try:
        before = json.loads((folder / "config.json").read_text())
        before, now = _comparable(before), _comparable(json.loads(json.dumps(as_dict(command))))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{folder} holds no run that can be resumed: {error}") from error
    different = sorted(name for name in now if before.get(name) != now[name])
    if different:
        described = ", ".join(f"{name} was {before.get(name)!r}" for name in different)
        raise ValueError(f"{folder} holds a run of another command: {described}")


def _comparable(config: dict[str, Any]) -> dict[str, Any]:
    """The settings that must be the same when a run is resumed."""
    free = ("total_steps", "n_evaluations")
    return {
        "seed": config["seed"],
        **config["experiment"],
        **{name: value for name, value in config["recipe"].items() if name not in free},
    }


def draw_history(folder: Path, history: History) -> None:
    """Draw the losses over environment steps."""
    figure, ax = plot.loss_history(history)
    ax.set_xlabel("Environment step")
    figure.savefig(folder / "loss_history.png", dpi=130)
    plt.close(figure)
