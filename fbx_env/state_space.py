"""The space of states, for gymnax."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from gymnax.environments import spaces


def space_of(value: Any) -> Any:
    """The space of an array or of a dataclass; ``None`` for what gymnax has no space for."""
    if isinstance(value, jax.ShapeDtypeStruct):
        return spaces.Box(-jnp.inf, jnp.inf, value.shape, value.dtype)
    if not dataclasses.is_dataclass(value):
        return None
    fields = {
        field.name: space_of(getattr(value, field.name)) for field in dataclasses.fields(value)
    }
    return spaces.Dict({name: space for name, space in fields.items() if space is not None})
