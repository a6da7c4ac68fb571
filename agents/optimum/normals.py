"""Making the random numbers of a function its arguments."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
from jax.extend.core import Jaxpr, Literal
from jaxtyping import Array, Float

NORMAL = "_normal"
"""The name that JAX's compiled programs give to ``jax.random.normal``."""


def count_normals(function: Callable[..., Any], *arguments: Any) -> int:
    """How many numbers a function draws by ``jax.random.normal``, wherever it does."""

    def count(jaxpr: Jaxpr) -> int:
        total = 0
        for equation in jaxpr.eqns:
            if equation.params.get("name") == NORMAL:
                like: Any = equation.outvars[0].aval
                total += like.size
            elif _is_call(equation):
                total += count(equation.params["jaxpr"].jaxpr)
        return total

    return count(jax.make_jaxpr(function)(*arguments).jaxpr)


def with_normals(
    function: Callable[..., Any], normals: Float[Array, " normals"], *arguments: Any
) -> Any:
    """Call a function with given numbers in place of those it draws by ``jax.random.normal``.

    The function's program is traced, and run operation by operation. Random numbers of other kinds
    are drawn as ever.

    Args:
        function: of arrays, to arrays, in any pytrees.
        normals: in the order in which they are drawn, as many as ``count_normals`` says.
        *arguments: of the function.
    """
    program, shapes = jax.make_jaxpr(function, return_shape=True)(*arguments)
    used = 0

    def run(jaxpr: Jaxpr, constants: Any, inputs: Any) -> list[Any]:
        nonlocal used
        known = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*constants, *inputs], strict=True))
        for equation in jaxpr.eqns:
            values = [
                each.val if isinstance(each, Literal) else known[each] for each in equation.invars
            ]
            if equation.params.get("name") == NORMAL:
                like: Any = equation.outvars[0].aval
                drawn = normals[used : used + math.prod(like.shape)]
                used += math.prod(like.shape)
                results: Any = [drawn.reshape(like.shape).astype(like.dtype)]
            elif _is_call(equation):
                inner = equation.params["jaxpr"]
                results = run(inner.jaxpr, inner.consts, values)
            else:
                bound = equation.primitive.get_bind_params(equation.params)
                # Before jax 0.9 these were a pair.
                functions, options = bound if isinstance(bound, tuple) else ((), bound)
                results = equation.primitive.bind(*functions, *values, **options)
                results = results if equation.primitive.multiple_results else [results]
            known.update(zip(equation.outvars, results, strict=True))
        return [each.val if isinstance(each, Literal) else known[each] for each in jaxpr.outvars]

    results = run(program.jaxpr, program.consts, jax.tree.leaves(arguments))
    return jax.tree.unflatten(jax.tree.structure(shapes), results)


def _is_call(equation: Any) -> bool:
    """Whether an equation is the call of a compiled function."""
    return equation.primitive.name in ("jit", "pjit")
