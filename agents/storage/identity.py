"""Identities of trainings, so that only the same one is resumed."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import PyTree

from agents.storage import archive
from agents.storage.runs import versions

SETTINGS = (
    *("jax_enable_x64", "jax_default_matmul_precision"),
    *("jax_threefry_partitionable", "jax_default_prng_impl"),
)
"""Settings of JAX that results depend on."""

FEW, MANY = 4, 5
"""Arrays of up to so many numbers are kept with their values in an identity; and of what differs,
up to so much is named."""


def describe(exact: PyTree, rounded: PyTree, **functions: str) -> dict[str, Any]:
    """The identity of a training, as something for JSON.

    Args:
        exact: a pytree whose arrays and numbers count to the last bit.
        rounded: one in which floating-point arrays count by their sums, because another machine may
            compute them a little differently.
        **functions: what functions compute, each by its ``fingerprint``.
    """
    structure = re.sub(r" at 0x[0-9a-f]+", "", str(jax.tree.structure((exact, rounded))))
    return {
        "exact": {name: _digest(leaf) for name, leaf in _named_leaves(exact).items()},
        "rounded": {
            name: _sums(leaf) if eqx.is_inexact_array(leaf) else _digest(leaf)
            for name, leaf in _named_leaves(rounded).items()
        },
        "structure": hashlib.sha256(structure.encode()).hexdigest(),
        "functions": functions,
        "settings": {name: getattr(jax.config, name, None) for name in SETTINGS},
        "surroundings": {**versions(), "device": jax.devices()[0].device_kind},
    }


def fingerprint(function: Callable[..., Any], *arguments: PyTree) -> str:
    """A checksum of all that a function computes, the constants in it included.

    Args:
        function: of pytrees of arrays.
        *arguments: like those that it is called with.

    Example:
        >>> one, other = (
        ...     fingerprint(optax.sgd(rate).update, jnp.ones(2), optax.sgd(rate).init(jnp.ones(2)))
        ...     for rate in (0.1, 0.2)
        ... )
        >>> one == other
        False
    """
    program = jax.jit(function).lower(*arguments).as_text()
    return hashlib.sha256(program.encode()).hexdigest()


def as_json(identity: dict[str, Any]) -> dict[str, Any]:
    """An identity as it comes back from a file."""
    return dict(json.loads(json.dumps(identity)))


def differences(before: dict[str, Any], now: dict[str, Any]) -> str:
    """In what two identities differ that are of different trainings, in words; empty for nothing.

    What the last bits depend on is no such difference; but what a function computes is written down
    differently by every version.
    """
    alike = before["surroundings"] == now["surroundings"]
    ignored = ("surroundings",) if alike else ("surroundings", "functions")
    kept, mine = (
        _flat({name: value for name, value in each.items() if name not in ignored})
        for each in (before, now)
    )
    # All arrays differ with some settings, which alone are worth naming then.
    return _in_words(_changes(before["settings"], now["settings"]) or _changes(kept, mine))


def other_surroundings(before: dict[str, Any], now: dict[str, Any]) -> str:
    """In what two identities differ that the last bits of a result depend on, in words."""
    return _in_words(_changes(before["surroundings"], now["surroundings"]))


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    """The entries of nested dicts by their paths."""
    if not isinstance(value, dict):
        return {path: value}
    nested = [_flat(item, f"{path}.{name}".lstrip(".")) for name, item in value.items()]
    return {path: item for each in nested for path, item in each.items()}


def _changes(before: dict[str, Any], now: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The entries that differ, as they were and as they are."""
    return {
        name: (before.get(name), now.get(name))
        for name in {**before, **now}
        if not _are_same(name, before.get(name), now.get(name))
    }


def _are_same(name: str, before: Any, now: Any) -> bool:
    if name.startswith("rounded.") and isinstance(before, list) and isinstance(now, list):
        return bool(np.allclose(before, now, rtol=1e-4, atol=1e-6, equal_nan=True))
    return bool(before == now)


def _in_words(changed: dict[str, tuple[Any, Any]]) -> str:
    """The changes, functions first, by name, and by value where it is short."""
    parts = []
    for name in sorted(changed, key=lambda name: not name.startswith("functions.")):
        before, now = changed[name]
        known = re.sub(r"^(exact|rounded|functions)\.", "", name)
        values = f"{_shortest(before)}, now {_shortest(now)}"
        is_short = len(values) < 60 and not isinstance(before, list)
        parts.append(f"{known} {values}" if is_short else f"another {known}")
    more = f" and {len(parts) - MANY} more" if len(parts) > MANY else ""
    return "; ".join(parts[:MANY]) + more


def _shortest(value: Any) -> Any:
    """A number as it was meant, if it was rounded to single precision."""
    if isinstance(value, float) and float(np.float32(value)) == value:
        return archive.decimals(np.float32(value))
    return value


def _named_leaves(tree: PyTree) -> dict[str, Any]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {archive.name_of(path): leaf for path, leaf in leaves}


def _digest(leaf: Any) -> Any:
    """A leaf of a pytree as something short for JSON that tells it from others."""
    if not eqx.is_array(leaf) and not isinstance(leaf, np.ndarray):
        if leaf is None or isinstance(leaf, bool | int | float | str):
            return leaf
        kind = leaf if hasattr(leaf, "__qualname__") else type(leaf)
        return f"{kind.__module__}.{kind.__qualname__}"
    array = archive.stored(leaf)
    if array.size <= FEW:
        return f"{array.dtype} {archive.decimals(array)}"
    return f"{array.dtype} {array.shape} {hashlib.sha256(array.tobytes()).hexdigest()}"


def _sums(leaf: Any) -> list[float]:
    array = np.asarray(leaf, np.float64)
    return [float(array.sum()), float(np.abs(array).sum())]
