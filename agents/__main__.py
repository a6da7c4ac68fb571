"""The command line: ``python -m agents COMMAND``."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import io
import json
import platform
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import jax
import matplotlib
import matplotlib.pyplot as plt
import tyro
from jaxtyping import PRNGKeyArray

from agents.bptt import BPTTConfig, TrainingError, train
from agents.checkpoints import load_model, save_model
from agents.evaluation import evaluate
from agents.history import History
from agents.policies import make_policy
from fbx_env import ReachEnv, ReachParams, Trajectory, checks, make, plot

Corners = tuple[tuple[float, float], tuple[float, float]]


RUN_FILES = (
    *("config.json", "history.csv", "metrics.json", "model.json", "model.npz"),
    *("loss_history.png", "reaches.png", "evaluation.json", "evaluation.png"),
)
"""What a run's folder holds; replacing a run begins by removing these."""


@dataclass(frozen=True)
class Experiment:
    """The numbers of the reaching task."""

    mass: float = 1.0
    """Mass of the point [kg]."""
    damping: float = 0.0
    """Viscous damping of its movement [N s/m]."""
    dt: float = 0.05
    """Duration of a time step [s]."""
    n_steps: int = 99
    """Control steps of a trial."""
    workspace: Corners = ((-1.0, -1.0), (1.0, 1.0))
    """Where starts and goals lie: x low, y low, x high, y high [m]."""
    sensory_delay: int = 0
    """Time steps from the plant to what the policy senses."""
    sensory_noise: float = 0.0
    """Standard deviation of the noise on sensed position and velocity [m and m/s]."""
    motor_delay: int = 0
    """Time steps from a command to the force."""
    motor_noise: float = 0.0
    """Standard deviation of the constant noise on the force [N]."""
    signal_noise: float = 0.0
    """Standard deviation of the noise on the force that grows with it, as a fraction of it."""
    max_force: float = 10.0
    """Limit of the force along each axis [N]."""
    position_weight: float = 1.0
    """Weight of the squared distance to the goal."""
    final_velocity_weight: float = 1.0
    """Weight of the squared velocity at the end."""
    command_weight: float = 1e-5
    """Weight of the squared command."""
    time_exponent: float = 6.0
    """How steeply the weight of the distance rises within a trial."""
    time_in_observation: bool = False
    """Whether the policy sees the time; one without memory needs it."""

    def make(self) -> tuple[ReachEnv, ReachParams]:
        """The environment and its params."""
        overrides = dataclasses.asdict(self)
        overrides["max_steps_in_episode"] = checks.whole(
            "n_steps", overrides.pop("n_steps"), at_least=1
        )
        overrides["loss_weights"] = {
            term: overrides.pop(f"{term}_weight")
            for term in ("position", "final_velocity", "command")
        }
        return make(**overrides)


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
    experiment: Annotated[Experiment, tyro.conf.arg(name="")] = field(default_factory=Experiment)
    bptt: Annotated[BPTTConfig, tyro.conf.arg(name="")] = field(default_factory=BPTTConfig)

    def run(self) -> None:
        """Do it."""
        started = time.perf_counter()
        env, params = self.experiment.make()
        key_policy, key_train, key_evaluate = jax.random.split(key_from(self.seed), 3)
        obs_size = env.observation_space(params).shape[0]
        policy = make_policy(
            self.hidden_type,
            obs_size,
            params.plant.action_size,
            self.hidden_size,
            self.encoding_size,
            key=key_policy,
        )
        folder = self.out or Path("runs") / f"{self.hidden_type}-seed{self.seed}"
        if not self.overwrite and folder.exists() and any(folder.iterdir()):
            raise ValueError(
                f"{folder} is not empty; give another --out, or --overwrite to replace it"
            )
        folder.mkdir(parents=True, exist_ok=True)
        for name in RUN_FILES:
            (folder / name).unlink(missing_ok=True)
        write_json(folder / "config.json", _as_dict(self))

        fault = None
        try:
            policy, history = train(policy, env, params, self.bptt, key=key_train)
        except TrainingError as error:
            policy, history, fault = error.policy, error.history, error
        history.save(folder / "history.csv")
        save_model(folder, policy, params)
        metrics, trajectory = evaluate(
            policy,
            env,
            params,
            params.task.validation_trials(),
            hidden_weight=self.bptt.hidden_weight,
            key=key_evaluate,
        )
        draw_run(folder, history, trajectory)
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


@dataclass(frozen=True)
class Evaluate:
    """Judge a trained policy on centre-out reaches, and draw them into its folder."""

    run_folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
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
        hidden_weight = read_config(self.run_folder)["bptt"]["hidden_weight"]
        trials = params.task.validation_trials(self.grid_n, self.n_directions, self.distance)
        metrics, trajectory = evaluate(
            policy,
            ReachEnv(),
            params,
            trials,
            hidden_weight=hidden_weight,
            key=key_from(self.seed),
        )
        write_json(self.run_folder / "evaluation.json", metrics)
        draw_reaches(self.run_folder / "evaluation.png", trajectory)
        print(f"{summary(metrics)}\n\nWritten to evaluation.json and .png in {self.run_folder}.")


def key_from(seed: int) -> PRNGKeyArray:
    """The random key of a seed, which must fit into 32 bits.

    Raises:
        ValueError: for a seed that does not fit.
    """
    return jax.random.key(checks.whole("seed", seed, at_least=0, at_most=2**32 - 1))


def read_config(folder: Path) -> dict[str, Any]:
    """The configuration of a run.

    Raises:
        ValueError: if the folder holds none that can be read.
    """
    try:
        config = json.loads((folder / "config.json").read_text())
        config["bptt"]["hidden_weight"] + 0.0
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{folder} is not a run: config.json cannot be read ({error})") from error
    return config


def draw_run(folder: Path, history: History, trajectory: Trajectory) -> None:
    """Draw the loss history, if there is one, and the reaches of a run."""
    if len(history):
        figure, _ = plot.loss_history(history)
        _save(figure, folder / "loss_history.png")
    draw_reaches(folder / "reaches.png", trajectory)


def draw_reaches(path: Path, trajectory: Trajectory) -> None:
    """Draw position, velocity and command of reaches."""
    figure, _ = plot.effector_trajectories(trajectory)
    _save(figure, path)


def summary(metrics: dict[str, Any]) -> str:
    """The figures a reader looks for first, as lines of text."""
    losses, optimum = metrics["losses"], metrics.get("optimum", {})
    lines = [f"{'Validation loss':<18}{'policy':>12}" + f"{'optimum':>12}" * bool(optimum)]
    for name, value in losses.items():
        best = f"{optimum[name]:>12.3e}" if name in optimum else ""
        lines.append(f"  {name.replace('_', ' '):<16}{value:>12.3e}{best}")
    if "ratio_to_optimum" in metrics:
        lines.append(f"Environment's terms: {metrics['ratio_to_optimum']:.3f} times the optimum")
    else:
        lines.append(f"No exact optimum: {metrics['no_optimum']}")
    lines.append(f"Endpoint error {1e3 * metrics['endpoint_error']:.2f} mm")
    lines.append(f"Peak speed {metrics['peak_speed']:.3f} m/s")
    return "\n".join(lines)


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on."""
    packages = ("fbx-env", "jax", "jaxlib", "gymnax", "equinox", "optax", "numpy")
    return {
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in packages},
    }


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file for people and programs."""
    path.write_text(json.dumps(content, indent=2) + "\n")


def _as_dict(config: Any) -> dict[str, Any]:
    return {
        name: str(value) if isinstance(value, Path) else value
        for name, value in dataclasses.asdict(config).items()
    }


def _save(figure: Any, path: Path) -> None:
    figure.savefig(path, dpi=130)
    plt.close(figure)


def parse(arguments: list[str] | None = None) -> Train | Evaluate:
    """Read the command line; errors are two lines on standard error, and exit status 2."""
    messages = io.StringIO()
    commands: dict[str, Any] = {"train": Train, "evaluate": Evaluate}
    try:
        with contextlib.redirect_stderr(messages):
            return tyro.extras.subcommand_cli_from_dict(
                commands,
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
