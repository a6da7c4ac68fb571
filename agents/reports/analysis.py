"""The tables and figures of the analysis of a trained network, or of replicates."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from agents.analysis import (
    FixedPoints,
    dimensionality,
    fixed_points,
    input_gradients,
    linearise,
    subspace_angles,
    tuning,
)
from agents.lesions import Lesions, lesion
from agents.reports.figures import save_figure
from agents.reports.tables import as_markdown
from agents.storage.files import write_whole
from fbx_env import ReachEnv, ReachParams, Trajectory, plot, rollout
from fbx_env.measures import import_pandas
from fbx_env.plot.network import N_MODES

if TYPE_CHECKING:
    import pandas

STEMS = ("tuning", "dimensionality", "subspace_angles", "fixed_points", "eigenvalues", "units")
"""Of the tables, which are CSV files."""


@dataclasses.dataclass(frozen=True)
class Analysis:
    """What was found of one network, or of replicates one after the other.

    Attributes:
        tables: by the stem of their file; with a column ``replicate`` if there are several.
        refused: what could not be computed of one of them, with the reason.
        trajectory: of the first network.
        points: its fixed points.
        lesions: the loss without each of its units; ``None`` if they cannot be silenced.
    """

    tables: dict[str, pandas.DataFrame]
    refused: dict[str, str]
    trajectory: Trajectory
    points: FixedPoints
    lesions: Lesions | None


def analyse(
    policies: Sequence[Any],
    params: ReachParams,
    *,
    epochs: Sequence[str] | None = None,
    n_starts: int = 30,
    key: PRNGKeyArray,
) -> Analysis:
    """Analyse networks on the validation trials of their experiment.

    Args:
        policies: one, or replicates.
        params: the experiment.
        epochs: as of ``agents.analysis.tuning``.
        n_starts: of the search for fixed points, of each trial.
        key: for noise, draws, and the starts of the search.

    Raises:
        ValueError: if a policy remembers nothing or moves in no finite way, there is no such epoch,
            or a number is out of range.
        ImportError: if pandas is not installed.
    """
    pd = import_pandas()
    each = [_analyse_one(policy, params, epochs, n_starts, key) for policy in policies]
    tables: dict[str, pandas.DataFrame] = {}
    for stem in STEMS:
        frames = [(index, one.tables[stem]) for index, one in enumerate(each) if stem in one.tables]
        if len(policies) > 1:
            for index, frame in frames:
                frame.insert(0, "replicate", index)
        if frames:
            tables[stem] = pd.concat([frame for _, frame in frames], ignore_index=True)
    refused = {stem: reason for one in each for stem, reason in one.refused.items()}
    return dataclasses.replace(each[0], tables=tables, refused=refused)


def _analyse_one(
    policy: Any,
    params: ReachParams,
    epochs: Sequence[str] | None,
    n_starts: int,
    key: PRNGKeyArray,
) -> Analysis:
    env, trials = ReachEnv(), params.task.validation_trials()
    key_rollout, key_starts = jax.random.split(key)
    trajectory = rollout(env, params, policy, trials, key_rollout)
    points = fixed_points(policy, trajectory, n_starts=n_starts, key=key_starts)
    linear = linearise(policy, params, trials, trajectory.drawn)
    tables = {"fixed_points": points.frame(), "eigenvalues": linear.frame()}
    refused = {}
    by_epoch: dict[str, Callable[..., pandas.DataFrame]] = {
        "tuning": tuning,
        "dimensionality": dimensionality,
        "subspace_angles": subspace_angles,
    }
    for stem, function in by_epoch.items():
        try:
            tables[stem] = function(trajectory, params, epochs)
        except ValueError as reason:
            if epochs is not None:
                raise
            refused[stem] = str(reason)
    lesions = None
    try:
        lesions = lesion(policy, env, params, trials, key_rollout)
        slope = input_gradients(policy, env, params, trials, key=key_rollout)
    except (TypeError, ValueError) as reason:
        refused["units"] = str(reason)
    else:
        columns = {
            "unit": np.arange(len(slope)),
            "loss_intact": float(lesions.intact.mean()),
            "loss_without": np.asarray(lesions.lesioned.mean(axis=1)),
            "loss_by_input": slope.mean(axis=1),
        }
        tables["units"] = import_pandas().DataFrame(columns)
    return Analysis(tables, refused, trajectory, points, lesions)


def write_analysis(folder: Path, analysis: Analysis, format: str) -> list[str]:
    """Write tables and figures into a folder, and return the names of the files.

    Of the eigenvalues, the table has those at the end of trials and the slowest modes.
    """
    names = []
    for stem, table in analysis.tables.items():
        if stem == "eigenvalues":
            table = table[(table.time == table.time.max()) | (table["mode"] < N_MODES)]
        write_whole(folder / f"{stem}.csv", table.to_csv(index=False, float_format="%.6g"))
        names.append(f"{stem}.csv")
    tables = analysis.tables
    figures: dict[str, Callable[[], Any]] = {
        "fixed_points": lambda: plot.fixed_points(analysis.points, analysis.trajectory),
        "eigenvalues": lambda: plot.eigenvalues(tables["eigenvalues"]),
    }
    if "tuning" in tables:
        figures["tuning"] = lambda: plot.tuning_by_epoch(tables["tuning"])
    if "subspace_angles" in tables:
        figures["subspaces"] = lambda: plot.subspaces(
            tables["dimensionality"], tables["subspace_angles"]
        )
    lesions = analysis.lesions
    if lesions is not None:
        figures["lesions"] = lambda: plot.lesion_costs(lesions.lesioned, lesions.intact, sort=True)
    for stem, draw in figures.items():
        save_figure(draw()[0], folder / f"{stem}.{format}")
        names.append(f"{stem}.{format}")
    return names


def summary(analysis: Analysis) -> str:
    """The figures a reader looks for first, as a table; of replicates mean and SD."""
    tables = analysis.tables
    rows: dict[str, pandas.Series[float]] = {}

    def add(name: str, table: pandas.DataFrame, column: str, how: str) -> None:
        groups = ["replicate"] if "replicate" in table.columns else [0] * len(table)
        rows[name] = table.groupby(groups)[column].agg(how)

    for epoch, table in _by_epoch(tables, "tuning"):
        add(f"explained by direction, {epoch} (median of units)", table, "explained", "median")
    for epoch, table in _by_epoch(tables, "dimensionality"):
        add(f"participation ratio, {epoch}", table, "participation_ratio", "first")
    angles = tables.get("subspace_angles")
    if angles is not None:
        angles = angles.assign(degrees=np.rad2deg(angles.angle))
        for (first, second), table in angles.groupby(["first", "second"], sort=False):
            add(f"largest angle, {first} to {second} [°]", table, "degrees", "max")
    modes = tables["eigenvalues"]
    at_the_end = modes[(modes.time == modes.time.max()) & (modes["mode"] == 0)]
    for system, table in at_the_end.groupby("system", sort=False):
        name = f"slowest time constant at the end, {system} [s]"
        add(name, table, "time_constant", "median")
    add("fixed points", tables["fixed_points"], "is_fixed", "sum")
    stable = tables["fixed_points"].assign(both=lambda table: table.is_fixed & table.is_stable)
    add("stable fixed points", stable, "both", "sum")
    units = tables.get("units")
    if units is not None:
        times = units.assign(times=units.loss_without / units.loss_intact)
        add("loss without the unit that is missed most, times intact", times, "times", "max")
        add("loss without a unit, times intact (median)", times, "times", "median")
    texts = []
    for name, values in rows.items():
        row = {"figure": name.replace("_", " "), "mean": f"{values.mean():.3g}"}
        if len(values) > 1:
            row["SD"] = f"{values.std():.3g}"
        texts.append(row)
    lines = [as_markdown(texts)]
    lines += [
        f"Left out: {stem.replace('_', ' ')} ({reason})."
        for stem, reason in analysis.refused.items()
    ]
    return "\n".join(lines)


def _by_epoch(tables: dict[str, pandas.DataFrame], stem: str) -> list[tuple[str, pandas.DataFrame]]:
    table = tables.get(stem)
    if table is None:
        return []
    return [(str(epoch), rows) for epoch, rows in table.groupby("epoch", sort=False)]
