"""Comparisons: saved runs of several learners, read, evaluated by the same code, and tabled.

Nothing here trains. A comparison is a folder with ``comparison.json``, which says what was compared
in which experiment, and one run folder for each learner and seed.
"""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from agents.evaluation import evaluate, random_trials
from agents.experiment import ROLES, Experiment
from agents.objective import losses_by_term
from agents.optimum import BestKnownLoss, NoOptimumError, OptimalLoss
from agents.optimum.best_known import BEST_KNOWN
from agents.optimum.reference import reference_loss
from agents.reports.tables import as_markdown
from agents.storage.files import write_whole
from agents.storage.history import History
from agents.storage.models import load_model
from agents.storage.runs import CONFIG, HISTORY, METRICS, key_from, read_json
from fbx_env import ReachEnv, ReachParams, Trajectory, rollout

DESCRIPTION = "comparison.json"

TASK_TOLERANCE = 1e-4
"""Losses of the same experiment may differ by this fraction between machines."""

PROBE_SEED = 0
PROBE_GAIN = 0.1
"""Largest command of the probe, as a fraction of the largest one that the plant takes."""


@dataclass(frozen=True)
class Result:
    """One learner's run, as saved.

    Attributes:
        learner: its label.
        seed: of the run.
        steps: environment steps made before each evaluation.
        seconds: since the run began to compile, at each evaluation.
        loss: the environment's terms on the validation trials, at each evaluation.
        metrics: of the policy that was kept, on the validation trials, as by ``evaluate``.
        random_metrics: the same on ``random_trials``.
        n_parameters: numbers in the policy.
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
    """A fixed feedback of the observation, whose losses distinguish experiments.

    It knows nothing of the plant or the task. Its commands are bounded, so that its losses are
    finite where those of an unstable feedback would not be.

    Attributes:
        weights: from the observation to each command.
        largest: command, for each control.
    """

    weights: Float[Array, "control observation"]
    largest: Float[Array, " control"]

    def __call__(
        self, obs: Float[Array, " observation"], carry: Any, *, key: PRNGKeyArray | None = None
    ) -> tuple[Float[Array, " control"], Any]:
        """Return the command."""
        return self.largest * jnp.tanh(self.weights @ obs), carry

    def initial_carry(self) -> Float[Array, "0"]:
        """Return nothing."""
        return jnp.zeros(0)

    def activity(self, carry: Float[Array, "0"]) -> Float[Array, "0"]:
        """Return nothing."""
        return carry


def make_probe(env: ReachEnv, params: ReachParams) -> Probe:
    """Make the probe of an experiment: the same for each part of an observation by its name.

    Parts that only some agents observe, the time and draws, have no weight in it.
    """
    layout = env.observation_layout(params)
    optional = {"time", *(draw.number for draw in params.draws)}
    generator = np.random.default_rng(PROBE_SEED)
    controls = params.plant.controls
    weights = np.zeros((len(controls), max(part.stop for part in layout.values())), np.float32)
    for name, part in layout.items():
        if name not in optional:
            size = (len(controls), part.stop - part.start)
            weights[:, part] = generator.normal(size=size)
    bounds = [[float(each.low), float(each.high)] for each in controls]
    largest = np.abs(bounds).max(1)
    return Probe(
        jnp.asarray(weights),
        PROBE_GAIN * jnp.asarray(np.where(np.isfinite(largest), largest, 1.0), float),
    )


def fingerprint(params: ReachParams) -> dict[str, float]:
    """Return the losses of a fixed policy on the validation trials and on random ones, by term.

    Experiments that differ in physics, costs or trials have different ones, also where it is the
    code that differs.
    """
    env = ReachEnv()
    losses: dict[str, float] = {}
    probe = make_probe(env, params)
    for prefix, trials in (
        ("", params.task.validation_trials()),
        ("random_", random_trials(params)),
    ):
        trajectory = rollout(env, params, probe, trials, jax.random.key(0))
        terms = losses_by_term(probe, trajectory, ())
        losses |= {f"{prefix}{name}": float(loss) for name, loss in terms.items()}
    return losses


def check_task(folder: Path, description: dict[str, Any], params: ReachParams) -> None:
    """Check that a comparison was made in the experiment as it is now.

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
            f"{description['versions'].get('fbx-env', 'unknown')}): a fixed policy had losses "
            f"{saved} there, and has {now} now; compare again, into another --out"
        )


def read_description(folder: Path) -> dict[str, Any]:
    """Return the description of the comparison in a folder.

    Raises:
        ValueError: if the folder holds no comparison.
    """
    try:
        description: dict[str, Any] = read_json(folder / DESCRIPTION)
        wanted = {"experiment", "fingerprint", "learners", "seeds", "budgets", "versions"}
        if missing := wanted - set(description):
            raise ValueError(f"{DESCRIPTION} lacks {', '.join(sorted(missing))}")
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(f"{folder} holds no comparison: {error}") from error
    return description


def experiment_of(folder: Path, description: dict[str, Any]) -> Experiment:
    """Return the experiment of a comparison.

    Raises:
        ValueError: if it has settings that there are not, as those of a later version.
    """
    try:
        experiment = _experiment(description)
        experiment.make()
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{folder} holds results from another version of the task: {error}"
        ) from error
    return experiment


def run_names(folder: Path) -> dict[str, tuple[str, int]]:
    """Return the learner and the seed of each run of a comparison, by the run's name."""
    description = read_description(folder)
    return {
        f"{learner}-seed{seed}": (learner, seed)
        for learner in description["learners"]
        for seed in description["seeds"]
    }


def load_results(folder: Path, labels: Mapping[str, str]) -> list[Result]:
    """Read and evaluate every finished run of a comparison, in the order of its description.

    Args:
        folder: of the comparison.
        labels: of the learners, by their names.

    Raises:
        ValueError: if there is no comparison or no finished run in the folder, a run cannot be
            read, or the results are from another version of the task.
    """
    description = read_description(folder)
    experiment = experiment_of(folder, description)
    check_task(folder, description, experiment.make()[1])
    finished = [name for name in run_names(folder) if is_finished(folder / name)]
    if not finished:
        raise ValueError(f"{folder} holds no finished run")
    results = []
    for name in finished:
        learner, seed = run_names(folder)[name]
        results.append(load_result(labels[learner], seed, folder / name, experiment))
    return results


def is_finished(run: Path) -> bool:
    """Return whether a run came to its end: its metrics are written last."""
    return (run / METRICS).is_file()


def load_result(label: str, seed: int, run: Path, experiment: Experiment) -> Result:
    """Read one run, and evaluate its policy.

    Raises:
        ValueError: if it cannot be read, or its experiment is another one.
    """
    history = History.load(run / HISTORY)
    policy, params = load_model(run)
    try:
        its_experiment = _experiment(read_json(run / CONFIG))
        compile_seconds = float(read_json(run / METRICS)["compile_seconds"])
        loss = np.sum([history[f"validation_{name}"] for name in params.loss.names], axis=0)
        steps = history["environment_steps"].astype(float)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"the run in {run} cannot be read: {error}") from error
    if _without_time(its_experiment) != _without_time(experiment):
        raise ValueError(f"the run in {run} is of another experiment than the comparison")
    evaluated = np.isfinite(loss)
    env, key = ReachEnv(), key_from(0)
    metrics, trajectory = evaluate(policy, env, params, params.task.validation_trials(), key=key)
    random_metrics, _ = evaluate(policy, env, params, random_trials(params), key=key)
    return Result(
        learner=label,
        seed=seed,
        steps=steps[evaluated],
        seconds=compile_seconds + history["seconds"][evaluated],
        loss=loss[evaluated],
        metrics=metrics,
        random_metrics=random_metrics,
        n_parameters=sum(leaf.size for leaf in jax.tree.leaves(policy) if eqx.is_array(leaf)),
        trajectory=trajectory,
    )


def by_learner(results: Sequence[Result]) -> dict[str, list[Result]]:
    """Return the results of each learner, in order."""
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(result.learner, []).append(result)
    return groups


def reference_of(
    params: ReachParams, n_starts: int, folder: Path
) -> OptimalLoss | BestKnownLoss | None:
    """Return the loss that learners are compared with on the validation trials, if there is one."""
    try:
        return reference_loss(
            params, params.task.validation_trials(), n_starts=n_starts, keep_in=folder
        )
    except NoOptimumError:
        return None


def table(
    results: Sequence[Result],
    params: ReachParams,
    reference: OptimalLoss | BestKnownLoss | None,
) -> list[dict[str, Any]]:
    """Return a row for each learner, with medians over its seeds, after one for the reference.

    Losses are those on the validation trials, except for the ratio on random trials.
    """
    rows: list[dict[str, Any]] = []
    is_local = reference is not None and reference.kind == BEST_KNOWN
    if reference is not None:
        exact = {"times optimum": 1.0, "times optimum, random": 1.0}
        ratios = {"times best known": 1.0} if is_local else exact
        best = {**reference.losses, "environment": reference.total}
        rows.append({"learner": reference.kind if is_local else "exact optimum", **best, **ratios})
    for label, group in by_learner(results).items():
        losses = [result.metrics["losses"] for result in group]
        metrics = [result.metrics for result in group]
        random_metrics = [result.random_metrics for result in group]
        rows.append(
            {
                "learner": label,
                "seeds": len(group),
                **{name: _median(losses, name) for name in params.loss.names},
                "environment": _median(losses, "environment"),
                **_times_best_known(_median(losses, "environment"), reference),
                "times optimum": _median(metrics, "ratio_to_optimum"),
                "times optimum, random": _median(random_metrics, "ratio_to_optimum"),
                "hidden": _median(losses, "hidden"),
                "endpoint error [mm]": 1e3 * _median(metrics, "endpoint_error"),
                "steps": int(np.median([result.steps[-1] for result in group])),
                "seconds": float(np.median([result.seconds[-1] for result in group])),
                "parameters": group[0].n_parameters,
            }
        )
    return rows


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """Return a table for people; what does not apply is left empty."""
    return as_markdown(
        [
            {name.replace("_", " "): _cell(name, row.get(name)) for name in _columns(rows)}
            for row in rows
        ]
    )


def write_csv(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write the table for programs, with every digit."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _columns(rows))
    writer.writeheader()
    writer.writerows(rows)
    write_whole(path, text.getvalue())


def _experiment(content: Mapping[str, Any]) -> Experiment:
    settings = dict(content["experiment"])
    parts = {role: tuple(settings.get(role, ())) for role in ROLES}
    return Experiment(**{**settings, **parts})


def _without_time(experiment: Experiment) -> dict[str, Any]:
    """The settings of an experiment, apart from whether the agent observes the time."""
    settings = dataclasses.asdict(experiment)
    settings["numbers"].pop("time_in_observation", None)
    return settings


def _times_best_known(
    loss: float, reference: OptimalLoss | BestKnownLoss | None
) -> dict[str, float]:
    if reference is None or reference.kind != BEST_KNOWN:
        return {}
    return {"times best known": loss / reference.total}


def _median(rows: Sequence[dict[str, Any]], name: str) -> float:
    return float(np.median([row.get(name, np.nan) for row in rows]))


def _columns(rows: Sequence[dict[str, Any]]) -> list[str]:
    longest_first = sorted(rows, key=lambda row: -len(row))
    return list(dict.fromkeys(name for row in longest_first for name in row))


def _cell(name: str, value: Any) -> str:
    if value is None or (isinstance(value, float) and not np.isfinite(value)):
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return f"{value:,}"
    if name.startswith("times "):
        return f"{value:.3f}" if value < 100 else f"{value:,.0f}"
    if name == "seconds":
        return f"{value:,.0f}"
    if name.startswith("endpoint"):
        return f"{value:.2f}"
    return "0" if abs(value) < 1e-12 else f"{value:.2e}"
