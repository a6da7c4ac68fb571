"""The compiled functions behind trials side by side: a row of numbers for each trial, packed."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, Shaped, UInt32

from fbx_env.env import Observation, ReachEnv, ReachState, clock_of
from fbx_env.gym.options import Fields, Given
from fbx_env.gym.packing import buffer_size, pack, unpack
from fbx_env.params import ReachParams
from fbx_env.parts.draws.drawing import draw_trial, with_drawn
from fbx_env.parts.loads.load import external_force
from fbx_env.reach import is_out_of_reach

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


def compile_programs(params: ReachParams) -> Programs:
    """The programs for ``params``; the same ones for params that differ in their numbers only."""
    leaves, structure = jax.tree.flatten(jax.eval_shape(lambda params: params, params))
    return _compile_programs(structure, tuple((leaf.shape, leaf.dtype) for leaf in leaves))


@functools.cache
def _compile_programs(structure: Any, leaves: tuple[tuple[Any, Any], ...]) -> Programs:
    params = jax.tree.unflatten(structure, [jax.ShapeDtypeStruct(*leaf) for leaf in leaves])
    buffer_size(params)
    observation, state = jax.eval_shape(ENV.reset_env, jax.random.key(0), params)
    layout, row_size = _layout(params, observation, state)
    kinds = Kinds(params, state, layout)

    @functools.cache
    def nothing(size: int) -> Any:
        given = Given(layout.fields, size)
        return jax.device_put((given.values, given.is_given))

    return Programs(
        pack=jax.jit(pack),
        step=jax.jit(jax.vmap(partial(_step, kinds), in_axes=(None, 0, 0, 0))),
        reset=jax.jit(partial(_reset, kinds)),
        nothing=nothing,
        states=jax.jit(jax.vmap(lambda row: unpack(row[layout.state], state))),
        layout=layout,
        row_size=row_size,
        state=state,
    )


class Kinds(NamedTuple):
    """Shapes and types of the params, shapes and types of a state, and the layout of a row."""

    params: ReachParams
    state: ReachState
    layout: Layout


def _step(
    kinds: Kinds,
    numbers: Buffer,
    key: UInt32[Array, "2"],
    row: Buffer,
    command: Float[Array, " controls"],
) -> Buffer:
    """The row after a step."""
    params = unpack(numbers, kinds.params)
    before = unpack(row[kinds.layout.state], kinds.state)
    step_key = jax.random.fold_in(_key(key), before.time + 1)
    observation, after, reward, ended, info = ENV.step_env(step_key, before, command, params)
    if kinds_of(after) != kinds_of(before):
        raise TypeError(
            f"a step must leave the kinds of numbers in the state as they are, from "
            f"{kinds_of(before)} to {kinds_of(after)}"
        )
    outcome = [reward, ended, info["is_success"]]
    return _row(params, observation, after, outcome, info["losses"])


def _start(
    kinds: Kinds,
    numbers: Buffer,
    seed: UInt32[Array, "2"],
    count: UInt32[Array, ""],
    values: dict[str, Shaped[Array, "..."]],
    is_given: Bool[Array, " fields"],
) -> tuple[Buffer, UInt32[Array, "2"], Bool[Array, ""]]:
    """The first row of a trial, the trial's key, and whether its start is out of reach."""
    params = unpack(numbers, kinds.params)
    key = jax.random.fold_in(_key(seed), count)
    key_start, trial = draw_trial(jax.random.fold_in(key, 0), params)
    fields = {
        name: jnp.where(is_given[index], values[name], getattr(trial, name))
        for index, name in enumerate(kinds.layout.fields)
    }
    observation, begun = ENV.reset_trial(key_start, trial.replace(**fields), params)
    nothing = jnp.zeros(())
    losses = dict.fromkeys(kinds.layout.losses, nothing)
    row = _row(params, observation, begun, [nothing] * 3, losses)
    plant = with_drawn(params, begun.drawn).plant
    is_far = is_out_of_reach(plant, begun.plant, begun.trial.start)
    return row, jax.random.key_data(key), is_far


def _reset(
    kinds: Kinds,
    numbers: Buffer,
    seeds: UInt32[AnyArray, "some 2"],
    counts: UInt32[AnyArray, " some"],
    values: dict[str, Shaped[AnyArray, "some ..."]],
    is_given: Bool[AnyArray, "some fields"],
    which: Int[AnyArray, " some"],
    rows: Float[AnyArray, "trials row"],
    keys: UInt32[AnyArray, "trials 2"],
) -> tuple[Buffer, UInt32[Array, "trials 2"], Bool[Array, " some"]]:
    """All rows and keys with those of new trials in some places, and which start out of reach."""
    start_all: Any = jax.vmap(partial(_start, kinds), in_axes=(None, 0, 0, 0, 0))
    new_rows, new_keys, are_far = start_all(numbers, seeds, counts, values, is_given)
    # What is beyond the last trial only fills up the size.
    return (
        jnp.asarray(rows).at[which].set(new_rows, mode="drop"),
        jnp.asarray(keys).at[which].set(new_keys, mode="drop"),
        are_far,
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


def kinds_of(state: ReachState) -> dict[str, str]:
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
