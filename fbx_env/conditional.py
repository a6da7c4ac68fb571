"""Computing only what is needed, also under ``vmap``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap
from jaxtyping import Array, Bool


def if_any(needed: Bool[Array, ""], function: Callable[..., Any], *arguments: Any) -> Any:
    """The result of a function if it is needed, and zeros if not; under ``vmap``, if it is for any.

    ``jax.lax.cond`` alone would compute it always under ``vmap``. No gradient passes.
    """

    def either(needed: Any, function: Callable[..., Any], *arguments: Any) -> Any:
        shapes = jax.eval_shape(function, *arguments)
        zeros = jax.tree.map(_zeros_like, shapes)
        return jax.lax.cond(needed, function, lambda *_: zeros, *arguments)

    @custom_vmap
    def one(needed: Any, *arguments: Any) -> Any:
        return either(needed, function, *arguments)

    @one.def_vmap
    def many(size: int, batched: Any, needed: Any, *arguments: Any) -> Any:
        axes = jax.tree.map(lambda is_batched: 0 if is_batched else None, batched[1:])
        together = jax.vmap(function, in_axes=tuple(axes), axis_size=size)
        # A further vmap, if there is one, asks again whether it is for any.
        results = if_any(jnp.any(needed), together, *arguments)
        return results, jax.tree.map(lambda _: True, results)

    return one(needed, *arguments)


def _zeros_like(shape: jax.ShapeDtypeStruct) -> Array:
    """Zeros that vary over the same axes of ``jax.shard_map`` as what has this shape."""
    zeros = jnp.zeros(shape.shape, shape.dtype)
    axes = getattr(getattr(shape, "manual_axis_type", None), "varying", ())
    return jax.lax.pcast(zeros, tuple(axes), to="varying") if axes else zeros
