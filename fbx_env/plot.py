"""Figures of training and of reaches. Importing this module is what imports matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fbx_env.rollout import Trajectory

PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#B8A200")
"""Colours that colour-blind readers can tell apart, after Okabe and Ito (2008)."""


class LossHistory(Protocol):
    """What ``loss_history`` draws: columns by name, and the names of the loss terms."""

    @property
    def terms(self) -> Sequence[str]: ...

    def __getitem__(self, name: str) -> np.ndarray: ...


def loss_history(history: LossHistory, ax: Axes | None = None) -> tuple[Figure, Axes]:
    """Draw the training loss over the updates, in total and by term, and the validation loss.

    Args:
        history: with columns ``iteration``, ``training_<term>``, ``training_total`` and
            ``validation_total``, the last with NaN where there was no validation.
        ax: where to draw; a new figure if not given.

    Returns:
        Figure and axes, both logarithmic; the first update is drawn at 1.
    """
    if ax is None:
        _, ax = plt.subplots(figsize=(6.4, 4.4), layout="constrained")
    update = history["iteration"] + 1
    for term, color in zip(history.terms, _colors(len(history.terms)), strict=True):
        label = term.replace("_", " ")
        loss = history[f"training_{term}"]
        ax.plot(update, loss, color=color, lw=1.2, alpha=0.9, label=label)
    ax.plot(update, history["training_total"], color="black", lw=1.6, label="total")
    validation = history["validation_total"]
    seen = np.isfinite(validation)
    ax.plot(
        *(update[seen], validation[seen]),
        color="black",
        ls="none",
        marker="o",
        ms=4.5,
        mfc="white",
        label="total, validation trials",
    )
    ax.set(xscale="log", yscale="log", xlabel="Update", ylabel="Loss")
    ax.grid(alpha=0.25, lw=0.6)
    ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return _figure(ax), ax


def effector_trajectories(
    trajectory: Trajectory,
    axes: Sequence[Axes] | None = None,
    *,
    straight_guides: bool = True,
    workspace: Any = None,
) -> tuple[Figure, np.ndarray]:
    """Draw reaches in three panels: position, velocity and command.

    Args:
        trajectory: one trial, or a batch; each trial has its colour. Goals are circles, starts
            small squares.
        axes: three axes to draw into; a new figure if not given.
        straight_guides: whether to draw the straight way from each start to its goal.
        workspace: lower left and upper right corner [m] of a frame to draw.

    Returns:
        Figure and the three axes.

    Raises:
        ValueError: if the trajectory has more than one leading axis, or there are not three axes.
    """
    pos, vel, command = (
        np.asarray(values) for values in (trajectory.pos, trajectory.vel, trajectory.command)
    )
    if pos.ndim == 2:
        pos, vel, command = pos[None], vel[None], command[None]
    if pos.ndim != 3 or pos.shape[-1] != 2:
        raise ValueError(
            "trajectory must be one trial or a batch with one leading axis, "
            f"got positions of shape {pos.shape}"
        )
    start = np.asarray(trajectory.trial.start).reshape(-1, 2)
    goal = np.asarray(trajectory.trial.goal).reshape(-1, 2)
    if axes is None:
        _, axes = plt.subplots(1, 3, figsize=(11, 4), layout="constrained")
    panels = np.asarray(axes, dtype=object).ravel()
    if len(panels) != 3:
        raise ValueError(f"axes must be three axes, got {len(panels)}")

    for index, color in enumerate(_colors(len(pos))):
        if straight_guides:
            line = np.stack([start[index], goal[index]])
            panels[0].plot(*line.T, color="0.6", ls=(0, (4, 3)), lw=0.9, zorder=1)
        panels[0].plot(*goal[index], "o", ms=11, mfc="none", mec=color, mew=1.5, zorder=3)
        panels[0].plot(*start[index], "s", ms=4.5, color="0.35", zorder=3)
        for panel, values in zip(panels, (pos, vel, command), strict=True):
            panel.plot(*values[index].T, color=color, lw=1.5, marker=".", ms=3, zorder=2)
    if workspace is not None:
        low, high = np.asarray(workspace)
        frame = mpl.patches.Rectangle(
            tuple(low), *(high - low), fill=False, ec="0.5", lw=1, label="workspace"
        )
        panels[0].add_patch(frame)
    titles = {"Position": "m", "Velocity": "m/s", "Command": "N"}
    for panel, (title, unit) in zip(panels, titles.items(), strict=True):
        panel.set(title=title, xlabel=f"x [{unit}]", ylabel=f"y [{unit}]")
        panel.set_aspect("equal", adjustable="datalim")
        panel.grid(alpha=0.25, lw=0.6)
    return _figure(panels[0]), panels


def _figure(ax: Axes) -> Figure:
    figure = ax.get_figure(root=True)
    assert figure is not None
    return figure


def _colors(n: int) -> list[Any]:
    if n <= len(PALETTE):
        return list(PALETTE[:n])
    return list(mpl.colormaps["viridis"](np.linspace(0, 0.95, n)))
