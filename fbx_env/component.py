"""The base of everything an experiment's parameters are made of."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any, ClassVar, Self, dataclass_transform

import jax

from fbx_env import checks


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

    registry: ClassVar[dict[str, dict[str, type[Component]]]] = {}
    """Every component class, by its name and then by its module and qualified name."""

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
        same_name = Component.registry.setdefault(cls.__name__, {})
        same_name[f"{cls.__module__}.{cls.__qualname__}"] = cls

    @staticmethod
    def named(name: str) -> type[Component]:
        """The component class of a name, to rebuild saved parameters.

        Raises:
            ValueError: if there is none, or more than one.
        """
        found = Component.registry.get(name, {})
        if not found:
            raise ValueError(f"define or import its class {name} before loading")
        if len(found) > 1:
            raise ValueError(
                f"there are several classes {name} ({', '.join(found)}); rename all but one"
            )
        return next(iter(found.values()))

    def _assign(self, **values: Any) -> None:
        """Set fields of the frozen dataclass; for ``__post_init__`` only."""
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def checked(self) -> Self:
        """Return the component, checked like a new one, for use in one experiment.

        Call it on what JAX made, such as params after a step along their gradient: JAX itself
        checks nothing. ``rollout``, ``train`` and ``reset_trial`` do so.

        Raises:
            ValueError: if a number is out of range, or an array has leading axes, which belong
                inside ``jax.vmap``.

        Example:
            >>> plant = jax.tree.map(lambda number: number - 2, PointMass(mass=1.0))
            >>> plant.checked()
            Traceback (most recent call last):
            ValueError: mass must be finite and greater than 0, got -1.0
        """
        # Inside jit, checks of numbers that are known should still be computed at once.
        with checks.single(), jax.ensure_compile_time_eval():
            return _again(self)

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


def _again(value: Any) -> Any:
    """Construct components again, from the inside out."""
    if isinstance(value, Component):
        names = [field.name for field in dataclasses.fields(value)]  # type: ignore[arg-type]
        parts = {name: _again(getattr(value, name)) for name in names}
        return dataclasses.replace(value, **parts)  # type: ignore[type-var]
    if isinstance(value, tuple):
        return tuple(_again(item) for item in value)
    return value
