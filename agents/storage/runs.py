"""The folder of a run: its files by their names, its metrics, and what it was made with."""

from __future__ import annotations

import importlib.metadata
import json
import math
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jax
from jaxtyping import PRNGKeyArray

from agents.storage.archive import parse_json
from agents.storage.files import LOCK, TRAINING_LOCK, read_whole, remove_partial, write_whole
from fbx_env import checks

CONFIG, METRICS = "config.json", "metrics.json"
"""A run has its configuration from its beginning, and its metrics from its end."""

MODEL, HISTORY = "policy.model", "history.csv"
"""The trained policy with its experiment, and the losses at each update."""

BEST_KNOWN = "best_known.json"
"""The best loss that is known where the optimum is not, and for which experiment."""

CHECKPOINTS, CHECKPOINTED_ROWS = "*.checkpoint", "training.history"
"""States of a training, named by the updates made, and the history of all its updates."""

ANALYSIS = "analysis"
"""Folder of the tables and figures of an analysis."""

RUN_FILES = (CONFIG, METRICS, MODEL, HISTORY, BEST_KNOWN, "evaluation.json", "evaluation.png")
"""Files of a run's folder, beside its figures, its checkpoints, and those of other learners, in the
order in which they are removed: a run that is half removed is not one."""


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
            advice = f"resume its run by --resume, {advice}"
        raise ValueError(f"{folder} is not empty; {advice}")
    for name in files:
        (folder / name).unlink(missing_ok=True)


def summary(metrics: dict[str, Any]) -> str:
    """The figures a reader looks for first, as lines of text."""
    losses = metrics["losses"]
    kind = "best_known" if "best_known" in metrics else "optimum"
    reference, label = metrics.get(kind, {}), kind.replace("_", " ")
    lines = [f"{'Validation loss':<18}{'policy':>12}" + f"{label:>12}" * bool(reference)]
    for name, value in losses.items():
        best = f"{reference[name]:>12.3e}" if name in reference else ""
        lines.append(f"  {name.replace('_', ' '):<16}{value:>12.3e}{best}")
    if (ratio := f"ratio_to_{kind}") in metrics:
        lines.append(f"Environment's terms: {metrics[ratio]:.3f} times the {label}")
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
