"""Making the random numbers of a function its arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Jaxpr, Literal
from jaxtyping import Array, Float

NORMAL = "_normal"
"""The name that JAX's compiled programs give to ``jax.random.normal``."""

OTHER = "random_bits"
"""The primitives of which all other random numbers are made."""

MOST = 10**6
"""More numbers than a function may draw."""


def count_normals(function: Callable[..., Any], *arguments: Any) -> tuple[int, bool]:
    """How many numbers a function draws by ``jax.random.normal``, and whether it draws others."""
    run = _Run(jnp.zeros(MOST))
    jax.eval_shape(lambda *arguments: run.call(function, *arguments), *arguments)
    return run.used, run.draws_others


def with_normals(
    function: Callable[..., Any], normals: Float[Array, " normals"], *arguments: Any
) -> Any:
    """Call a function with given numbers in place of those it draws by ``jax.random.normal``.

    Args:
        function: of arrays, to arrays, in any pytrees; its keys follow from known ones.
        normals: in the order in which they are drawn, as many as ``count_normals`` says. What is
            drawn twice by the same key counts once.
        *arguments: of the function.
    """
    return _Run(normals).call(function, *arguments)


def without_noise(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function with zero in place of all it draws by ``jax.random.normal``.

    Raises:
        ValueError: if it draws other random numbers.
    """
    n_normals, draws_others = count_normals(function, *arguments)
    if draws_others:
        raise ValueError("noise must be drawn by jax.random.normal to be left out, got other noise")
    return with_normals(function, jnp.zeros(n_normals), *arguments)


class _Run:
    """Runs a function's program operation by operation."""

    def __init__(self, normals: Float[Array, " normals"]) -> None:
        self.normals = normals
        self.used, self.draws_others = 0, False
        self.drawn: dict[Any, Any] = {}

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        program, shapes = jax.make_jaxpr(function, return_shape=True)(*arguments)
        results = self._program(program.jaxpr, program.consts, jax.tree.leaves(arguments))
        return jax.tree.unflatten(jax.tree.structure(shapes), results)

    def _program(self, jaxpr: Jaxpr, constants: Any, inputs: Any) -> list[Any]:
        known = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*constants, *inputs], strict=True))

        def values(variables: Any) -> list[Any]:
            return [each.val if isinstance(each, Literal) else known[each] for each in variables]

        for equation in jaxpr.eqns:
            results = self._equation(equation, values(equation.invars))
            known.update(zip(equation.outvars, results, strict=True))
        return values(jaxpr.outvars)

    def _equation(self, equation: Any, values: list[Any]) -> list[Any]:
        if equation.params.get("name") == NORMAL:
            return [self._draw(values[0], equation.outvars[0].aval)]
        if equation.primitive.name in ("jit", "pjit"):
            inner = equation.params["jaxpr"]
            return self._program(inner.jaxpr, inner.consts, values)
        self.draws_others |= OTHER in str(equation)
        bound = equation.primitive.get_bind_params(equation.params)
        # Older versions of JAX give functions, too.
        functions, options = bound if isinstance(bound, tuple) else ((), bound)
        if any(isinstance(value, jax.core.Tracer) for value in values):
            results = equation.primitive.bind(*functions, *values, **options)
        else:
            # Keys stay known, and so it stays known which are the same.
            with jax.ensure_compile_time_eval():
                results = equation.primitive.bind(*functions, *values, **options)
        return list(results) if equation.primitive.multiple_results else [results]

    def _draw(self, key: Any, like: Any) -> Any:
        if isinstance(key, jax.core.Tracer):
            name: Any = id(key)
        else:
            with jax.ensure_compile_time_eval():
                is_typed = jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
                data = np.asarray(jax.random.key_data(key) if is_typed else key)
            name = (data.tobytes(), like.shape)
        if name not in self.drawn:
            numbers = self.normals[self.used : self.used + like.size]
            self.drawn[name] = numbers.reshape(like.shape).astype(like.dtype)
            self.used += like.size
        return self.drawn[name]
