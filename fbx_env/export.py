"""Trajectories for other programs: frames of pandas and files of MATLAB, with names and units."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np
import scipy.io
from jaxtyping import Shaped

from fbx_env import checks
from fbx_env.env import ReachEnv
from fbx_env.figures import records
from fbx_env.measures import conditions, import_pandas
from fbx_env.params import ReachParams
from fbx_env.parts.plants.visible_plant import VisiblePlant
from fbx_env.rollout import Trajectory, check_trajectory

if TYPE_CHECKING:
    import pandas

AXES: dict[int, tuple[str, ...]] = {1: ("trial",), 2: ("replicate", "trial")}
"""Names of the leading axes of a trajectory."""


class Quantity(NamedTuple):
    """Something that was recorded over the time of trials.

    Attributes:
        values: one entry a state, or one a step and thus one less.
        units: of each number, by its name.
    """

    values: Shaped[np.ndarray, "trials times numbers"]
    units: dict[str, str]


def trajectory_frame(trajectory: Trajectory, params: ReachParams) -> pandas.DataFrame:
    """Return a trajectory as a frame in long form, with a row for each state of each trial.

    What belongs to a step, such as commands, activity and losses, is in the row of the state in
    which the step began, and missing in the last one. Target and epoch, which are known after each
    step, are in the row of the state after it; the first has those after the first step.

    Args:
        trajectory: one trial or many, with any leading axes.
        params: the experiment that they are of.

    Returns:
        The frame: the trial's place along the leading axes, as ``trial``, or ``replicate`` and
        ``trial``; its conditions, as of ``measure``; ``time``, ``epoch``; then a column for each
        number, such as ``pos_x``, ``command_force_x``, ``activity_0``, ``loss_position``, and the
        joints and muscles of a body. ``frame.attrs["units"]`` has the unit of each column that has
        one.

    Raises:
        TypeError: for an argument of the wrong kind.
        ValueError: if the trajectory has no trials, or is not of this experiment.
        ImportError: without pandas.

    Example:
        >>> frame = trajectory_frame(trajectory, params)
        >>> frame.groupby("direction").vel_x.max()
    """
    pd = import_pandas()
    shape, flat = _flattened(trajectory, params)
    n_trials, n_states = flat.time.shape
    names = AXES.get(len(shape), tuple(f"axis_{axis}" for axis in range(len(shape)))) or ("trial",)
    places = np.indices(shape).reshape(len(shape), n_trials) if shape else np.zeros((1, 1), int)
    per_trial, units = _conditions(flat, params)
    columns = {
        name: np.repeat(values, n_states)
        for name, values in {**dict(zip(names, places, strict=True)), **per_trial}.items()
    }
    for name, quantity in _quantities(flat, params).items():
        values = quantity.values
        if values.shape[1] < n_states:
            values = np.concatenate([values, np.full_like(values[:, :1], np.nan)], axis=1)
        for index, (part, unit) in enumerate(quantity.units.items()):
            column = f"{name}_{part}" if part else name
            columns[column], units[column] = values[..., index].ravel(), unit
    epochs = pd.Categorical.from_codes(_after_steps(flat.epoch).ravel(), params.task.epoch_names)
    frame = pd.DataFrame(columns)
    frame.insert(frame.columns.get_loc("time") + 1, "epoch", epochs)
    frame.attrs["units"] = {name: unit for name, unit in units.items() if unit}
    return frame


def save_matlab(path: str | Path, trajectory: Trajectory, params: ReachParams) -> None:
    """Save a trajectory as a file of MATLAB, version 5.

    The file has the structs ``data``, ``names`` and ``units`` with the same fields. In ``data``,
    what belongs to trials, such as ``direction``, is ``(trials, 1)``; what was recorded over time,
    such as ``pos``, ``command`` and ``activity``, is ``(trials, times, numbers)``, with one entry
    less along ``times`` for what belongs to steps. Several leading axes are flattened, and
    ``data.shape`` has their lengths. ``names`` and ``units`` say what the numbers are; epochs count
    from 1, in the order of ``names.epoch``.

    Args:
        path: of the file, as ``reaches.mat``; it is replaced if it is there.
        trajectory: one trial or many, with any leading axes.
        params: the experiment that they are of.

    Raises:
        TypeError: for an argument of the wrong kind.
        ValueError: if the trajectory has no trials, or is not of this experiment.

    Example:
        >>> save_matlab("reaches.mat", trajectory, params)
    """
    path = checks.path("path", path)
    shape, flat = _flattened(trajectory, params)
    per_trial, units = _conditions(flat, params)
    data: dict[str, Any] = {name: values[:, None] for name, values in per_trial.items()}
    names: dict[str, Any] = {name: [name] for name in per_trial}
    in_units: dict[str, Any] = {name: [units.get(name, "")] for name in per_trial}
    for name, quantity in _quantities(flat, params).items():
        data[name] = quantity.values
        names[name] = [part or name for part in quantity.units]
        in_units[name] = list(quantity.units.values())
    data |= {"epoch": _after_steps(flat.epoch) + 1, "shape": np.array(shape or (1,))}
    names["epoch"] = list(params.task.epoch_names)
    content = {
        "data": data,
        **{
            what: {name: np.array(words, dtype=object) for name, words in each.items()}
            for what, each in (("names", names), ("units", in_units))
        },
    }
    by_field = {
        what: {_field(name): value for name, value in each.items()}
        for what, each in content.items()
    }
    scipy.io.savemat(path, by_field, long_field_names=True, do_compression=True)


def _flattened(trajectory: Trajectory, params: ReachParams) -> tuple[tuple[int, ...], Trajectory]:
    """The lengths of the leading axes, and the trajectory with one leading axis."""
    shape = records.reaches(trajectory).shape
    check_trajectory(trajectory, params)
    n_axes = len(shape)
    flat = jax.tree.map(
        lambda leaf: np.asarray(leaf).reshape(-1, *np.shape(leaf)[n_axes:]), trajectory
    )
    return shape, flat


def _conditions(
    flat: Trajectory, params: ReachParams
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The quantities of which a trial has one number, and their units."""
    values = conditions(flat)
    ends = {
        f"{name}_{axis}": np.asarray(getattr(flat.trial, name))[:, index]
        for name in ("start", "goal")
        for index, axis in enumerate("xy")
    }
    drawn = {name: params.number(name).declaration.unit for name in flat.drawn}
    units = {"direction": "rad", "distance": "m", **dict.fromkeys(ends, "m"), **drawn}
    return {**values, **ends}, units


def _quantities(flat: Trajectory, params: ReachParams) -> dict[str, Quantity]:
    """The quantities that were recorded over the time of trials, by name."""
    controls = {_field(name): unit for name, unit in flat.controls}
    units = [str(index) for index in range(flat.activity.shape[-1])]
    layout = ReachEnv().observation_layout(params)
    seen = [
        f"{name}_{index}" if part.stop - part.start > 1 else name
        for name, part in layout.items()
        for index in range(part.stop - part.start)
    ]
    return {
        "time": Quantity(np.asarray(flat.time)[..., None], {"": "s"}),
        "pos": _in_the_plane(flat.pos, "m"),
        "vel": _in_the_plane(flat.vel, "m/s"),
        "target": _in_the_plane(_after_steps(flat.target.pos), "m"),
        **_body(flat, params),
        "command": Quantity(np.asarray(flat.command), controls),
        "control": Quantity(np.asarray(flat.control), controls),
        "load": _in_the_plane(flat.load, "N"),
        "obs": Quantity(np.asarray(flat.obs), dict.fromkeys(seen, "")),
        "activity": Quantity(np.asarray(flat.activity), dict.fromkeys(units, "")),
        "loss": Quantity(
            np.stack([np.asarray(loss) for loss in flat.losses.values()], axis=-1),
            dict.fromkeys(flat.losses, ""),
        ),
    }


def _in_the_plane(vectors: Any, unit: str) -> Quantity:
    return Quantity(np.asarray(vectors), {"x": unit, "y": unit})


def _after_steps(values: Any) -> np.ndarray:
    """A quantity known after each step, for each state; at first, as after the first step."""
    array = np.asarray(values)
    return np.concatenate([array[:, :1], array], axis=1)


def _body(flat: Trajectory, params: ReachParams) -> dict[str, Quantity]:
    """The signals of joints and muscles of a plant that shows some."""
    if not isinstance(params.plant, VisiblePlant):
        return {}
    signals = jax.vmap(jax.vmap(params.plant.signals))(flat.plant)
    body = {}
    for title, parts in signals.items():
        name, _, unit = title.partition(" [")
        values = np.stack([np.asarray(part) for part in parts.values()], axis=-1)
        names = [_field(part) for part in parts]
        body[_field(name.lower())] = Quantity(values, dict.fromkeys(names, unit.rstrip("]")))
    return body


def _field(name: str) -> str:
    """A name of letters, digits and underscores, which MATLAB allows for a field."""
    return re.sub(r"\W", "_", name)
