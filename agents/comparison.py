"""Comparisons: saved runs of several learners, read, judged by the same code, tabled and drawn.

Nothing here trains. A comparison is a folder with ``comparison.json``, which says what was compared
on which task, and one run folder for each learner and seed.
"""

from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter

from agents.bptt import losses_by_term
from agents.evaluation import evaluate, random_trials
from agents.lqr import OptimalPolicy, optimal_loss
from agents.storage.files import replacing
from agents.storage.history import History
from agents.storage.models import load_model
from agents.storage.runs import Experiment, key_from
from fbx_env import ReachEnv, ReachParams, Trajectory, colors, plot, rollout
from fbx_env.plot import style

LABELS = {"bptt": "BPTT", "ppo": "PPO", "recurrent-ppo": "RecurrentPPO", "sac": "SAC"}
"""The learners by the names that commands and folders use, and what figures call them."""

TASK_TOLERANCE = 1e-4
"""Losses of the same task may differ by this fraction between machines."""


@dataclass(frozen=True)
class Result:
    """One learner's run, as saved.

    Attributes:
        learner: its name, a key of ``LABELS``.
        seed: of the run.
        steps: environment steps made before each evaluation.
        seconds: since the run began to compile, at each evaluation.
        loss: the environment's terms on the validation trials, at each evaluation.
        metrics: of the model that was kept, on the validation trials, as by ``evaluate``.
        random_metrics: the same on ``random_trials``.
        n_parameters: numbers in the acting policy.
        trajectory: of the validation trials.
    """

    learner: str
    seed: int
    steps: Float[np.ndarray, " evaluations"]
    seconds: Float[np.ndarray, " evaluations"]
    loss: Float[np.ndarray, " evaluations"]
    metrics: dict[str, Any]
    random_metrics: dict[str, Any]
    n_parameters: int
    trajectory: Trajectory


class Probe(eqx.Module):
    """A spring with a damper, which knows nothing of the task: its losses tell tasks apart."""

    def __call__(
        self, obs: Float[Array, " observation"], carry: Any, *, key: PRNGKeyArray | None = None
    ) -> tuple[Float[Array, "2"], Any]:
        """Pull towards the goal."""
        return obs[0:2] - obs[4:6] - 1.5 * obs[6:8], carry

    def initial_carry(self) -> Float[Array, "0"]:
        """Nothing."""
        return jnp.zeros(0)

    def activity(self, carry: Float[Array, "0"]) -> Float[Array, "0"]:
        """None."""
        return carry


def fingerprint(params: ReachParams) -> dict[str, float]:
    """Losses of a fixed controller on the validation trials and on random ones, by term.

    Tasks that differ in physics, costs or trials have different ones, also where it is the code
    that differs; a force limit that this controller does not reach goes unseen.
    """
    losses: dict[str, float] = {}
    for prefix, trials in (
        ("", params.task.validation_trials()),
        ("random_", random_trials(params)),
    ):
        trajectory = rollout(ReachEnv(), params, Probe(), trials, jax.random.key(0))
        terms = losses_by_term(trajectory, 0.0)
        losses |= {f"{prefix}{name}": float(loss) for name, loss in terms.items()}
    return losses


def check_task(folder: Path, description: dict[str, Any], params: ReachParams) -> None:
    """Check that a comparison was made on the task as it is now.

    Raises:
        ValueError: if it was another one.
    """
    saved, now = description["fingerprint"], fingerprint(params)
    same = set(saved) == set(now) and all(
        np.isclose(saved[name], now[name], rtol=TASK_TOLERANCE, atol=1e-12) for name in now
    )
    if not same:
        raise ValueError(
            f"{folder} holds results from another version of the task (made by fbx-env "
            f"{description['versions'].get('fbx-env', 'unknown')}): a fixed controller had losses "
            f"{saved} there, and has {now} now; compare again, into another --out"
        )


def read_description(folder: Path) -> dict[str, Any]:
    """What was compared in a folder.

    Raises:
        ValueError: if the folder holds no comparison.
    """
    try:
        description = json.loads((folder / "comparison.json").read_text())
        missing = {"experiment", "fingerprint", "learners", "seeds", "versions"} - set(description)
        if missing:
            raise ValueError(f"comparison.json lacks {', '.join(sorted(missing))}")
    except (OSError, ValueError) as error:
        raise ValueError(f"{folder} holds no comparison: {error}") from error
    return description


def experiment_of(folder: Path, description: dict[str, Any]) -> Experiment:
    """What was compared on.

    Raises:
        ValueError: if it has settings that there are not, as those of a later version.
    """
    try:
        return Experiment(**description["experiment"])
    except TypeError as error:
        raise ValueError(
            f"{folder} holds results from another version of the task: {error}"
        ) from error


def unfinished_runs(folder: Path) -> list[str]:
    """The runs of a comparison that did not come to their end."""
    description = read_description(folder)
    names = [
        f"{learner}-seed{seed}"
        for learner in description["learners"]
        for seed in description["seeds"]
    ]
    return [name for name in names if not is_finished(folder / name)]


def load_results(folder: Path) -> list[Result]:
    """Read and judge every finished run of a comparison, in the order of its description.

    Raises:
        ValueError: if there is no comparison or no finished run in the folder, a run cannot be
            read, or the results are from another version of the task.
    """
    description = read_description(folder)
    experiment = experiment_of(folder, description)
    check_task(folder, description, experiment.make()[1])
    runs = [
        (learner, seed, folder / f"{learner}-seed{seed}")
        for learner in description["learners"]
        for seed in description["seeds"]
    ]
    finished = [run for run in runs if is_finished(run[2])]
    if not finished:
        raise ValueError(f"{folder} holds no finished run")
    return [load_result(learner, seed, run, experiment) for learner, seed, run in finished]


def is_finished(run: Path) -> bool:
    """Whether a run came to its end: its metrics are written last."""
    return (run / "metrics.json").is_file()


def load_result(learner: str, seed: int, run: Path, experiment: Experiment) -> Result:
    """Read one run, and judge its model.

    Raises:
        ValueError: if it cannot be read, or its experiment is another one.
    """
    history = History.load(run / "history.csv")
    policy, params = load_model(run)
    try:
        config = json.loads((run / "config.json").read_text())
        compile_seconds = json.loads((run / "metrics.json").read_text())["compile_seconds"]
        its_experiment = Experiment(**config["experiment"])
        terms = [history[f"validation_{name}"] for name in params.loss.names]
        steps = history["iteration"].astype(float)
        if learner == "bptt":
            batch = config["bptt"]["batch_size"] * params.max_steps_in_episode
            steps = (steps + 1) * batch
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"the run in {run} cannot be read: {error}") from error
    if _as_seen(its_experiment) != _as_seen(experiment):
        raise ValueError(f"the run in {run} is of another experiment than the comparison")
    loss = np.sum(terms, axis=0)
    evaluated = np.isfinite(loss)
    env, key = ReachEnv(), key_from(0)
    metrics, trajectory = evaluate(policy, env, params, params.task.validation_trials(), key=key)
    random_metrics, _ = evaluate(policy, env, params, random_trials(params), key=key)
    return Result(
        learner=learner,
        seed=seed,
        steps=steps[evaluated],
        seconds=compile_seconds + history["seconds"][evaluated],
        loss=loss[evaluated],
        metrics=metrics,
        random_metrics=random_metrics,
        n_parameters=sum(leaf.size for leaf in jax.tree.leaves(policy) if eqx.is_array(leaf)),
        trajectory=trajectory,
    )


def _as_seen(experiment: Experiment) -> dict[str, Any]:
    """What an experiment is, apart from whether the learner sees the time."""
    settings = json.loads(json.dumps(dataclasses.asdict(experiment)))
    del settings["time_in_observation"]
    return settings


def by_learner(results: Sequence[Result]) -> dict[str, list[Result]]:
    """The results of each learner, in order."""
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(result.learner, []).append(result)
    return groups


def table(results: Sequence[Result], params: ReachParams) -> list[dict[str, Any]]:
    """One row a learner, with medians over its seeds, after one for the exact optimum if known.

    Losses are those on the validation trials, except for the ratio on random trials.
    """
    names = params.loss.names
    rows: list[dict[str, Any]] = []
    try:
        optimum = optimal_loss(params, params.task.validation_trials())
    except ValueError:
        pass
    else:
        rows.append(
            {
                "learner": "exact optimum",
                **optimum.losses,
                "environment": optimum.total,
                "times optimum": 1.0,
                "times optimum, random": 1.0,
            }
        )
    for learner, group in by_learner(results).items():

        def median(*path: str, of: str = "metrics", group: list[Result] = group) -> float:
            values = []
            for result in group:
                value = getattr(result, of)
                for name in path:
                    value = value.get(name, np.nan)
                values.append(value)
            return float(np.median(values))

        rows.append(
            {
                "learner": LABELS[learner],
                "seeds": len(group),
                **{name: median("losses", name) for name in names},
                "environment": median("losses", "environment"),
                "times optimum": median("ratio_to_optimum"),
                "times optimum, random": median("ratio_to_optimum", of="random_metrics"),
                "hidden": median("losses", "hidden"),
                "endpoint error [mm]": 1e3 * median("endpoint_error"),
                "steps": int(np.median([result.steps[-1] for result in group])),
                "seconds": float(np.median([result.seconds[-1] for result in group])),
                "parameters": group[0].n_parameters,
            }
        )
    return rows


def as_markdown(rows: Sequence[dict[str, Any]]) -> str:
    """A table for people; what does not apply is left empty."""
    columns = _columns(rows)
    lines = [
        f"| {' | '.join(name.replace('_', ' ') for name in columns)} |",
        "| --- |" + " ---: |" * (len(columns) - 1),
    ]
    for row in rows:
        cells = [_cell(name, row.get(name)) for name in columns]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def write_csv(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """The table for programs, with every digit."""
    columns = _columns(rows)
    with replacing(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def _columns(rows: Sequence[dict[str, Any]]) -> list[str]:
    return list(
        dict.fromkeys(name for row in sorted(rows, key=lambda row: -len(row)) for name in row)
    )


def _cell(name: str, value: Any) -> str:
    if value is None or (isinstance(value, float) and not np.isfinite(value)):
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return f"{value:,}"
    if name.startswith("times optimum"):
        return f"{value:.3f}" if value < 100 else f"{value:,.0f}"
    if name == "seconds":
        return f"{value:,.0f}"
    if name.startswith("endpoint"):
        return f"{value:.2f}"
    return "0" if abs(value) < 1e-12 else f"{value:.2e}"


def draw_curves(results: Sequence[Result], params: ReachParams) -> Figure:
    """Draw loss against environment steps and against wall-clock, the exact optimum as a line.

    Lines are medians over seeds, bands go from the lowest to the highest. Both axes are
    logarithmic; what was before the first step or second is left out.
    """
    figure, axes = style.new_axes(1, 2, (9.6, 3.9), sharey=True)
    for (learner, group), color in zip(by_learner(results).items(), colors.PALETTE, strict=False):
        n_evaluations = min(len(result.steps) for result in group)
        losses = np.stack([result.loss[:n_evaluations] for result in group])
        steps = group[0].steps[:n_evaluations]
        seconds = np.median([result.seconds[:n_evaluations] for result in group], axis=0)
        for ax, x in zip(axes, (steps, seconds), strict=True):
            seen = x > 0
            middle, low, high = (
                reduce(losses, axis=0)[seen] for reduce in (np.median, np.min, np.max)
            )
            ax.plot(x[seen], middle, color=color, lw=1.7, marker="o", ms=3, label=LABELS[learner])
            ax.fill_between(x[seen], low, high, color=color, alpha=0.2, lw=0)
    try:
        optimum = optimal_loss(params, params.task.validation_trials()).total
    except ValueError:
        pass
    else:
        for ax in axes:
            ax.axhline(optimum, color="black", lw=1.2, ls=(0, (5, 2)), label="exact optimum")
    labels = ("Environment steps", "Wall-clock [s]")
    for ax, label in zip(axes, labels, strict=True):
        style.tidy(ax, xscale="log", yscale="log", xlabel=label)
        low, high = ax.get_xlim()
        if high > 10 * low:
            # Powers of ten are enough then; labels in between would overlap.
            ax.xaxis.set_minor_formatter(NullFormatter())
    axes[0].set_ylabel("Validation loss, environment's terms")
    n_seeds = max(len(group) for group in by_learner(results).values())
    title = "median over seeds;\nband: lowest to highest" if n_seeds > 1 else None
    style.legend_beside(axes[1], title)
    return figure


def draw_side_by_side(results: Sequence[Result], params: ReachParams) -> Figure:
    """Draw the validation reaches of each learner's first seed, and of the optimal controller."""
    columns: dict[str, Trajectory] = {}
    trials = params.task.validation_trials()
    try:
        optimal = OptimalPolicy(params)
    except ValueError:
        pass
    else:
        columns["Exact optimum"] = rollout(ReachEnv(), params, optimal, trials, key_from(0))
    for learner, group in by_learner(results).items():
        columns[LABELS[learner]] = group[0].trajectory
    figure, flat = style.new_axes(
        *(3, len(columns), (2.3 * len(columns) + 0.4, 6.9)), sharex="row", sharey="row"
    )
    axes = flat.reshape(3, len(columns))
    for column, (name, trajectory) in zip(axes.T, columns.items(), strict=True):
        plot.effector_trajectories(trajectory, column)
        column[0].set_title(name)
        for ax in column[1:]:
            ax.set_title("")
        for ax in column:
            ax.xaxis.set_major_locator(MaxNLocator(3))
    for row, what in zip(axes, ("Position", "Velocity", "Command"), strict=True):
        row[0].set_ylabel(f"{what}\n{row[0].get_ylabel()}")
        for ax in row[1:]:
            ax.set_ylabel("")
    return figure
