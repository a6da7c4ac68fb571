"""The commands ``python -m agents sb3 ppo``, ``sac`` and ``recurrent-ppo``."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.metadata
import importlib.util
import json
import shlex
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import matplotlib.pyplot as plt
import tyro

from agents.evaluation import N_RANDOM_TRIALS, evaluate, random_trials
from agents.pictures import PICTURES, draw_reaches
from agents.sb3_recipes import PPORecipe, RecurrentPPORecipe, SACRecipe
from agents.storage.files import locked, remove_partial, replacing
from agents.storage.history import History
from agents.storage.interrupts import Interrupted
from agents.storage.models import load_model
from agents.storage.runs import (
    CONFIG,
    METRICS,
    RUN_FILES,
    Experiment,
    as_dict,
    key_from,
    prepare_folder,
    summary,
    versions,
    write_json,
)
from fbx_env import ReachEnv, plot


@dataclass(frozen=True)
class TrainSB3:
    """What the commands of all learners have in common."""

    out: Path | None = None
    """Folder of the run; if not given, runs/<learner>-seed<seed>."""
    overwrite: bool = False
    """Replace the run that is in the folder."""
    resume: Annotated[Path | None, tyro.conf.arg(metavar="RUN")] = None
    """Go on with a run that was stopped, from its last evaluation, with its own settings. Trials
    begin anew, so the numbers are not those of a run that was not stopped."""
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
        run(self)


@dataclass(frozen=True)
class TrainSAC(TrainSB3):
    """Train by soft actor-critic (SAC).

    Writes a folder like that of ``train``, and beside it the best and the last model in
    Stable-Baselines3's own format.
    """

    recipe: Annotated[SACRecipe, tyro.conf.arg(name="")] = field(default_factory=SACRecipe)

    def run(self) -> None:
        """Do it."""
        run(self)


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
        run(self)


SB3Command = (
    Annotated[TrainPPO, tyro.conf.subcommand("ppo")]
    | Annotated[TrainSAC, tyro.conf.subcommand("sac")]
    | Annotated[TrainRecurrentPPO, tyro.conf.subcommand("recurrent-ppo")]
)
"""What follows ``python -m agents sb3``."""


def run(command: TrainPPO | TrainSAC | TrainRecurrentPPO) -> None:
    """Train a learner, or go on training it, and write what came of it.

    Raises:
        ValueError: if Stable-Baselines3 is not installed, the folder holds another run, or there is
            nothing to resume.
        TrainingError: if the loss is not finite.
        Interrupted: if it was asked to stop.
    """
    sb3 = import_sb3()
    if command.tensorboard and importlib.util.find_spec("tensorboard") is None:
        raise ValueError("--tensorboard needs TensorBoard: pip install tensorboard")
    if command.resume is not None:
        folder, command = command.resume, stopped_run(command)
        with locked(folder):
            remove_partial(folder)
            if (folder / METRICS).exists():
                print(f"The run in {folder} is finished; there is nothing to resume.")
                return
            complete(sb3, folder, command, resume=(folder / f"{sb3.LAST}.zip").exists())
        return
    command.experiment.make()
    key_from(command.seed)
    folder = command.out or Path("runs") / f"{command.recipe.name}-seed{command.seed}"
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        prepare_folder(folder, command.overwrite, (*RUN_FILES, *PICTURES, *sb3.SB3_FILES))
        write_json(folder / CONFIG, {"learner": command.recipe.name, **as_dict(command)})
        complete(sb3, folder, command, resume=False)


def stopped_run(
    command: TrainPPO | TrainSAC | TrainRecurrentPPO,
) -> TrainPPO | TrainSAC | TrainRecurrentPPO:
    """The command by which the run in ``command.resume`` was begun.

    Raises:
        ValueError: if the folder holds no run of this learner, or the command has settings beside.
    """
    folder = command.resume
    kind: Any = type(command)
    make_recipe: Any = type(command.recipe)
    assert folder is not None
    if dataclasses.replace(command, resume=None) != kind():
        raise ValueError(
            "a run that is resumed keeps its own settings; leave out what you gave beside --resume"
        )
    try:
        config = json.loads((folder / CONFIG).read_text())
        learner = config.pop("learner", "bptt")
        if learner != command.recipe.name:
            raise ValueError(f"its learner is {learner}")
        recipe = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in config.pop("recipe").items()
        }
        experiment = Experiment(**config.pop("experiment"))
        return kind(**config, experiment=experiment, recipe=make_recipe(**recipe))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{folder} holds no run that can be resumed: {error}") from error


def complete(
    sb3: Any, folder: Path, command: TrainPPO | TrainSAC | TrainRecurrentPPO, *, resume: bool
) -> None:
    """Train, then judge, draw and write everything into the folder."""
    started, cpu_started = time.perf_counter(), time.process_time()
    _, params = command.experiment.make()
    key = key_from(command.seed)
    try:
        history = sb3.train_sb3(
            command.recipe,
            params,
            folder,
            seed=command.seed,
            resume=resume,
            tensorboard=command.tensorboard,
        )
    except Interrupted as stop:
        again = f"python -m agents sb3 {command.recipe.name} --resume {shlex.quote(str(folder))}"
        raise Interrupted(f"{stop}; go on with: {again}", stop.signal) from stop
    policy, params = load_model(folder)
    env = ReachEnv()
    metrics, trajectory = evaluate(policy, env, params, params.task.validation_trials(), key=key)
    random_metrics, _ = evaluate(policy, env, params, random_trials(params), key=key)
    draw_history(folder, history)
    draw_reaches(folder / "reaches.png", trajectory)
    packages = ("stable-baselines3", "sb3-contrib", "torch")
    write_json(
        folder / METRICS,
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


def draw_history(folder: Path, history: History) -> None:
    """Draw the losses over environment steps."""
    figure, ax = plot.loss_history(history)
    ax.set_xlabel("Environment step")
    with replacing(folder / "loss_history.png") as temporary:
        figure.savefig(temporary, dpi=130)
    plt.close(figure)
