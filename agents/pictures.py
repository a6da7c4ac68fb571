"""The pictures of a run: what is drawn, of what, into which file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import matplotlib.pyplot as plt
from fbx_env.tasks import Task
from jaxtyping import PRNGKeyArray
from matplotlib.figure import Figure

from agents.storage.files import replacing
from agents.storage.history import History
from fbx_env import Trajectory, plot, tree_take

N_DISTRIBUTION_TRIALS = 200
"""Trials in the picture of a task's distribution."""
N_SAMPLED_UNITS = 6

PICTURES = (
    *("loss_history.png", "training_and_validation.png", "reaches.png", "reaches_untrained.png"),
    *("speed_profiles.png", "activity_heatmap.png", "sampled_units.png"),
    *("preferred_directions.png", "principal_components.png", "reach_endpoints.png"),
    "reaches.gif",
)
"""Files that ``draw_training``, ``draw_reaches`` and ``draw_all`` write."""


def draw_training(folder: Path, history: History) -> None:
    """Draw the losses over training, if there was any."""
    if len(history):
        _save(plot.loss_history(history)[0], folder / "loss_history.png")


def draw_reaches(path: Path, trajectory: Trajectory) -> None:
    """Draw position, velocity and command of reaches."""
    _save(plot.effector_trajectories(trajectory)[0], path)


def draw_all(
    folder: Path,
    history: History,
    trajectory: Trajectory,
    untrained: Trajectory | None,
    task: Task,
    *,
    key: PRNGKeyArray,
) -> list[str]:
    """Draw every picture of a run.

    Args:
        folder: of the run.
        history: of its training.
        trajectory: of the trained model on the validation trials, in three directions or more.
        untrained: of the model before training, on the same trials, if that model is known.
        task: whose distribution of trials is shown.
        key: chooses the trials and units that are shown.

    Returns:
        The names of the files.
    """
    key_trials, key_units = jax.random.split(key)
    keys = jax.random.split(key_trials, N_DISTRIBUTION_TRIALS)
    trials = jax.vmap(task.sample)(keys)
    figures: dict[str, Callable[[], Any]] = {
        "reaches.png": lambda: plot.effector_trajectories(trajectory),
        "speed_profiles.png": lambda: plot.speed_profiles(trajectory),
        "reach_endpoints.png": lambda: plot.reach_endpoints(
            trials, workspace=getattr(task, "workspace", None)
        ),
    }
    if untrained is not None:
        figures["reaches_untrained.png"] = lambda: plot.effector_trajectories(untrained)
    n_units = trajectory.activity.shape[-1]
    if n_units:
        n_shown = min(N_SAMPLED_UNITS, n_units)
        figures |= {
            "activity_heatmap.png": lambda: plot.activity_heatmap(tree_take(trajectory, 0)),
            "sampled_units.png": lambda: plot.activity_sample_units(
                trajectory, n_shown, key=key_units
            ),
            "preferred_directions.png": lambda: plot.preferred_directions(trajectory),
        }
    if n_units > 1:
        figures["principal_components.png"] = lambda: plot.principal_components(trajectory)
    if len(history):
        figures = {
            "loss_history.png": lambda: plot.loss_history(history),
            "training_and_validation.png": lambda: plot.training_and_validation(history),
            **figures,
        }
    for name, draw in figures.items():
        _save(draw()[0], folder / name)
    with replacing(folder / "reaches.gif") as temporary:
        figure, _ = plot.animate_reaches(trajectory, temporary)
    plt.close(figure)
    return [*figures, "reaches.gif"]


def _save(figure: Figure, path: Path) -> None:
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=130)
    plt.close(figure)
