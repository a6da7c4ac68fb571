"""The figures of a run: which are drawn, of what, into which file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import matplotlib as mpl
import matplotlib.pyplot as plt
from jaxtyping import PRNGKeyArray
from matplotlib.figure import Figure

from agents.storage.files import replacing
from agents.storage.history import History
from fbx_env import Task, Trajectory, plot, tree_take

N_DISTRIBUTION_TRIALS = 200
"""Trials in the figure of a task's distribution."""
N_SAMPLED_UNITS = 6

ANIMATION = "reaches.gif"

FIGURES = (
    *("loss_history", "training_and_validation", "reaches", "reaches_untrained", "speed_profiles"),
    *("activity_heatmap", "sampled_units", "preferred_directions", "principal_components"),
    "reach_endpoints",
)
"""Stems of the files that ``draw_training``, ``draw_reaches`` and ``draw_all`` write."""

FORMATS = ("png", "pdf", "svg")


def draw_training(folder: Path, history: History, progress: str) -> None:
    """Draw the losses over a column of the history, if there was any training."""
    if len(history):
        save_figure(over(progress, plot.loss_history, history), folder / "loss_history.png")


def over(progress: str, draw: Callable[[Any], Any], history: History) -> Figure:
    """Draw a history over another of its columns than the updates."""
    columns = {**history.columns, "iteration": history[progress].astype(int)}
    figure: Figure
    figure, ax = draw(History(columns))
    if progress != "iteration":
        ax.set_xlabel(progress.replace("_", " ").capitalize())
    return figure


def draw_reaches(path: Path, trajectory: Trajectory) -> None:
    """Draw position, velocity and command of reaches."""
    save_figure(plot.effector_trajectories(trajectory)[0], path)


def draw_all(
    folder: Path,
    history: History,
    trajectory: Trajectory,
    untrained: Trajectory | None,
    task: Task,
    *,
    progress: str,
    format: str,
    key: PRNGKeyArray,
) -> list[str]:
    """Draw every figure of a run.

    Args:
        folder: of the run.
        history: of its training.
        trajectory: of the trained model on the validation trials, in three directions or more.
        untrained: of the model before training, on the same trials, if that model is known.
        task: whose distribution of trials is shown.
        progress: the column of the history over which losses are drawn.
        format: one of ``FORMATS``; the animation is a GIF in any case.
        key: chooses the trials and units that are shown.

    Returns:
        The names of the files.
    """
    figures = _figures(history, trajectory, untrained, task, progress, key)
    names = [f"{stem}.{format}" for stem in FIGURES if stem in figures]
    for name in names:
        save_figure(figures[Path(name).stem]()[0], folder / name)
    with replacing(folder / ANIMATION) as temporary:
        figure, _ = plot.animate_reaches(trajectory, temporary)
    plt.close(figure)
    return [*names, ANIMATION]


def _figures(
    history: History,
    trajectory: Trajectory,
    untrained: Trajectory | None,
    task: Task,
    progress: str,
    key: PRNGKeyArray,
) -> dict[str, Callable[[], Any]]:
    """A function for each figure for which there is something to draw, by the stem of its file."""
    key_trials, key_units = jax.random.split(key)
    trials = jax.vmap(task.sample)(jax.random.split(key_trials, N_DISTRIBUTION_TRIALS))
    figures: dict[str, Callable[[], Any]] = {
        "reaches": lambda: plot.effector_trajectories(trajectory),
        "speed_profiles": lambda: plot.speed_profiles(trajectory),
        "reach_endpoints": lambda: plot.reach_endpoints(
            trials, workspace=getattr(task, "workspace", None)
        ),
    }
    if untrained is not None:
        figures["reaches_untrained"] = lambda: plot.effector_trajectories(untrained)
    n_units = trajectory.activity.shape[-1]
    if n_units:
        n_shown = min(N_SAMPLED_UNITS, n_units)
        figures |= {
            "activity_heatmap": lambda: plot.activity_heatmap(tree_take(trajectory, 0)),
            "sampled_units": lambda: plot.activity_sample_units(trajectory, n_shown, key=key_units),
            "preferred_directions": lambda: plot.preferred_directions(trajectory),
        }
    if n_units > 1:
        figures["principal_components"] = lambda: plot.principal_components(trajectory)
    if len(history):
        figures |= {
            "loss_history": lambda: (over(progress, plot.loss_history, history),),
            "training_and_validation": lambda: (
                over(progress, plot.training_and_validation, history),
            ),
        }
    return figures


def save_figure(figure: Figure, path: Path, dpi: int = 130) -> None:
    """Write a figure in the format of its suffix, with fonts that can be edited, and close it."""
    with replacing(path) as temporary, mpl.rc_context({"pdf.fonttype": 42}):
        figure.savefig(temporary, dpi=dpi)
    plt.close(figure)
