"""How components are written by ``jax.export`` and by ``flax.serialization``."""

from __future__ import annotations

import copy
import json
from collections import Counter
from typing import Any

from flax import serialization
from jax import export

_definitions: Counter[str] = Counter()


def register(kind: type[Any], leaf_names: tuple[str, ...]) -> None:
    """Let ``jax.export`` and ``flax.serialization`` write components of a class.

    Args:
        kind: the class, which is registered as a pytree with its static fields as auxiliary data.
        leaf_names: of the fields that are not static.
    """
    name = f"{kind.__module__}.{kind.__qualname__}"
    _definitions[name] += 1
    # A class that is defined again, as in a notebook, needs a name of its own.
    again = f"#{_definitions[name]}" if _definitions[name] > 1 else ""
    export.register_pytree_node_serialization(
        kind,
        serialized_name=name + again,
        serialize_auxdata=lambda structure: json.dumps(structure).encode(),
        deserialize_auxdata=lambda data: _as_tuple(json.loads(data)),
    )

    def to_state_dict(component: Any) -> dict[str, Any]:
        return {name: serialization.to_state_dict(getattr(component, name)) for name in leaf_names}

    def from_state_dict(component: Any, state: dict[str, Any]) -> Any:
        restored = copy.copy(component)
        for name in leaf_names:
            value = serialization.from_state_dict(getattr(component, name), state[name], name)
            object.__setattr__(restored, name, value)
        return restored

    serialization.register_serialization_state(kind, to_state_dict, from_state_dict)


def _as_tuple(value: Any) -> Any:
    return tuple(map(_as_tuple, value)) if isinstance(value, list) else value
