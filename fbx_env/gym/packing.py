"""Trees of numbers as one flat array of words, and back, without changing a bit.

A word is a float, as most numbers are and stay. Others lend it their bits: packed so, they are not
to be calculated with, only moved. (Were all words integers, a step would take twice as long.)
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def word() -> Any:
    """The kind of a word: that of JAX's floats now."""
    return jnp.result_type(float)


def pack(tree: Any) -> Float[Array, " words"]:
    """Write all numbers of a tree one after the other, each in a word of its own."""
    return jnp.concatenate([_words(leaf).ravel() for leaf in jax.tree.leaves(tree)])


def unpack(words: Float[Array, " words"], like: Any) -> Any:
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


def _words(numbers: Array) -> Float[Array, "..."]:
    if numbers.dtype == word():
        return numbers
    if numbers.dtype == bool:
        numbers = numbers.astype(np.uint8)
    bits = jax.lax.bitcast_convert_type(numbers, _unsigned(numbers.dtype))
    return jax.lax.bitcast_convert_type(bits.astype(_unsigned(word())), word())


def _number(words: Float[Array, " words"], like: Any) -> Array:
    words = words.reshape(like.shape)
    if like.dtype == word():
        return words
    bits = jax.lax.bitcast_convert_type(words, _unsigned(word())).astype(_unsigned(like.dtype))
    if like.dtype == bool:
        return bits.astype(bool)
    return jax.lax.bitcast_convert_type(bits, like.dtype)
