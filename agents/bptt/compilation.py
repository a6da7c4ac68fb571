"""Compiling what training runs, and sharing it between trainings of equal structure."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Bool, Int, PyTree

from agents.bptt.algorithm import Setup, TrainState, update
from agents.bptt.devices import (
    REPLICATES,
    WHOLE,
    any_replicate,
    on_first_device,
    replicated,
    sharded,
)
from agents.objective import Terms

MAX_CHUNK = 256
"""Updates in a chunk at most, whatever the configuration: the compiled reports have this length."""

MAX_PROGRAMS = 8
"""How many programs are kept: those of the last four trainings that differ in structure."""


class Sharding(NamedTuple):
    """How a function is run on several devices; arguments as of ``sharded``."""

    mesh: Mesh | None
    in_specs: Any
    out_specs: Any


NO_SHARDING = Sharding(None, None, None)


@dataclass(frozen=True)
class Program:
    """A function of arrays, and of what stays the same.

    Attributes:
        jitted: it takes and returns the arrays of the pytrees.
        static_results: the rest of what it returns, noted whenever it is traced.
    """

    jitted: Any
    static_results: list[PyTree]

    def compile(self, *arguments: Any) -> Callable[..., Any]:
        """Compile it for arguments like these, or find that it is compiled already."""
        compiled = self.jitted.lower(*eqx.filter(arguments, eqx.is_array)).compile()
        static_result = self.static_results[-1]

        def call(*arguments: Any) -> Any:
            return eqx.combine(compiled(*eqx.filter(arguments, eqx.is_array)), static_result)

        return call


def compile_for(
    function: Callable[..., Any], *arguments: Any, sharding: Sharding = NO_SHARDING
) -> Callable[..., Any]:
    """Compile a function for arguments like these.

    Arguments whose arrays have the same shapes, and which are otherwise equal, share one program.
    The last ``MAX_PROGRAMS`` are kept; ``eqx.filter_jit`` would keep all that was ever compiled.

    Args:
        function: of a module, so that it is found again.
        *arguments: pytrees.
        sharding: how it is run on several devices.
    """
    if jax.config.jax_disable_jit:  # type: ignore[attr-defined]
        return function
    leaves, structure = jax.tree.flatten(arguments)
    kinds = tuple(jax.typeof(leaf) if eqx.is_array(leaf) else (type(leaf), leaf) for leaf in leaves)
    try:
        program = _program(function, structure, kinds, sharding)
    except TypeError:  # Something in them cannot be compared, so nothing can be shared.
        program = _program.__wrapped__(function, structure, kinds, sharding)
    return program.compile(*arguments)


@functools.lru_cache(maxsize=MAX_PROGRAMS)
def _program(
    function: Callable[..., Any], structure: Any, kinds: tuple[Any, ...], sharding: Sharding
) -> Program:
    static = [kind[1] if isinstance(kind, tuple) else None for kind in kinds]
    static_arguments = jax.tree.unflatten(structure, static)
    static_results: list[PyTree] = []

    def on_arrays(*arrays: Any) -> Any:
        results = function(*eqx.combine(arrays, static_arguments))
        arrays, static_result = eqx.partition(results, eqx.is_array)
        static_results.append(static_result)
        return arrays

    return Program(jax.jit(sharded(on_arrays, *sharding)), static_results)


def compile_updates(
    state: TrainState, setup: Setup, mesh: Mesh | None = None
) -> Callable[[TrainState, int], tuple[TrainState, Terms]]:
    """Compile what makes some updates.

    Args:
        state: like those that it is called with; of replicates, with a leading axis.
        setup: what stays the same.
        mesh: of devices.

    Returns:
        ``make_updates(state, n_updates) -> (state, reports)``, for at most ``MAX_CHUNK`` updates.
    """
    setup = replicated(setup, mesh)

    def arguments(state: TrainState, n_updates: int) -> tuple[Any, ...]:
        state, count = replicated((state, jnp.asarray(n_updates)), mesh)
        return state, setup, count, mesh

    specs = PartitionSpec(REPLICATES), PartitionSpec(None, REPLICATES)
    of_state, of_reports = specs if state.iteration.ndim else (WHOLE, WHOLE)
    sharding = Sharding(mesh, (of_state, WHOLE, WHOLE, WHOLE), (of_state, of_reports))
    compiled = compile_for(_updates, *arguments(state, 1), sharding=sharding)

    def make_updates(state: TrainState, n_updates: int) -> tuple[TrainState, Terms]:
        results: tuple[TrainState, Terms] = on_first_device(
            compiled(*arguments(state, n_updates)), mesh
        )
        return results

    return make_updates


def _updates(
    state: TrainState, setup: Setup, n_updates: Int[Array, ""], mesh: Mesh | None
) -> tuple[TrainState, Terms]:
    """Make some updates, of replicates side by side; none after a fault of any of them.

    Rows of the reports past the last update are NaN.
    """
    arrays, static = eqx.partition(state, eqx.is_array)

    def one(arrays: PyTree) -> tuple[PyTree, Terms]:
        state, report = update(eqx.combine(arrays, static), setup, mesh)
        return eqx.filter(state, eqx.is_array), report

    if state.iteration.ndim:
        one = jax.vmap(one)

    def is_due(loop: tuple[Array, Array, PyTree, Terms]) -> Bool[Array, ""]:
        index, is_halted, _, _ = loop
        return (index < n_updates) & ~is_halted

    def advance(
        loop: tuple[Array, Array, PyTree, Terms],
    ) -> tuple[Array, Array, PyTree, Terms]:
        index, _, arrays, rows = loop
        arrays, row = one(arrays)
        rows = jax.tree.map(lambda rows, row: rows.at[index].set(row), rows, row)
        return index + 1, any_replicate(arrays.halted, mesh), arrays, rows

    shapes = jax.eval_shape(one, arrays)[1]
    rows = jax.tree.map(lambda row: jnp.full((MAX_CHUNK, *row.shape), jnp.nan, row.dtype), shapes)
    loop = (jnp.zeros_like(n_updates), any_replicate(arrays.halted, mesh), arrays, rows)
    _, _, arrays, rows = jax.lax.while_loop(is_due, advance, loop)
    return eqx.combine(arrays, static), rows
