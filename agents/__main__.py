"""The command line: ``python -m agents COMMAND``."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGINT
from typing import Annotated, Any, Literal

import equinox as eqx
import jax
import matplotlib
import numpy as np
import tyro
from jaxtyping import PRNGKeyArray

from agents.benchmark_command import Benchmark
from agents.bptt import BPTTConfig, TrainingError, train, train_replicates
from agents.bptt.devices import Computers
from agents.compare_command import Compare
from agents.evaluation import evaluate, evaluate_replicates
from agents.pictures import PICTURES, draw_all, draw_reaches, draw_training
from agents.policies import NetworkPolicy, count_replicates, make_policy
from agents.sb3_command import SB3Command
from agents.storage.checkpoints import Checkpoints
from agents.storage.files import locked, remove_partial
from agents.storage.history import History
from agents.storage.interrupts import Interrupted
from agents.storage.models import load_model, save_model
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
from fbx_env import ReachEnv, ReachParams, Trajectory, Trial, checks, rollout, tree_take

COMPUTERS = [field.name for field in dataclasses.fields(Computers)]

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
    resume: Annotated[Path | None, tyro.conf.arg(metavar="RUN")] = None
    """Go on with a run that was stopped, from its last checkpoint, with its own settings. It ends
    with the same bits as if it had not been stopped."""
    checkpoint_seconds: float = 60.0
    """Time between two checkpoints [s]; one is also written when the run is interrupted."""
    debug_nans: bool = False
    """If a number is not finite, repeat that update operation by operation, and say which was the
    first to fail, and where."""
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
    computers: Annotated[Computers, tyro.conf.arg(name="")] = field(default_factory=Computers)

    def run(self) -> None:
        """Do it."""
        if self.computers.coordinator is not None:
            print(f"Waiting for the other processes ({self.computers.coordinator}).", flush=True)
        devices = self.computers.start()
        if jax.process_index() > 0:
            self._help(devices)
            return
        if self.resume is not None:
            self._go_on(self.resume, devices)
            return
        env, params = self.experiment.make()
        # Wait for it: if it is too large for the memory, nothing should have been written.
        policy = jax.block_until_ready(self.untrained(env, params))
        folder = self.out or Path("runs") / f"{self.hidden_type}-seed{self.seed}"
        every_seconds = checks.number("checkpoint_seconds", self.checkpoint_seconds, at_least=0)
        checkpoints = Checkpoints(folder, every_seconds=every_seconds)
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder):
            prepare_folder(folder, self.overwrite, (*RUN_FILES, *PICTURES))
            checkpoints.remove()
            write_json(folder / CONFIG, as_dict(self))
            with telling_how_to_go_on(folder):
                self.complete(folder, policy, env, params, checkpoints, devices)

    def _help(self, devices: Sequence[jax.Device] | None) -> None:
        """Train with the first process, which does all else."""
        run = self if self.resume is None else Train.load(self.resume)
        env, params = run.experiment.make()
        checkpoints = Checkpoints("of the first process")
        run.train(run.untrained(env, params), env, params, run.keys()[1], checkpoints, devices)

    def _go_on(self, folder: Path, devices: Sequence[jax.Device] | None) -> None:
        """Complete a run that was stopped."""
        mine, defaults = self._options(), Train()._options()
        others = [
            f"--{name.replace('_', '-')}"
            for name, value in defaults.items()
            if name not in ("resume", "debug_nans", *COMPUTERS) and mine[name] != value
        ]
        if others:
            raise ValueError(
                "a run that is resumed keeps its own settings; leave out what you gave beside "
                f"--resume ({', '.join(others)})"
            )
        run = dataclasses.replace(Train.load(folder), debug_nans=self.debug_nans)
        with locked(folder):
            remove_partial(folder)
            checkpoints = Checkpoints(folder, every_seconds=run.checkpoint_seconds, resume=True)
            if (folder / METRICS).exists():
                checkpoints.remove()
                print(f"The run in {folder} is finished; there is nothing to resume.")
                return
            env, params = run.experiment.make()
            policy = run.untrained(env, params)
            with telling_how_to_go_on(folder):
                run.complete(folder, policy, env, params, checkpoints, devices)

    def _options(self) -> dict[str, Any]:
        """All settings by name, on one level."""
        options = dataclasses.asdict(self)
        parts = ("experiment", "bptt", "computers")
        return {
            name: value for part in parts for name, value in options.pop(part).items()
        } | options

    def complete(
        self,
        folder: Path,
        policy: NetworkPolicy,
        env: ReachEnv,
        params: ReachParams,
        checkpoints: Checkpoints,
        devices: Sequence[jax.Device] | None,
    ) -> None:
        """Train, or go on with it, then judge, draw and write everything into the folder."""
        started = time.perf_counter()
        key_train, key_evaluate = self.keys()[1:]
        fault = None
        try:
            with jax.debug_nans(self.debug_nans):
                policy, history = self.train(policy, env, params, key_train, checkpoints, devices)
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
            folder / METRICS,
            {
                **metrics,
                "compile_seconds": history.compile_seconds,
                "train_seconds": history.train_seconds,
                "wall_clock_seconds": time.perf_counter() - started,
                "versions": versions(),
            },
        )
        # The metrics come last: a run that has them is finished, and needs no checkpoints.
        checkpoints.remove()
        print(f"\n{summary(metrics)}\n\nThe run is in {folder}.")

    @classmethod
    def load(cls, folder: Path) -> Train:
        """The configuration of a run that was trained.

        Raises:
            ValueError: if the folder holds none that can be read.
        """
        try:
            config = json.loads((folder / CONFIG).read_text())
            if "learner" in config:
                raise ValueError(f"it is a run of sb3 {config['learner']}")
            config["experiment"] = Experiment(**config["experiment"])
            config["bptt"] = BPTTConfig(**config["bptt"])
            del config["computers"]
            return cls(**{**config, "out": folder})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{folder} is not a run: {CONFIG} cannot be read ({error})") from error

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
        self,
        policy: NetworkPolicy,
        env: ReachEnv,
        params: ReachParams,
        key: PRNGKeyArray,
        checkpoints: Checkpoints,
        devices: Sequence[jax.Device] | None,
    ) -> tuple[NetworkPolicy, History]:
        """Train one policy, or replicates."""
        problem = (policy, env, params, self.bptt)
        shared: dict[str, Any] = {"checkpoints": checkpoints, "devices": devices}
        if self.n_replicates == 1:
            return train(*problem, key=key, **shared)
        return train_replicates(*problem, keys=jax.random.split(key, self.n_replicates), **shared)


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
        with locked(self.run_folder):
            self._judge(policy, params)

    def _judge(self, policy: NetworkPolicy, params: ReachParams) -> None:
        trained = training_of(self.run_folder)
        hidden_weight = BPTTConfig.hidden_weight if trained is None else trained.bptt.hidden_weight
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
    """Goals around each start, at least 3."""
    seed: int = 0
    """For noise, and for the units and trials that are shown."""

    def run(self) -> None:
        """Do it."""
        policy, params = load_model(self.run_folder)
        with locked(self.run_folder):
            self._draw(policy, params)

    def _draw(self, policy: NetworkPolicy, params: ReachParams) -> None:
        trained = training_of(self.run_folder)
        untrained = None if trained is None else trained.untrained(ReachEnv(), params)
        key_rollout, key_pictures = jax.random.split(key_from(self.seed))
        n_replicates = count_replicates(policy)
        index = checks.whole(
            "replicate", self.replicate, at_least=0, at_most=(n_replicates or 1) - 1
        )
        if n_replicates is not None:
            policy = tree_take(policy, index)
            untrained = None if untrained is None else tree_take(untrained, index)
        n_directions = checks.whole("n_directions", self.n_directions, at_least=3)
        trials = params.task.validation_trials(self.grid_n, n_directions)
        env = ReachEnv()
        trajectory = rollout(env, params, policy, trials, key_rollout)
        if not np.isfinite(trajectory.pos).all() or not np.isfinite(trajectory.activity).all():
            raise ValueError(
                f"the model in {self.run_folder} cannot be drawn: its trials are not finite"
            )
        before = None
        if untrained is not None:
            before = rollout(env, params, untrained, trials, key_rollout)
        path = self.run_folder / "history.csv"
        names = draw_all(
            self.run_folder,
            History() if trained is None else History.load(path),
            trajectory,
            before,
            params.task,
            key=key_pictures,
        )
        print(f"Drawn into {self.run_folder}: {', '.join(names)}.")


@contextlib.contextmanager
def telling_how_to_go_on(folder: Path) -> Iterator[None]:
    """Add to what interrupts a run, and to files that cannot be written, how to go on with it."""
    again = f"go on with: python -m agents train --resume {shlex.quote(str(folder))}"
    try:
        yield
    except Interrupted as stop:
        raise Interrupted(f"{stop}; {again}", stop.signal) from stop
    except KeyboardInterrupt as stop:
        raise Interrupted(f"in the middle of its work; {again}", SIGINT) from stop
    except OSError as error:
        raise OSError(f"{error}; when that is mended, {again}") from error


def training_of(folder: Path) -> Train | None:
    """How the model in a folder was trained; ``None`` if not by ``train``.

    Raises:
        ValueError: if the configuration cannot be read.
    """
    path = folder / CONFIG
    if not path.exists():
        # A saved model has nothing else of a run; a run that is half removed has.
        left = [name for name in (METRICS, "history.csv") if (folder / name).exists()]
        if left:
            raise ValueError(f"{folder} is not a run: it holds {', '.join(left)}, but no {CONFIG}")
        return None
    try:
        config = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{folder} is not a run: {CONFIG} cannot be read ({error})") from error
    return None if isinstance(config, dict) and "learner" in config else Train.load(folder)


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
    "benchmark": Benchmark,
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
    except (MemoryError, jax.errors.JaxRuntimeError) as error:
        if jax.distributed.is_initialized() and "RESOURCE_EXHAUSTED" not in str(error):
            print(f"error: the processes lost each other: {error}", file=sys.stderr)
            print("Another of them may have ended, and told why.", file=sys.stderr)
            raise SystemExit(2) from None
        print(f"error: this is too much for the machine: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except Interrupted as stop:
        print(f"stopped: {stop}", file=sys.stderr)
        raise SystemExit(128 + stop.signal) from None
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        raise SystemExit(128 + SIGINT) from None


if __name__ == "__main__":
    main()
