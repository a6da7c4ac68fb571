"""Trials side by side for callers outside JAX: the compiled step that all of them share."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, Shaped, UInt32

from fbx_env import checks
from fbx_env.env import Observation, ReachEnv, ReachState, clock_of
from fbx_env.gym.options import Fields, Given
from fbx_env.gym.packing import buffer_size, element_dtype, pack, unpack
from fbx_env.params import ReachParams
from fbx_env.parts.draws.drawing import draw_trial, with_drawn
from fbx_env.parts.loads.load import external_force
from fbx_env.processes import refuse_fork
from fbx_env.reach import check_trials, is_out_of_reach, out_of_reach

ENV = ReachEnv()

Rows = Float[np.ndarray, "trials row"]
"""The outcome of a step or a reset, a row a trial; ``Layout`` says what is where."""

Buffer = Float[Array, "..."]
"""Rows as the compiled functions see them, and packed params; see ``packing``."""

AnyArray = Array | np.ndarray

SCALARS = ("reward", "ended", "is_success", "distance", "speed")


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where to find what in a row.

    Attributes:
        state: the state, packed: its numbers are none to read.
        observation: what the agent observes.
        scalars: those of ``SCALARS`` (whether the trial has ended, and as the task asks for;
            distance to the target [m] and speed [m/s] of the effector), then the losses in the
            order of ``losses``.
        losses: the names of the loss terms.
        position, target: where the effector is and where it should be [m].
        control: what acted during the step, in the units of the command.
        load: the external force on the effector now [N]; empty without loads.
        drawn: the numbers drawn for the trial by name, each with its shape.
        fields: the numbers of a trial, which ``reset`` can be given.
    """

    state: slice
    observation: slice
    scalars: slice
    losses: tuple[str, ...]
    position: slice
    target: slice
    control: slice
    load: slice
    drawn: dict[str, tuple[slice, tuple[int, ...]]]
    fields: Fields

    def column(self, name: str) -> int:
        """The index of one of ``SCALARS`` or of a loss."""
        return int(self.scalars.start) + (*SCALARS, *self.losses).index(name)


class Programs(NamedTuple):
    """The compiled functions for one structure of params, whatever the numbers in it.

    Attributes:
        pack: params to a buffer.
        step: the packed params, keys, rows and commands to rows.
        reset: see ``ReachBatch.reset``.
        nothing: what ``reset`` is handed for so many trials where it is given nothing.
        states: rows to the states in them.
        layout: of a row.
        row_size: of a row.
        state: structure, shapes and types of the state.
    """

    pack: Callable[[ReachParams], Buffer]
    step: Callable[..., Buffer]
    reset: Callable[..., tuple[Buffer, UInt32[Array, "trials 2"], Bool[Array, " some"]]]
    nothing: Callable[[int], Any]
    states: Callable[[Buffer], ReachState]
    layout: Layout
    row_size: int
    state: ReachState


class ReachBatch:
    """``n_trials`` trials that are stepped and reset together, with NumPy on the outside.

    Params, state and results travel as one flat array each: handing over dozens of small arrays
    would take far longer than the step itself.

    Randomness: each trial has a seed of two 32-bit words and counts its resets. Reset k uses the
    key ``fold_in(seed, k)``, whose own ``fold_in(key, 0)`` starts the trial and
    ``fold_in(key, t + 1)`` is the key of step t. So a trial does not depend on those beside it.

    Args:
        params: the experiment.
        n_trials: how many trials.

    Attributes:
        params: may be replaced by others that leave the structure of state, observation and loss
            as it is, and the trials go on.
        layout: where to find what in a row.
    """

    def __init__(self, params: ReachParams, n_trials: int) -> None:
        self.n_trials = n_trials
        self.params = params
        self._seeds = np.zeros((n_trials, 2), np.uint32)
        self._resets = np.zeros(n_trials, np.uint32)
        self._rows: Any = np.zeros((n_trials, self._programs.row_size), element_dtype())
        self._keys: Any = np.zeros((n_trials, 2), np.uint32)

    @property
    def params(self) -> ReachParams:
        return self._params

    @params.setter
    def params(self, params: ReachParams) -> None:
        checks.instance("params", params, ReachParams).checked()
        programs = compile_programs(params)
        if hasattr(self, "_programs"):
            _need_same(self._programs, programs)
        self._params: ReachParams = params
        self._programs: Programs = programs
        self._numbers = programs.pack(params)

    @property
    def layout(self) -> Layout:
        return self._programs.layout

    @property
    def command_shape(self) -> tuple[int, int]:
        """The shape of ``step``'s commands."""
        return self.n_trials, self.layout.control.stop - self.layout.control.start

    def reset(
        self,
        chosen: Bool[np.ndarray, " trials"],
        given: Given | None = None,
        seeds: Mapping[int, UInt32[np.ndarray, "2"]] | None = None,
    ) -> Rows:
        """Start new trials where ``chosen``; the rows of the others stay as they are.

        Args:
            chosen: which.
            given: what is not drawn by the task; nothing by default.
            seeds: by the index of a trial, the seed from which its next reset starts.

        Raises:
            ValueError: if a start is out of the plant's reach, or the trial refuses what is given.
                Then nothing has changed.
        """
        refuse_fork()
        all_seeds, resets = self._seeds, self._resets
        if seeds:
            all_seeds, resets = all_seeds.copy(), resets.copy()
            all_seeds[list(seeds)] = list(seeds.values())
            resets[list(seeds)] = 0
        n_trials, which = self.n_trials, np.flatnonzero(chosen)
        # One of two sizes: a reset takes longer than a step, and often few trials need one.
        few = n_trials // 16
        size = few if len(which) <= few else n_trials
        beyond = np.full(size - len(which), n_trials)
        inside = np.concatenate([which, np.zeros_like(beyond)])
        if given is None:
            values, is_given = self._programs.nothing(size)
        else:
            values = {name: value[inside] for name, value in given.values.items()}
            is_given = given.is_given[inside]
        rows, keys, is_far = self._programs.reset(
            self._numbers,
            all_seeds[inside],
            resets[inside],
            values,
            is_given,
            np.concatenate([which, beyond]).astype(np.int32),
            self._rows,
            self._keys,
        )
        far = which[np.asarray(is_far)[: len(which)]]
        if given is not None or len(far):
            self._check_trials(rows, which, far)
        self._rows, self._keys = rows, keys
        self._seeds, self._resets = all_seeds, resets + np.asarray(chosen, np.uint32)
        return self.rows

    def _check_trials(
        self, rows: Buffer, which: Int[np.ndarray, " some"], far: Int[np.ndarray, " few"]
    ) -> None:
        """Refuse trials that start out of reach, and those that their own class refuses."""
        trials = jax.tree.map(np.asarray, self._programs.states(rows).trial)
        if len(far):
            raise ValueError(out_of_reach(self.params.plant, trials.start[far[0]]))
        some = jax.tree.map(lambda leaf: leaf[which], trials).replace()
        check_trials(self.params, some)

    def step(self, commands: Float[np.ndarray, "trials controls"]) -> Rows:
        """Take one step in every trial, and none further than that: ended trials are not reset."""
        refuse_fork()
        self._rows = self._programs.step(self._numbers, self._keys, self._rows, commands)
        return self.rows

    @property
    def rows(self) -> Rows:
        """The outcome of the last step or reset; read-only."""
        return np.asarray(self._rows)

    @property
    def states(self) -> ReachState:
        """The states of all trials, along a leading axis."""
        return self._programs.states(self._rows)

    def __getstate__(self) -> dict[str, Any]:
        kept = {name: value for name, value in vars(self).items() if name != "_programs"}
        return {**kept, "_rows": np.array(self._rows), "_keys": np.array(self._keys)}

    def __setstate__(self, kept: dict[str, Any]) -> None:
        refuse_fork()
        vars(self).update(kept)
        self._programs = compile_programs(self._params)


def compile_programs(params: ReachParams) -> Programs:
    """The programs for ``params``; the same ones for params that differ in their numbers only."""
    leaves, structure = jax.tree.flatten(jax.eval_shape(lambda params: params, params))
    return _compile_programs(structure, tuple((leaf.shape, leaf.dtype) for leaf in leaves))


@functools.cache
def _compile_programs(structure: Any, leaves: tuple[tuple[Any, Any], ...]) -> Programs:
    like = jax.tree.unflatten(structure, [jax.ShapeDtypeStruct(*leaf) for leaf in leaves])
    buffer_size(like)
    observation, state = jax.eval_shape(ENV.reset_env, jax.random.key(0), like)
    layout, row_size = _layout(like, observation, state)

    def step(
        numbers: Buffer, key: UInt32[Array, "2"], row: Buffer, command: Float[Array, " controls"]
    ) -> Buffer:
        params, before = unpack(numbers, like), unpack(row[layout.state], state)
        step_key = jax.random.fold_in(_key(key), before.time + 1)
        observation, after, reward, ended, info = ENV.step_env(step_key, before, command, params)
        if _kinds(after) != _kinds(before):
            raise TypeError(
                f"a step must leave the kinds of numbers in the state as they are, from "
                f"{_kinds(before)} to {_kinds(after)}"
            )
        outcome = [reward, ended, info["is_success"]]
        return _row(params, observation, after, outcome, info["losses"])

    def start(
        numbers: Buffer,
        seed: UInt32[Array, "2"],
        count: UInt32[Array, ""],
        values: dict[str, Shaped[Array, "..."]],
        is_given: Bool[Array, " fields"],
    ) -> tuple[Buffer, UInt32[Array, "2"], Bool[Array, ""]]:
        params = unpack(numbers, like)
        key = jax.random.fold_in(_key(seed), count)
        key_start, trial = draw_trial(jax.random.fold_in(key, 0), params)
        fields = {
            name: jnp.where(is_given[index], values[name], getattr(trial, name))
            for index, name in enumerate(layout.fields)
        }
        observation, begun = ENV.reset_trial(key_start, trial.replace(**fields), params)
        nothing = jnp.zeros(())
        losses = dict.fromkeys(layout.losses, nothing)
        row = _row(params, observation, begun, [nothing] * 3, losses)
        plant = with_drawn(params, begun.drawn).plant
        is_far = is_out_of_reach(plant, begun.plant, begun.trial.start)
        return row, jax.random.key_data(key), is_far

    start_all = jax.vmap(start, in_axes=(None, 0, 0, 0, 0))

    def reset(
        numbers: Buffer,
        seeds: UInt32[AnyArray, "some 2"],
        counts: UInt32[AnyArray, " some"],
        values: dict[str, Shaped[AnyArray, "some ..."]],
        is_given: Bool[AnyArray, "some fields"],
        which: Int[AnyArray, " some"],
        rows: Float[AnyArray, "trials row"],
        keys: UInt32[AnyArray, "trials 2"],
    ) -> tuple[Buffer, UInt32[Array, "trials 2"], Bool[Array, " some"]]:
        started: Any = start_all
        new_rows, new_keys, are_far = started(numbers, seeds, counts, values, is_given)
        # What is beyond the last trial only fills up the size.
        return (
            jnp.asarray(rows).at[which].set(new_rows, mode="drop"),
            jnp.asarray(keys).at[which].set(new_keys, mode="drop"),
            are_far,
        )

    @functools.cache
    def nothing(size: int) -> Any:
        given = Given(layout.fields, size)
        return jax.device_put((given.values, given.is_given))

    return Programs(
        pack=jax.jit(pack),
        step=jax.jit(jax.vmap(step, in_axes=(None, 0, 0, 0))),
        reset=jax.jit(reset),
        nothing=nothing,
        states=jax.jit(jax.vmap(lambda row: unpack(row[layout.state], state))),
        layout=layout,
        row_size=row_size,
        state=state,
    )


def _layout(params: ReachParams, observation: Any, state: ReachState) -> tuple[Layout, int]:
    """The layout of a row and its size, from shapes and types alone."""
    trial = {
        field.name: getattr(state.trial, field.name) for field in dataclasses.fields(state.trial)
    }
    drawn = dict(zip((draw.number for draw in params.draws), state.drawn, strict=True))
    sizes = {
        "state": buffer_size(state),
        "observation": observation.size,
        "scalars": len(SCALARS) + len(params.loss.names),
        "position": 2,
        "target": 2,
        "control": state.control.size,
        "load": 2 if params.loads else 0,
        **{f"drawn {name}": value.size for name, value in drawn.items()},
    }
    ends = np.cumsum(list(sizes.values())).tolist()
    slices = {name: slice(end - sizes[name], end) for name, end in zip(sizes, ends, strict=True)}
    layout = Layout(
        **{name: where for name, where in slices.items() if not name.startswith("drawn ")},
        losses=params.loss.names,
        drawn={name: (slices[f"drawn {name}"], value.shape) for name, value in drawn.items()},
        fields={
            name: value for name, value in trial.items() if isinstance(value, jax.ShapeDtypeStruct)
        },
    )
    return layout, ends[-1]


def _need_same(programs: Programs, others: Programs) -> None:
    """Refuse to go on with programs that would take the rows for something else."""
    one, other = (
        {
            **_kinds(these.state),
            "structure of the state": str(jax.tree.structure(these.state)),
            "size of the observation": these.layout.observation,
            "names of the losses": these.layout.losses,
            "whether there are loads": these.layout.load.start < these.layout.load.stop,
        }
        for these in (programs, others)
    )
    different = sorted(name for name in one | other if one.get(name) != other.get(name))
    if different:
        raise ValueError(
            "params may be set if the structure of state, observation and loss stays the same; "
            f"these change {', '.join(different)}: make a new environment with them"
        )


def _kinds(state: ReachState) -> dict[str, str]:
    """Shape and type of the numbers of a state, by the name of each array."""
    return {
        f"state{jax.tree_util.keystr(path)}": f"{leaf.dtype}{list(leaf.shape)}"
        for path, leaf in jax.tree.leaves_with_path(state)
    }


def _row(
    params: ReachParams,
    observation: Observation,
    state: ReachState,
    outcome: list[Float[Array, ""] | Bool[Array, ""]],
    losses: dict[str, Float[Array, ""]],
) -> Buffer:
    """A row; ``outcome`` is the reward, whether the trial has ended, and whether with success."""
    params = with_drawn(params, state.drawn)
    effector, clock = params.plant.effector(state.plant), clock_of(state, params)
    target = params.task.target(state.trial, clock)
    distance = jnp.linalg.norm(effector.pos - target.pos)
    speed = jnp.linalg.norm(effector.vel)
    load = (
        external_force(params.loads, state.trial, clock)(effector) if params.loads else jnp.zeros(0)
    )
    numbers = (*outcome, distance, speed, *losses.values())
    scalars = jnp.stack([number.astype(float) for number in numbers])
    parts = (observation, scalars, effector.pos, target.pos, state.control, load, *state.drawn)
    return pack((state, *(part.astype(float) for part in parts)))


def _key(words: UInt32[Array, "2"]) -> PRNGKeyArray:
    key: PRNGKeyArray = jax.random.wrap_key_data(words, impl="threefry2x32")
    return key
