"""Run folders: the experiment that a command line describes, and the files of a run."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import math
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
from jaxtyping import PRNGKeyArray

from agents.storage.archive import parse_json
from agents.storage.files import LOCK, TRAINING_LOCK, read_whole, remove_partial, write_whole
from fbx_env import ReachEnv, ReachParams, checks, make

Corners = tuple[tuple[float, float], tuple[float, float]]

CONFIG, METRICS = "config.json", "metrics.json"
"""A run has its configuration from its beginning, and its metrics from its end."""

MODEL, HISTORY = "policy.model", "history.csv"
"""The trained policy with its experiment, and the losses at each update."""

LEARNER = "learner.sb3"
"""What a learner of Stable-Baselines3 needs to go on, as far as it is numbers."""

CHECKPOINTS, CHECKPOINTED_ROWS = "*.checkpoint", "training.history"
"""States of a training, named by the updates made, and the history of all its updates."""

RUN_FILES = (CONFIG, METRICS, MODEL, HISTORY, "evaluation.json", "evaluation.png")
"""Files of a run's folder, beside its figures, its checkpoints, and those of other learners, in the
order in which they are removed: a run that is half removed is not one."""


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
    """Control steps of a trial, which has one state more."""
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


def key_from(seed: int) -> PRNGKeyArray:
    """The random key of a seed, which must fit into 32 bits.

    Raises:
        ValueError: for a seed that does not fit.
    """
    return jax.random.key(checks.whole("seed", seed, at_least=0, at_most=2**32 - 1))


def prepare_folder(folder: Path, overwrite: bool, files: Iterable[str]) -> None:
    """Clear the folder of a new run of the files of a run that was there.

    Args:
        folder: of the run, locked by this process.
        overwrite: whether a run that is there may be replaced.
        files: names to remove when a run is replaced.

    Raises:
        ValueError: if something is in the folder and may not be replaced.
    """
    folder.mkdir(parents=True, exist_ok=True)
    remove_partial(folder)
    there = {path.name for path in folder.iterdir()} - {LOCK, TRAINING_LOCK}
    if there and not overwrite:
        advice = "give another --out, or --overwrite to replace it"
        if CONFIG in there and METRICS not in there:
            advice = f"go on with its run by --resume, {advice}"
        raise ValueError(f"{folder} is not empty; {advice}")
    for name in files:
        (folder / name).unlink(missing_ok=True)


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
    if "replicates" in metrics:
        totals = [each["losses"]["total"] for each in metrics["replicates"]]
        lines.insert(0, f"Means of {len(totals)} replicates")
        lines.append(f"Total of each: {', '.join(f'{total:.3e}' for total in totals)}")
    lines.append(f"Endpoint error {1e3 * metrics['endpoint_error']:.2f} mm")
    lines.append(f"Peak speed {metrics['peak_speed']:.3f} m/s")
    return "\n".join(lines)


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on."""
    packages = ("fbx-env", "jax", "jaxlib", "gymnax", "equinox", "optax", "numpy")
    return {"python": platform.python_version(), **{name: _version(name) for name in packages}}


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file for people and programs: null where a number is not finite."""
    write_whole(path, json.dumps(_finite(content), indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        OSError: if the file cannot be read, or is not a regular file.
        ValueError: if it is not JSON in UTF-8, or nested too deeply.
    """
    return parse_json(read_whole(path).decode())


def _finite(content: Any) -> Any:
    """The same, with ``None`` for infinity and for what is not a number, which JSON cannot say."""
    if isinstance(content, dict):
        return {name: _finite(value) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def as_dict(config: Any) -> dict[str, Any]:
    """The fields of a configuration, ready for JSON."""
    return {
        name: str(value) if isinstance(value, Path) else value
        for name, value in dataclasses.asdict(config).items()
    }
