"""Keeping numbers within bounds without a trap for gradients."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from fbx_env.parts.component import SignalScalar


def clip(
    value: Float[Array, "*shape"], low: SignalScalar, high: SignalScalar
) -> Float[Array, "*shape"]:
    """The value, or the bound that it is beyond.

    Unlike ``jnp.clip``, which halves it, the gradient at a bound is that of the inside, so that
    what starts at a bound learns as fast as what starts beside it.

    Example:
        >>> jax.grad(clip)(0.0, 0.0, 1.0)
        Array(1., dtype=float32, weak_type=True)
    """
    return jnp.where(value < low, low, jnp.where(value > high, high, value))
