"""Trials side by side for callers outside JAX: the compiled step that all of them share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Bool, Float, Int, UInt32

from fbx_env import checks
from fbx_env.env import ReachState
from fbx_env.gym.options import Given
from fbx_env.gym.packing import element_dtype
from fbx_env.gym.programs import Buffer, Layout, Programs, Rows, compile_programs, kinds_of
from fbx_env.params import ReachParams
from fbx_env.processes import refuse_fork
from fbx_env.reach import check_trials, out_of_reach


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


def _need_same(programs: Programs, others: Programs) -> None:
    """Refuse to go on with programs that would take the rows for something else."""
    one, other = (
        {
            **kinds_of(these.state),
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
