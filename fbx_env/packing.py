"""Trees of numbers as one flat array of machine words, and back, without changing a bit."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, UInt


def word() -> Any:
    """The kind of a word: the unsigned integer as wide as JAX's floats are now."""
    return _unsigned(jnp.result_type(float))


def pack(tree: Any) -> UInt[Array, " words"]:
    """Write the bits of all numbers of a tree one after the other, each in a word of its own.

    Example:
        >>> pack({"time": jnp.array(3), "position": jnp.array([1.0, 0.0])})
        Array([1065353216,          0,          3], dtype=uint32)
    """
    return jnp.concatenate([_bits(leaf).ravel().astype(word()) for leaf in jax.tree.leaves(tree)])


def unpack(words: UInt[Array, " words"], like: Any) -> Any:
    """The tree that was packed.

    Args:
        words: what ``pack`` returned.
        like: a tree of the same structure, whose leaves have the same ``shape`` and ``dtype``.
    """
    leaves, structure = jax.tree.flatten(like)
    ends = np.cumsum([leaf.size for leaf in leaves])
    parts = map(_number, jnp.split(words, ends[:-1]), leaves)
    return jax.tree.unflatten(structure, parts)


def n_words(like: Any) -> int:
    """How many words it takes to pack a tree whose leaves have a ``size`` and a ``dtype``.

    Raises:
        TypeError: if it has numbers of a kind that cannot be packed.
    """
    leaves = jax.tree.leaves_with_path(like)
    for path, leaf in leaves:
        if not any(jnp.issubdtype(leaf.dtype, kind) for kind in _KINDS):
            raise TypeError(
                f"{jax.tree_util.keystr(path)} must be real numbers, integers or booleans, got "
                f"{leaf.dtype}; keep the real and imaginary parts of complex numbers, and the "
                "jax.random.key_data of keys"
            )
    return sum(leaf.size for _, leaf in leaves)


_KINDS = (jnp.floating, jnp.integer, jnp.bool_)


def _unsigned(dtype: Any) -> Any:
    return np.dtype(f"uint{8 * jnp.dtype(dtype).itemsize}")


def _bits(numbers: Array) -> UInt[Array, "..."]:
    if numbers.dtype == bool:
        return numbers.astype(np.uint8)
    return jax.lax.bitcast_convert_type(numbers, _unsigned(numbers.dtype))


def _number(words: UInt[Array, " words"], like: Any) -> Array:
    bits = words.astype(_unsigned(like.dtype)).reshape(like.shape)
    if like.dtype == bool:
        return bits.astype(bool)
    return jax.lax.bitcast_convert_type(bits, like.dtype)
