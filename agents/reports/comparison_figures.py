"""Figures of a comparison: loss over steps and time, and reaches side by side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter

from agents.optimum import BestKnownLoss, NoOptimumError, OptimalLoss, OptimalPolicy
from agents.optimum.best_known import BEST_KNOWN
from agents.reports.comparison import Result, by_learner
from agents.storage.runs import key_from
from fbx_env import ReachEnv, ReachParams, Trajectory, plot, rollout
from fbx_env.figures import colors, records
from fbx_env.figures.panels import effector_panels
from fbx_env.plot import style


def draw_curves(results: Sequence[Result], reference: OptimalLoss | BestKnownLoss | None) -> Figure:
    """Draw loss against environment steps and against wall-clock, the reference as a line.

    Lines are medians over seeds, bands go from the lowest to the highest. Both axes are
    logarithmic; what was before the first step or second is left out.
    """
    figure, axes = style.new_axes(1, 2, (9.6, 3.9), sharey=True)
    groups = by_learner(results)
    for (label, group), color in zip(groups.items(), colors.PALETTE, strict=False):
        _draw_learner(axes, label, group, color)
    if reference is not None:
        label = BEST_KNOWN if reference.kind == BEST_KNOWN else "exact optimum"
        for ax in axes:
            ax.axhline(reference.total, color="black", lw=1.2, ls=(0, (5, 2)), label=label)
    for ax, label in zip(axes, ("Environment steps", "Wall-clock [s]"), strict=True):
        style.tidy(ax, xscale="log", yscale="log", xlabel=label)
        low, high = ax.get_xlim()
        if high > 10 * low:
            # Powers of ten are enough then; labels in between would overlap.
            ax.xaxis.set_minor_formatter(NullFormatter())
    axes[0].set_ylabel("Validation loss, environment's terms")
    n_seeds = max(len(group) for group in groups.values())
    title = "median over seeds;\nband: lowest to highest" if n_seeds > 1 else None
    style.legend_beside(axes[1], title)
    return figure


def draw_side_by_side(results: Sequence[Result], params: ReachParams) -> Figure:
    """Draw the validation reaches of each learner's first seed, and of the optimal policy."""
    columns: dict[str, Trajectory] = {}
    trials = params.task.validation_trials()
    try:
        optimal = OptimalPolicy(params)
    except NoOptimumError:
        pass  # The learners are shown without it.
    else:
        columns["Exact optimum"] = rollout(ReachEnv(), params, optimal, trials, key_from(0))
    for label, group in by_learner(results).items():
        columns[label] = group[0].trajectory
    panels = effector_panels(records.reaches(next(iter(columns.values()))))
    shape = (len(panels), len(columns))
    size = (2.3 * len(columns) + 0.4, 2.3 * len(panels))
    figure, flat = style.new_axes(*shape, size, sharex="row", sharey="row")
    axes = flat.reshape(shape)
    for column, (label, trajectory) in zip(axes.T, columns.items(), strict=True):
        plot.effector_trajectories(trajectory, column)
        column[0].set_title(label)
        for ax in column[1:]:
            ax.set_title("")
        for ax in column:
            ax.xaxis.set_major_locator(MaxNLocator(3))
    for row, panel in zip(axes, panels, strict=True):
        row[0].set_ylabel(f"{panel.title}\n{row[0].get_ylabel()}")
        for ax in row[1:]:
            ax.set_ylabel("")
    return figure


def _draw_learner(axes: Iterable[Axes], label: str, group: Sequence[Result], color: str) -> None:
    """A learner's losses, over steps and over seconds."""
    n_evaluations = min(len(result.steps) for result in group)
    losses = np.stack([result.loss[:n_evaluations] for result in group])
    steps = group[0].steps[:n_evaluations]
    seconds = np.median([result.seconds[:n_evaluations] for result in group], axis=0)
    for ax, x in zip(axes, (steps, seconds), strict=True):
        seen = x > 0
        middle, low, high = (reduce(losses, axis=0)[seen] for reduce in (np.median, np.min, np.max))
        ax.plot(x[seen], middle, color=color, lw=1.7, marker="o", ms=3, label=label)
        ax.fill_between(x[seen], low, high, color=color, alpha=0.2, lw=0)
