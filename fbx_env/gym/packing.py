"""Trees of numbers as one flat buffer of floats, and back, without changing a bit.

Most numbers are floats and stay what they are. Others lend an element their bits: packed so, they
are not to be calculated with, only moved. (Were all elements integers, a step would take twice as
long.)
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped


def element_dtype() -> Any:
    """The type of an element of a buffer: that of JAX's floats now."""
    return jnp.result_type(float)


def pack(tree: Any) -> Float[Array, " size"]:
    """Write all numbers of a tree one after the other, each into an element of its own."""
    return jnp.concatenate([_to_elements(leaf).ravel() for leaf in jax.tree.leaves(tree)])


def unpack(buffer: Float[Array, " size"], like: Any) -> Any:
    """Rebuild the tree that was packed.

    Args:
        buffer: what ``pack`` returned.
        like: a tree of the same structure, whose leaves have the same ``shape`` and ``dtype``.
    """
    leaves, structure = jax.tree.flatten(like)
    ends = np.cumsum([leaf.size for leaf in leaves])
    parts = map(_from_elements, jnp.split(buffer, ends[:-1]), leaves)
    return jax.tree.unflatten(structure, parts)


def buffer_size(like: Any) -> int:
    """How many elements a tree takes whose leaves have a ``size`` and a ``dtype``.

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


def _to_elements(numbers: Shaped[Array, "*shape"]) -> Float[Array, "*shape"]:
    if numbers.dtype == element_dtype():
        return numbers
    if numbers.dtype == bool:
        numbers = numbers.astype(np.uint8)
    bits = jax.lax.bitcast_convert_type(numbers, _unsigned(numbers.dtype))
    return jax.lax.bitcast_convert_type(bits.astype(_unsigned(element_dtype())), element_dtype())


def _from_elements(buffer: Float[Array, " size"], like: Any) -> Shaped[Array, "..."]:
    buffer = buffer.reshape(like.shape)
    if like.dtype == element_dtype():
        return buffer
    bits = jax.lax.bitcast_convert_type(buffer, _unsigned(element_dtype()))
    bits = bits.astype(_unsigned(like.dtype))
    if like.dtype == bool:
        return bits.astype(bool)
    return jax.lax.bitcast_convert_type(bits, like.dtype)
