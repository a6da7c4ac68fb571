"""The gradient of weights that are used at every step, computed at once for all steps.

Backpropagated step by step, the gradient of a matrix is a sum over steps of thin products, one for
each step: with few trials in a batch, they take most of an update. Gathered over the steps first,
they are one large product, after the loop. Values and gradients stay the same but for rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, jaxpr_as_fun
from jax.extend.core.primitives import dot_general_p, scan_p
from jaxtyping import Array, Float

MOST_TRIALS = 24
"""With more trials in a batch, products at each step are large enough, and keeping what enters them
takes more time than they do: an update of 8 trials took 0.61 times as long gathered, one of 16
0.67, of 24 0.85, of 32 0.96, and of 64 and 250 more (medians on one core). The bound is the last of
these at which much is gained."""

Rule = Callable[[int, JaxprEqn, list[Any]], list[Any] | None]
"""Gives the results of an operation by another way than its own, or ``None``."""


def gathered(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function with gradients of weights gathered over the steps of its loops.

    It is for functions of arrays to be differentiated backwards, and cannot be forwards. A weight
    is a matrix ``W`` in ``W @ x`` within a ``scan`` over a batch of at most ``MOST_TRIALS``; all
    else is as in the function itself.

    Args:
        function: of pytrees of arrays, which returns such.

    Example:
        >>> gradient = jax.grad(gathered(lambda weights: mean_loss_of(weights)))(weights)
    """

    def with_gathered_gradients(*arguments: Any) -> Any:
        if jax.config.jax_disable_jit:  # type: ignore[attr-defined]
            return function(*arguments)
        leaves, structure = jax.tree.flatten(arguments)
        closed, shapes = jax.make_jaxpr(
            lambda *leaves: function(*jax.tree.unflatten(structure, leaves)),
            return_shape=True,
        )(*leaves)
        results = run_jaxpr(closed.jaxpr, [*closed.consts, *leaves], with_gathering)
        return jax.tree.unflatten(jax.tree.structure(shapes), results)

    return with_gathered_gradients


def run_jaxpr(jaxpr: Jaxpr, arguments: Sequence[Any], rule: Rule) -> list[Any]:
    """Run the operations of a jaxpr, some of them by another way than their own."""
    variables = [*jaxpr.constvars, *jaxpr.invars]
    known: dict[Any, Any] = dict(zip(variables, arguments, strict=True))

    def value(variable: Any) -> Any:
        return variable.val if isinstance(variable, Literal) else known[variable]

    for index, operation in enumerate(jaxpr.eqns):
        inputs = [value(each) for each in operation.invars]
        results = rule(index, operation, inputs)
        if results is None:
            needed = [each for each in operation.invars if not isinstance(each, Literal)]
            alone = jaxpr.replace(
                constvars=[],
                invars=list(dict.fromkeys(needed)),
                outvars=operation.outvars,
                eqns=[operation],
            )
            results = jaxpr_as_fun(ClosedJaxpr(alone, ()))(*map(value, alone.invars))
        known.update(zip(operation.outvars, results, strict=True))
    return [value(each) for each in jaxpr.outvars]


def with_gathering(_: int, operation: JaxprEqn, inputs: list[Any]) -> list[Any] | None:
    """Run a scan so that gradients of its weights are gathered; ``None`` if there are none."""
    if operation.primitive is not scan_p:
        return None
    n_consts, n_carry = (operation.params[name] for name in ("num_consts", "num_carry"))
    body: Jaxpr = operation.params["jaxpr"].jaxpr
    loop = Loop(
        body,
        n_consts,
        n_consts + n_carry,
        {name: operation.params[name] for name in ("length", "reverse", "unroll")},
        products(body, n_consts),
        [jnp.issubdtype(each.dtype, jnp.inexact) for each in inputs],
    )
    return loop.run_gathered(inputs) if loop.weights else None


class Loop(NamedTuple):
    """A scan, and the products with weights in it.

    Attributes:
        body: operations of one step.
        n_consts: inputs of the body that are the same at each step; they come first.
        n_before_slices: these, and those that are handed on from step to step.
        how: its ``length``, and ``reverse`` and ``unroll``, as ``jax.lax.scan`` takes them.
        weights: which operations are products with a weight, and which constant it is.
        is_real: which inputs have a gradient.
    """

    body: Jaxpr
    n_consts: int
    n_before_slices: int
    how: dict[str, Any]
    weights: dict[int, int]
    is_real: list[bool]

    def run_gathered(self, inputs: list[Any]) -> list[Any]:
        """Run the loop, with the gradient of its weights after that of all else."""

        @jax.custom_vjp
        def scan(real: list[Any], rest: list[Any]) -> list[Any]:
            return self.run(real, rest, self.no_taps())[0]

        def forward(real: list[Any], rest: list[Any]) -> tuple[list[Any], Any]:
            results, pull_back, entered = jax.vjp(
                lambda real, taps: self.run(real, rest, taps), real, self.no_taps(), has_aux=True
            )
            return results, (pull_back, entered)

        def backward(kept: Any, cotangents: list[Any]) -> tuple[list[Any], None]:
            pull_back, entered = kept
            of_real, of_taps = pull_back(cotangents)
            # Time t, trial b of the batch, output i, input j.
            for at, of_tap, entering in zip(self.weights.values(), of_taps, entered, strict=True):
                of_real[sum(self.is_real[:at])] += jnp.einsum("tbi,tbj->ij", of_tap, entering)
            return of_real, None

        scan.defvjp(forward, backward)
        by_kind: dict[bool, list[Any]] = {True: [], False: []}
        for each, kind in zip(inputs, self.is_real, strict=True):
            by_kind[kind].append(each)
        results: list[Any] = scan(by_kind[True], by_kind[False])
        return results

    def run(
        self, real: list[Any], rest: list[Any], taps: list[Array]
    ) -> tuple[list[Any], list[Array]]:
        """Run the loop; also return what enters the products at each step.

        Args:
            real, rest: the inputs with and without gradients.
            taps: of ``no_taps``; their gradients are those of the products' results.
        """
        of_kind = {True: iter(real), False: iter(rest)}
        inputs = [next(of_kind[kind]) for kind in self.is_real]
        consts, carry = inputs[: self.n_consts], inputs[self.n_consts : self.n_before_slices]
        # Transposed once for all steps, which the compiler would rather do at each.
        transposed = [jax.lax.optimization_barrier(consts[at].T) for at in self.weights.values()]

        def step(carry: list[Any], slices_and_taps: Any) -> tuple[list[Any], Any]:
            slices, taps = slices_and_taps
            entered: list[Array] = []

            def tapped(index: int, _: JaxprEqn, inputs: list[Any]) -> list[Any] | None:
                if index not in self.weights:
                    return None
                nth = len(entered)
                entered.append(inputs[1])
                return [product(inputs[0], transposed[nth], inputs[1], taps[nth]).T]

            results = run_jaxpr(self.body, [*consts, *carry, *slices], tapped)
            return results[: len(carry)], (results[len(carry) :], entered)

        slices = inputs[self.n_before_slices :]
        carry, (rows, entered) = jax.lax.scan(step, carry, (slices, taps), **self.how)
        return [*carry, *rows], entered

    def no_taps(self) -> list[Array]:
        """Return zeros, like the results of each product at all steps."""
        shapes = [_shape(self.body.eqns[index].outvars[0]) for index in self.weights]
        return [jnp.zeros((self.how["length"], *shape[::-1])) for shape in shapes]


def products(body: Jaxpr, n_consts: int) -> dict[int, int]:
    """Return which operations are products with weights, and which constant is the weight."""
    consts = body.invars[:n_consts]
    found = {}
    for index, operation in enumerate(body.eqns):
        if operation.primitive is not dot_general_p:
            continue
        weight, entering = operation.invars
        is_weight = any(weight is each for each in consts) and len(_shape(weight)) == 2
        is_batch = len(_shape(entering)) == 2 and not any(entering is each for each in consts)
        contracted = operation.params["dimension_numbers"] == (((1,), (1,)), ((), ()))
        if is_weight and is_batch and contracted and _shape(entering)[0] <= MOST_TRIALS:
            found[index] = next(at for at, each in enumerate(consts) if each is weight)
    return found


@jax.custom_vjp
def product(
    weight: Float[Array, "outputs inputs"],
    transposed: Float[Array, "inputs outputs"],
    entering: Float[Array, "trials inputs"],
    tap: Float[Array, "trials outputs"],
) -> Float[Array, "trials outputs"]:
    """Return ``entering @ transposed``, with a gradient for the tap instead of the weight."""
    return entering @ transposed


product.defvjp(
    lambda weight, transposed, entering, tap: (entering @ transposed, weight),
    lambda weight, cotangent: (None, None, cotangent @ weight, cotangent),
)


def _shape(variable: Any) -> tuple[int, ...]:
    shape: tuple[int, ...] = variable.aval.shape
    return shape
