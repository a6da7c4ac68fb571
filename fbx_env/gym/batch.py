"""Trials side by side for callers outside JAX: the compiled step that all of them share."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, UInt32

from fbx_env import checks
from fbx_env.env import Observation, ReachEnv, ReachState, clock_of, reward_of, with_drawn
from fbx_env.params import ReachParams
from fbx_env.gym.packing import n_words, pack, unpack, word

ENV = ReachEnv()

Rows = Float[np.ndarray, "trials row"]
"""What a step or a reset leads to, a row a trial; ``Layout`` says what is where."""

Words = Float[Array, "..."]
"""The same as the compiled functions see it, and packed params; see ``packing``."""


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where to find what in a row.

    Attributes:
        state: the state, packed: its numbers are none to read.
        observation: what the agent is told.
        scalars: reward, whether the trial has ended, distance to the target [m], speed [m/s], and
            the losses in the order of ``losses``.
        losses: the names of the loss terms.
        position, target: where the effector is and where it should be [m].
        force: what acted during the step [N].
    """

    state: slice
    observation: slice
    scalars: slice
    losses: tuple[str, ...]
    position: slice
    target: slice
    force: slice

    def column(self, name: str) -> int:
        """The index of a scalar: reward, ended, distance, speed, or a loss."""
        return self.scalars.start + ("reward", "ended", "distance", "speed", *self.losses).index(
            name
        )


class Programs(NamedTuple):
    """The compiled functions for one structure of params, whatever the numbers in it.

    Attributes:
        pack: params to words.
        step: words of the params, keys, rows and commands to rows.
        reset: see ``ReachBatch.reset``.
        layout: of a row.
        state: structure, shapes and kinds of numbers of the state.
    """

    pack: Callable[[ReachParams], Words]
    step: Callable[..., Words]
    reset: Callable[..., tuple[Words, UInt32[Array, "trials 2"]]]
    layout: Layout
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
        self._rows: Any = np.zeros((n_trials, self.layout.force.stop), word())
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
        return self.n_trials, self.layout.force.stop - self.layout.force.start

    def seed(self, which: Int[np.ndarray, " some"], words: UInt32[np.ndarray, "some 2"]) -> None:
        """Give some trials, by index, the seeds from which their next reset starts."""
        self._seeds = self._seeds.copy()
        self._seeds[which] = words
        self._resets = self._resets.copy()
        self._resets[which] = 0

    def reset(
        self,
        chosen: Bool[np.ndarray, " trials"],
        start: Float[np.ndarray, "#trials 2"] | None = None,
        goal: Float[np.ndarray, "#trials 2"] | None = None,
    ) -> Rows:
        """Start new trials where ``chosen``; the rows of the others stay as they are.

        Args:
            chosen: which.
            start, goal: [m]; where NaN or not given, as the task draws it.
        """
        refuse_fork()
        n_trials, which = self.n_trials, np.flatnonzero(chosen)
        # One of two sizes: a reset takes longer than a step, and often few trials need one.
        few = n_trials // 16
        size = few if len(which) <= few else n_trials
        beyond = np.full(size - len(which), n_trials)
        padded = np.concatenate([which, beyond])
        inside = np.concatenate([which, np.zeros_like(beyond)])
        points = [
            np.broadcast_to(np.float32(np.nan) if at is None else at, (n_trials, 2))[inside]
            for at in (start, goal)
        ]
        self._rows, self._keys = self._programs.reset(
            self._numbers,
            self._seeds[inside],
            self._resets[inside],
            *points,
            padded.astype(np.int32),
            self._rows,
            self._keys,
        )
        self._resets = self._resets + np.asarray(chosen, np.uint32)
        return self.rows

    def step(self, commands: Float[np.ndarray, "trials action"]) -> Rows:
        """Take one step in every trial, and none further than that: ended trials are not reset."""
        self._rows = self._programs.step(self._numbers, self._keys, self._rows, commands)
        return self.rows

    @property
    def rows(self) -> Rows:
        """What the last step or reset led to; read-only."""
        return np.asarray(self._rows)

    def __getstate__(self) -> dict[str, Any]:
        kept = {name: value for name, value in vars(self).items() if name != "_programs"}
        return {**kept, "_rows": np.array(self._rows), "_keys": np.array(self._keys)}

    def __setstate__(self, kept: dict[str, Any]) -> None:
        refuse_fork()
        vars(self).update(kept)
        self._programs = compile_programs(self._params)


def refuse_fork() -> None:
    """Say so where JAX would wait forever: in a process forked after JAX started its threads.

    Raises:
        RuntimeError: in such a process.
    """
    if os.getpid() != _first_process():
        raise RuntimeError(
            "this process was forked from one in which JAX has run, and JAX would wait here for "
            'ever: start processes by context="spawn" (AsyncVectorEnv) or start_method="spawn" '
            "(SubprocVecEnv), or do without any: gymnasium.make_vec(id, num_envs=...) steps all "
            "trials at once"
        )


@functools.cache
def _first_process() -> int:
    return os.getpid()


def compile_programs(params: ReachParams) -> Programs:
    """The programs for ``params``; the same ones for params that differ in their numbers only."""
    leaves, structure = jax.tree.flatten(jax.eval_shape(lambda params: params, params))
    return _compile_programs(structure, tuple((leaf.shape, leaf.dtype) for leaf in leaves))


@functools.cache
def _compile_programs(structure: Any, leaves: tuple[tuple[Any, Any], ...]) -> Programs:
    like = jax.tree.unflatten(structure, [jax.ShapeDtypeStruct(*leaf) for leaf in leaves])
    n_words(like)
    observation, state = jax.eval_shape(ENV.reset_env, jax.random.key(0), like)
    sizes = {
        "state": n_words(state),
        "observation": observation.size,
        "scalars": 4 + len(like.loss.names),
        "position": 2,
        "target": 2,
        "force": state.force.size,
    }
    ends = np.cumsum(list(sizes.values())).tolist()
    slices = {name: slice(end - sizes[name], end) for name, end in zip(sizes, ends, strict=True)}
    layout = Layout(**slices, losses=like.loss.names)

    def step(
        numbers: Words, key: UInt32[Array, "2"], row: Words, command: Float[Array, " action"]
    ) -> Words:
        params, before = unpack(numbers, like), unpack(row[layout.state], state)
        step_key = jax.random.fold_in(_key(key), before.time + 1)
        observation, after, reward, ended, info = ENV.step_env(step_key, before, command, params)
        if _kinds(after) != _kinds(before):
            raise TypeError(
                f"a step must leave the kinds of numbers in the state as they are, from "
                f"{_kinds(before)} to {_kinds(after)}"
            )
        return _row(params, observation, after, reward, ended, info["losses"])

    def start(
        numbers: Words,
        seed: UInt32[Array, "2"],
        count: UInt32[Array, ""],
        start: Float[Array, "2"],
        goal: Float[Array, "2"],
    ) -> tuple[Words, UInt32[Array, "2"]]:
        params = unpack(numbers, like)
        key = jax.random.fold_in(_key(seed), count)
        key_trial, key_sensory = jax.random.split(jax.random.fold_in(key, 0))
        drawn = params.task.sample(key_trial)
        trial = drawn.replace(
            start=jnp.where(jnp.isnan(start), drawn.start, start),
            goal=jnp.where(jnp.isnan(goal), drawn.goal, goal),
        )
        observation, begun = ENV.reset_trial(key_sensory, trial, params)
        nothing = jnp.zeros(())
        losses = dict.fromkeys(layout.losses, nothing)
        ended = jnp.zeros((), bool)
        return _row(params, observation, begun, nothing, ended, losses), jax.random.key_data(key)

    start_all = jax.vmap(start, in_axes=(None, 0, 0, 0, 0))

    def reset(
        numbers: Words,
        seeds: UInt32[Array, "some 2"],
        counts: UInt32[Array, " some"],
        starts: Float[Array, "some 2"],
        goals: Float[Array, "some 2"],
        which: Int[Array, " some"],
        rows: Words,
        keys: UInt32[Array, "trials 2"],
    ) -> tuple[Words, UInt32[Array, "trials 2"]]:
        new_rows, new_keys = start_all(numbers, seeds, counts, starts, goals)
        # What is beyond the last trial only fills up the size.
        return (
            rows.at[which].set(new_rows, mode="drop"),
            keys.at[which].set(new_keys, mode="drop"),
        )

    return Programs(
        pack=jax.jit(pack),
        step=jax.jit(jax.vmap(step, in_axes=(None, 0, 0, 0))),
        reset=jax.jit(reset),
        layout=layout,
        state=state,
    )


def _need_same(programs: Programs, others: Programs) -> None:
    """Refuse to go on with programs that would take the rows for something else."""
    one, other = (
        {
            **_kinds(these.state),
            "structure of the state": str(jax.tree.structure(these.state)),
            "size of the observation": these.layout.observation,
            "names of the losses": these.layout.losses,
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
    """Shape and kind of the numbers of a state, by the name of each array."""
    return {
        f"state{jax.tree_util.keystr(path)}": f"{leaf.dtype}{list(leaf.shape)}"
        for path, leaf in jax.tree.leaves_with_path(state)
    }


def _row(
    params: ReachParams,
    observation: Observation,
    state: ReachState,
    reward: Float[Array, ""],
    ended: Bool[Array, ""],
    losses: dict[str, Float[Array, ""]],
) -> Words:
    effector = params.plant.effector(state.plant)
    target = params.task.target(state.trial, fraction_passed(state, params))
    distance = jnp.linalg.norm(effector.pos - target.pos)
    speed = jnp.linalg.norm(effector.vel)
    scalars = [reward, ended.astype(float), distance, speed, *losses.values()]
    told = (observation, jnp.stack(scalars), effector.pos, target.pos, state.force)
    return pack((state, *(part.astype(float) for part in told)))


def _key(words: UInt32[Array, "2"]) -> PRNGKeyArray:
    return jax.random.wrap_key_data(words, impl="threefry2x32")
