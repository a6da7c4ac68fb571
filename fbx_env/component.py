"""The base of everything an experiment's parameters are made of."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any, ClassVar, Self, dataclass_transform

import jax


def static(*, default: Any = dataclasses.MISSING) -> Any:
    """Declare a field that is part of the structure, not a number JAX traces.

    Use it for what changes array shapes or Python control flow: a delay in steps, the length of a
    trial, a name.
    """
    return dataclasses.field(default=default, metadata={"static": True})


@dataclass_transform(frozen_default=True, field_specifiers=(static, dataclasses.field))
class Component:
    """A frozen dataclass that is a JAX pytree and checks its numbers when it is constructed.

    A subclass lists its fields with types and checks them in ``__post_init__``. The checks run when
    someone constructs the component or calls ``replace``, and not when JAX rebuilds it from leaves:
    a gradient with respect to a mass is a ``PointMass`` too, and may well be negative.

    Example:
        >>> class Spring(Component):
        ...     stiffness: float = 10.0
        >>> Spring().replace(stiffness=20.0)
        Spring(stiffness=20.0)
    """

    registry: ClassVar[dict[str, type[Component]]] = {}
    """Every component class by name, so that saved parameters can be rebuilt."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        dataclasses.dataclass(frozen=True, eq=False)(cls)
        names = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
        metadata = {field.name: field.metadata for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
        static_names = tuple(name for name in names if metadata[name].get("static"))
        leaf_names = tuple(name for name in names if name not in static_names)

        def flatten(component: Component) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
            leaves = tuple(getattr(component, name) for name in leaf_names)
            return leaves, tuple(getattr(component, name) for name in static_names)

        def flatten_with_keys(component: Component) -> tuple[Any, tuple[Any, ...]]:
            leaves, structure = flatten(component)
            keys = (jax.tree_util.GetAttrKey(name) for name in leaf_names)
            return tuple(zip(keys, leaves, strict=True)), structure

        def unflatten(structure: tuple[Any, ...], leaves: Iterable[Any]) -> Component:
            component = object.__new__(cls)
            component._assign(**dict(zip(leaf_names, leaves, strict=True)))
            component._assign(**dict(zip(static_names, structure, strict=True)))
            return component

        jax.tree_util.register_pytree_with_keys(cls, flatten_with_keys, unflatten, flatten)
        Component.registry[cls.__name__] = cls

    def _assign(self, **values: Any) -> None:
        """Set fields of the frozen dataclass; for ``__post_init__`` only."""
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some fields changed, checked like a new component.

        Raises:
            TypeError: for a field the component does not have.
        """
        names = [field.name for field in dataclasses.fields(self)]  # type: ignore[arg-type]
        unknown = sorted(set(changes) - set(names))
        if unknown:
            raise TypeError(
                f"{type(self).__name__} has no field {', '.join(map(repr, unknown))}; "
                f"it has {', '.join(names)}"
            )
        return dataclasses.replace(self, **changes)  # type: ignore[type-var]
