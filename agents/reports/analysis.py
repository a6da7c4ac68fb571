"""The tables and figures of the analysis of a trained network, or of replicates."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jaxtyping import Float, PRNGKeyArray
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from agents.analysis import (
    FixedPoints,
    dimensionality,
    fixed_points,
    input_gradients,
    linearise,
    subspace_angles,
    tuning,
)
from agents.lesions import Lesions, check_units, lesion
from agents.reports.figures import FORMATS, save_figure
from agents.reports.tables import as_markdown
from agents.storage.files import write_whole
from fbx_env import ReachEnv, ReachParams, Trajectory, plot, rollout
from fbx_env.measures import import_pandas
from fbx_env.plot.network import N_MODES

if TYPE_CHECKING:
    import pandas

BY_EPOCH: dict[str, Callable[..., pandas.DataFrame]] = {
    "tuning": tuning,
    "dimensionality": dimensionality,
    "subspace_angles": subspace_angles,
}
"""The tables that have a part for each epoch."""

STEMS = ("tuning", "dimensionality", "subspace_angles", "fixed_points", "eigenvalues", "units")
"""Of the tables, which are CSV files."""

FIGURES = ("tuning", "subspaces", "fixed_points", "eigenvalues", "lesions")
"""Stems of the files of figures; of replicates, fixed points and lesions are those of the first."""


@dataclasses.dataclass(frozen=True)
class Analysis:
    """The analysis of one network, or of replicates one after the other.

    Attributes:
        tables: by the stem of their file; with a column ``replicate`` if there are several.
        refused: what could not be computed of one of them, with the reason.
        trajectory: of the first network.
        points: its fixed points; ``None`` if they cannot be found.
        lesions: the loss without each of its units; ``None`` if they cannot be silenced.
    """

    tables: dict[str, pandas.DataFrame]
    refused: dict[str, str]
    trajectory: Trajectory
    points: FixedPoints | None
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
        ValueError: if a policy has no units or moves in no finite way, there is no such epoch, or a
            number is out of range.
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
    refused = {
        stem if len(each) == 1 else f"{stem} of replicate {index}": reason
        for index, one in enumerate(each)
        for stem, reason in one.refused.items()
    }
    return dataclasses.replace(each[0], tables=tables, refused=refused)


def _analyse_one(
    policy: Any,
    params: ReachParams,
    epochs: Sequence[str] | None,
    n_starts: int,
    key: PRNGKeyArray,
) -> Analysis:
    env, trials = ReachEnv(), params.task.validation_trials()
    check_units(policy, env, params, trials, key)
    key_rollout, key_starts = jax.random.split(key)
    trajectory = rollout(env, params, policy, trials, key_rollout)
    tables = {"eigenvalues": linearise(policy, params, trials, trajectory.drawn).frame()}
    refused: dict[str, str] = {}

    def tried(stem: str, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """The result, or ``None`` and the reason why there is none."""
        try:
            return function(*arguments, **options)
        except (TypeError, ValueError) as reason:
            refused[stem] = str(reason)
            return None

    for stem, by_epoch in BY_EPOCH.items():
        if epochs is not None:
            tables[stem] = by_epoch(trajectory, params, epochs)
        elif (found := tried(stem, by_epoch, trajectory, params)) is not None:
            tables[stem] = found
    options: dict[str, Any] = {"n_starts": n_starts, "key": key_starts}
    points = tried("fixed_points", fixed_points, policy, params, trajectory, **options)
    if points is not None:
        tables["fixed_points"] = points.frame()
    lesions = tried("units", lesion, policy, env, params, trials, key_rollout)
    if lesions is not None:
        slope = tried(
            "input_gradients", input_gradients, policy, env, params, trials, key=key_rollout
        )
        tables["units"] = _units(lesions, slope)
        if not np.all(lesions.intact > 0):
            refused["lesions"] = "a trial costs nothing with all units, and there is no ratio to it"
    return Analysis(tables, refused, trajectory, points, lesions)


def _units(lesions: Lesions, slope: Float[np.ndarray, "units trials"] | None) -> pandas.DataFrame:
    """How much each unit matters: the mean loss without it, and its slope by an input to it."""
    columns: dict[str, Any] = {
        "unit": np.arange(len(lesions.lesioned)),
        "loss_intact": float(lesions.intact.mean()),
        "loss_without": np.asarray(lesions.lesioned.mean(axis=1)),
    }
    if slope is not None:
        columns["loss_by_input"] = slope.mean(axis=1)
        columns["size_of_loss_by_input"] = np.abs(slope).mean(axis=1)
    return import_pandas().DataFrame(columns)


def write_analysis(folder: Path, analysis: Analysis, format: str) -> list[str]:
    """Write tables and figures into a folder, and return the names of the files.

    Of the eigenvalues, the table has those at the end of trials and the slowest modes.
    """
    for path in folder.iterdir():
        if path.stem in (*STEMS, *FIGURES) and path.suffix[1:] in ("csv", *FORMATS):
            path.unlink()
    names = []
    for stem, table in analysis.tables.items():
        if stem == "eigenvalues":
            table = table[(table.time == table.time.max()) | (table["mode"] < N_MODES)]
        write_whole(folder / f"{stem}.csv", table.to_csv(index=False, float_format="%.6g"))
        names.append(f"{stem}.csv")
    for stem, draw in _figures(analysis).items():
        save_figure(draw()[0], folder / f"{stem}.{format}")
        names.append(f"{stem}.{format}")
    return names


def _figures(analysis: Analysis) -> dict[str, Callable[[], Any]]:
    """A function for each figure for which there is something to draw, by the stem of its file."""
    tables, points, lesions = analysis.tables, analysis.points, analysis.lesions
    figures: dict[str, Callable[[], Any]] = {
        "eigenvalues": lambda: plot.eigenvalues(tables["eigenvalues"])
    }
    of = "replicate 0" if "replicate" in tables["eigenvalues"].columns else ""

    def titled(figure: Figure, ax: Axes) -> tuple[Figure, Axes]:
        ax.set_title(of)
        return figure, ax

    if points is not None and len(points.trial):
        figures["fixed_points"] = lambda: titled(*plot.fixed_points(points, analysis.trajectory))
    if "tuning" in tables:
        figures["tuning"] = lambda: plot.tuning_by_epoch(tables["tuning"])
    if "dimensionality" in tables:
        figures["subspaces"] = lambda: plot.subspaces(
            tables["dimensionality"], tables.get("subspace_angles")
        )
    if lesions is not None and np.all(lesions.intact > 0):
        figures["lesions"] = lambda: titled(
            *plot.lesion_costs(lesions.lesioned, lesions.intact, sort=True)
        )
    return figures


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
        add(f"slowest decay at the end, {system} [1/s]", table, "decay_rate", "mean")
        growing = table.assign(grows=table.decay_rate < 0)
        add(f"trials with a growing mode at the end, {system}", growing, "grows", "sum")
    points = tables.get("fixed_points")
    if points is not None:
        add("fixed points, over all trials' inputs", points, "is_fixed", "sum")
        stable = points.assign(both=points.is_fixed & points.is_stable)
        add("stable ones among them", stable, "both", "sum")
    units = tables.get("units")
    if units is not None and (units.loss_intact > 0).all():
        times = units.assign(times=units.loss_without / units.loss_intact)
        add("loss without the unit that is missed most, times intact", times, "times", "max")
        add("loss without a unit, times intact (median)", times, "times", "median")
    texts = []
    for name, values in rows.items():
        row = {"figure": name.replace("_", " ")}
        if len(values) == 1:
            row["value"] = f"{values.iloc[0]:.3g}"
        else:
            row |= {"mean": f"{values.mean():.3g}", "SD": f"{values.std():.3g}"}
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
