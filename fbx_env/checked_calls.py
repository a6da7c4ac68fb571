"""Calls of a part's methods, checked for its author: what they return, and their derivatives."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fbx_env.parts.component import Component


def transformed(
    part: Component, method: str, *arguments: Any, function: Callable[..., Any] | None = None
) -> Any:
    """The result of a method, the same under ``jit`` and ``vmap``, and with finite gradients.

    Args:
        part: whose method it is.
        method: its name.
        *arguments: of the method, all of them pytrees of arrays.
        function: of part and arguments, to be called in place of the method.

    Raises:
        ValueError: saying what is wrong with it.
    """
    function = function or getattr(type(part), method)
    name = f"{type(part).__name__}.{method}"
    plain = called(part, method, function, part, *arguments)
    for leaf in jax.tree.leaves(plain):
        want(
            isinstance(leaf, jax.Array | np.ndarray),
            f"{name} must return arrays of JAX, or dataclasses, tuples and dicts of them, got "
            f"{type(leaf).__name__} {leaf!r}",
        )

    def under(transform: str, function: Callable[..., Any], *arguments: Any) -> Any:
        return called(part, f"{method} under jax.{transform}", function, *arguments)

    jitted = under("jit", jax.jit(function), part, *arguments)
    pair = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), (part, *arguments))
    batch = under("vmap", jax.vmap(function), *pair)
    for transform, other in (("jit", jitted), ("vmap", jax.tree.map(lambda leaf: leaf[1], batch))):
        want(
            _close(plain, other),
            f"{name} must give the same under jax.{transform}, got {plain} and {other}",
        )
    _check_gradient(name, partial(under, "grad"), function, (part, *arguments))
    return plain


def _check_gradient(
    name: str, under: Callable[..., Any], function: Callable[..., Any], arguments: Any
) -> None:
    """Raise ``ValueError`` if a gradient of what is returned by what is given is not finite."""
    signature = inspect.signature(function)
    named = dict(signature.bind(*arguments).arguments)
    given, structure = jax.tree_util.tree_flatten_with_path(named)
    leaves = [leaf for _, leaf in given]
    floats = [index for index, leaf in enumerate(_plain(leaves)) if _is_float(leaf)]

    def results(numbers: list[Any]) -> dict[str, Any]:
        filled = list(leaves)
        for index, number in zip(floats, numbers, strict=True):
            filled[index] = number
        other = inspect.BoundArguments(signature, jax.tree.unflatten(structure, filled))
        returned = function(*other.args)
        paths = jax.tree_util.tree_leaves_with_path(returned)
        return {jax.tree_util.keystr(path): leaf for path, leaf in paths if _is_float(leaf)}

    def total(numbers: list[Any], which: Callable[[str], bool] = lambda name: True) -> Any:
        chosen = [jnp.sum(leaf) for path, leaf in results(numbers).items() if which(path)]
        return sum(chosen, start=jnp.zeros(()))

    numbers = [leaves[index] for index in floats]
    if _are_finite(under(jax.grad(total), numbers)):
        return
    for returned in results(numbers):
        slopes = jax.grad(partial(total, which=returned.__eq__))(numbers)
        for index, number, slope in zip(floats, numbers, slopes, strict=True):
            path = jax.tree_util.keystr(given[index][0], simple=True, separator=".")
            want(
                _are_finite(slope),
                f"{name} must have finite gradients; that of its result{returned} with respect to "
                f"{path} is {slope} where {path} is {number}",
            )


def _is_float(leaf: Any) -> bool:
    return bool(jnp.issubdtype(jnp.asarray(leaf).dtype, jnp.floating))


def _are_finite(numbers: Any) -> bool:
    return all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(numbers))


def _plain(leaves: list[Any]) -> list[Any]:
    """The leaves with zeros for random keys, which have no number type."""
    is_key = jax.dtypes.prng_key
    return [0 if jnp.issubdtype(leaf.dtype, is_key) else leaf for leaf in leaves]


def called(part: Component, method: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """The result of a part's method.

    Raises:
        ValueError: saying in one sentence what the method raised.
    """
    try:
        return function(*arguments)
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else ""
        raise ValueError(
            f"{type(part).__name__}.{method} must work, got {type(error).__name__}: "
            f"{reason.rstrip('.')}{_advice(part, error)}"
        ) from error


def _advice(part: Component, error: Exception) -> str:
    """Name the function of JAX that does what it cannot trace, or the arguments of a method."""
    wrong = re.search(r"(\w+)\(\) (takes|missing)", str(error))
    if isinstance(error, TypeError) and wrong:
        method = wrong.group(1)
        for base in type(part).__mro__:
            if method in getattr(base, "__abstractmethods__", ()):
                arguments = list(inspect.signature(getattr(base, method)).parameters)[1:]
                return f"; it is called as {method}({', '.join(arguments)})"
    if isinstance(error, jax.errors.TracerBoolConversionError):
        return "; use jnp.where instead of if"
    if isinstance(error, jax.errors.TracerArrayConversionError):
        return "; use jax.numpy instead of numpy"
    if isinstance(error, jax.errors.ConcretizationTypeError):
        return "; leave numbers as they are, without float() or int()"
    return ""


def want(condition: bool, message: str) -> None:
    """Raise ``ValueError`` with a message if a condition does not hold."""
    if not condition:
        raise ValueError(message)


def _close(one: Any, other: Any) -> bool:
    if str(jax.tree.structure(one)) != str(jax.tree.structure(other)):
        return False
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return all(np.allclose(a, b, rtol=1e-4, atol=1e-5, equal_nan=True) for a, b in pairs)


def check_state(name: str, state: Any) -> None:
    """Raise ``ValueError`` if a number of a state is weakly typed, which a step would change."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        want(
            not leaf.weak_type,
            f"{name} must give numbers with a type of their own, {jax.tree_util.keystr(path)} is a "
            "weakly typed one; write jnp.zeros(()) instead of jnp.array(0.0)",
        )


def check_same(name: str, one: Any, other: Any) -> None:
    """Raise ``ValueError`` if two states differ in structure, shapes or types."""
    before, after = (
        {
            jax.tree_util.keystr(path): f"{leaf.dtype}{list(leaf.shape)}{'weak' * leaf.weak_type}"
            for path, leaf in jax.tree_util.tree_leaves_with_path(jax.tree.map(jnp.asarray, tree))
        }
        for tree in (one, other)
    )
    same = before == after and str(jax.tree.structure(one)) == str(jax.tree.structure(other))
    want(same, f"{name} must keep structure, shapes and types, {before}, got {after}")


def check_array(name: str, value: Any, shape: tuple[int, ...]) -> None:
    """Raise ``ValueError`` if a value is no floating-point array of JAX of this shape."""
    want(
        isinstance(value, jax.Array)
        and value.shape == shape
        and jnp.issubdtype(value.dtype, jnp.floating),
        f"{name} must be a floating-point array of shape {shape}, got {_show(value)}",
    )


def _show(value: Any) -> str:
    if isinstance(value, jax.Array):
        return f"{value.dtype} of shape {value.shape}"
    return repr(value)
