"""The base of every part: a pytree whose numbers are declared once, and checked from that."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, dataclass_transform

import jax
import numpy as np
from jaxtyping import Array, Float, Int, Real

from fbx_env import checks
from fbx_env.parts import serialization

Part = TypeVar("Part", bound="Component")

if TYPE_CHECKING:
    Count = Int[Array, "*batch"]
    Scalar = Float[Array, "*batch"] | float
    SignalScalar = Float[Array, "..."] | float
    Vector = Float[Array, "*batch 2"] | tuple[float, float]
    Matrix = Float[Array, "*batch 2 2"] | tuple[tuple[float, float], tuple[float, float]]
else:
    Count = Int[Array, "*batch"] | Int[np.ndarray, "*batch"] | np.integer | int
    Scalar = Float[Array, "*batch"] | Real[np.ndarray, "*batch"] | np.number | float
    SignalScalar = Float[Array, "..."] | Real[np.ndarray, "..."] | float | Sequence[float]
    Vector = Float[Array, "*batch 2"] | Real[np.ndarray, "*batch 2"] | Sequence[float]
    Matrix = Real[Array | np.ndarray, "*batch 2 2"] | Sequence[Sequence[float]]
"""Types of the numbers of a part: a whole number, one number, one or one for each entry of a
signal, a pair, a matrix. They are kept as arrays; leading axes are what ``jax.vmap`` maps over."""


@dataclasses.dataclass(frozen=True)
class Declaration:
    """The values that a field may have, and their meaning.

    Attributes:
        text: its meaning, in a few words.
        unit: of the number; empty for none.
        above, at_least, at_most: bounds, where there are any.
        shape: of an array, with -1 for any length; ``None`` for one number or one for each entry of
            a signal.
        keyword: by which ``make`` takes it, the field's name if empty; ``{role}`` is where the part
            is among the params, ``{name}`` the part's own name.
        optional: whether ``None`` is allowed.
        zero_is_none: whether the plain number 0 is kept as ``None``, which costs nothing.
    """

    text: str
    unit: str = ""
    above: float | None = None
    at_least: float | None = None
    at_most: float | None = None
    shape: tuple[int, ...] | None = ()
    keyword: str = ""
    optional: bool = False
    zero_is_none: bool = False

    kind: ClassVar[str] = "number"
    is_static: ClassVar[bool] = False

    def check(self, name: str, value: Any) -> Any:
        """The value as it is kept; raises ``TypeError`` or ``ValueError`` that says ``name``."""
        if value is None and (self.optional or self.zero_is_none):
            return None
        if self.zero_is_none and _is_plain_zero(value):
            return None
        return checks.real(
            name,
            value,
            above=self.above,
            at_least=self.at_least,
            at_most=self.at_most,
            shape=self.shape,
            meaning=self.text,
        )

    @property
    def bounds(self) -> str:
        """The allowed numbers in words."""
        parts = [
            *([f"greater than {self.above:.10g}"] if self.above is not None else []),
            *([f"at least {self.at_least:.10g}"] if self.at_least is not None else []),
            *([f"at most {self.at_most:.10g}"] if self.at_most is not None else []),
        ]
        return ", ".join(parts) or "finite"


class WholeDeclaration(Declaration):
    """A whole number, which is part of the structure."""

    kind: ClassVar[str] = "whole number"
    is_static: ClassVar[bool] = True

    def check(self, name: str, value: Any) -> int:
        """The value as an ``int``; raises ``TypeError`` or ``ValueError`` that says ``name``."""
        at_most = None if self.at_most is None else int(self.at_most)
        return checks.whole(name, value, at_least=int(self.at_least or 0), at_most=at_most)


class IndicesDeclaration(Declaration):
    """Different whole numbers, counted from 0, which are part of the structure."""

    kind: ClassVar[str] = "whole numbers"
    is_static: ClassVar[bool] = True

    def check(self, name: str, value: Any) -> tuple[int, ...]:
        """The value as a tuple; raises ``TypeError`` or ``ValueError`` that says ``name``."""
        return checks.indices(name, value)

    @property
    def bounds(self) -> str:
        """The allowed values in words."""
        return "different whole numbers from 0 on"


class FlagDeclaration(Declaration):
    """Yes or no, which is part of the structure."""

    kind: ClassVar[str] = "flag"
    is_static: ClassVar[bool] = True

    def check(self, name: str, value: Any) -> bool:
        """The value as a ``bool``; raises ``TypeError`` that says ``name``."""
        return checks.flag(name, value)

    @property
    def bounds(self) -> str:
        """The allowed values in words."""
        return "True or False"


class WordDeclaration(Declaration):
    """A name, which is part of the structure."""

    kind: ClassVar[str] = "name"
    is_static: ClassVar[bool] = True

    def check(self, name: str, value: Any) -> str:
        """The value as it is; raises ``TypeError`` that says ``name``."""
        word: str = checks.instance(name, value, str)
        return word

    @property
    def bounds(self) -> str:
        """The allowed values in words."""
        return "a name"


def number(text: str, *, default: Any, kw_only: bool = False, **declaration: Any) -> Any:
    """Declare a number that can be mapped over and differentiated with respect to.

    Args:
        text: its meaning, in a few words.
        default: its value if none is given.
        kw_only: whether it is given by its name only.
        **declaration: other fields of ``Declaration``: ``unit``, as ``"kg"``; the bounds ``above``,
            ``at_least`` and ``at_most``; ``shape``, ``keyword``, ``optional`` and ``zero_is_none``.

    Raises:
        TypeError: for another keyword.

    Example:
        >>> class Spring(Component):
        ...     stiffness: Scalar = number("stiffness", default=10.0, unit="N/m", at_least=0)
        >>> Spring(stiffness=-1.0)
        Traceback (most recent call last):
        ValueError: stiffness must be finite and at least 0, got -1.0
    """
    allowed = [field.name for field in dataclasses.fields(Declaration) if field.name != "text"]
    checks.keywords("number()", declaration, allowed, f"allowed are {', '.join(allowed)}")
    return _declared(default, Declaration(text, **declaration), kw_only)


def whole(text: str, *, default: int, at_least: int = 0, **declaration: Any) -> Any:
    """Declare a whole number that is part of the structure, such as a delay in steps."""
    return _declared(default, WholeDeclaration(text, at_least=at_least, **declaration))


def indices(text: str, *, default: tuple[int, ...], keyword: str = "") -> Any:
    """Declare indices that are part of the structure, such as those of units."""
    return _declared(default, IndicesDeclaration(text, shape=(-1,), keyword=keyword))


def word(text: str, *, default: str, keyword: str = "") -> Any:
    """Declare a name that is part of the structure, such as that of the weights of a network."""
    return _declared(default, WordDeclaration(text, keyword=keyword))


def flag(text: str, *, default: bool, keyword: str = "", kw_only: bool = False) -> Any:
    """Declare a choice of yes or no that is part of the structure."""
    return _declared(default, FlagDeclaration(text, keyword=keyword), kw_only)


def static(*, default: Any = dataclasses.MISSING, kw_only: bool = False) -> Any:
    """Declare a field that is part of the structure and no number, such as a name."""
    return dataclasses.field(default=default, metadata={"static": True}, kw_only=kw_only)


def _declared(default: Any, declaration: Declaration, kw_only: bool = False) -> Any:
    metadata = {"declaration": declaration, "static": declaration.is_static}
    return dataclasses.field(default=default, metadata=metadata, kw_only=kw_only)


def _is_plain_zero(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == 0


@dataclass_transform(
    frozen_default=True,
    field_specifiers=(number, whole, indices, word, flag, static, dataclasses.field),
)
class Component:
    """A frozen dataclass that is a JAX pytree and checks its numbers when it is constructed.

    A subclass lists its fields, each number with its declaration. What concerns several of them it
    checks in ``__check_init__``, which is called for every class of the hierarchy; what concerns
    the experiment around it in ``__check_params__``, which ``ReachParams`` calls. The checks run
    when someone constructs the component or calls ``replace``, and not when JAX rebuilds it from
    leaves: a gradient with respect to a mass is a ``PointMass`` too, and may well be negative.

    Example:
        >>> class Spring(Component):
        ...     stiffness: Scalar = number("stiffness", default=10.0, unit="N/m", at_least=0)
        >>> float(Spring().replace(stiffness=20.0).stiffness)
        20.0
    """

    registry: ClassVar[dict[str, dict[str, type[Component]]]] = {}
    """Every component class, by its name and then by its module and qualified name."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        dataclasses.dataclass(frozen=True, eq=False)(cls)
        fields = dataclasses.fields(cls)  # type: ignore[arg-type]
        static_names = tuple(field.name for field in fields if field.metadata.get("static"))
        leaf_names = tuple(field.name for field in fields if field.name not in static_names)

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
        serialization.register(cls, leaf_names)
        same_name = Component.registry.setdefault(cls.__name__, {})
        same_name[f"{cls.__module__}.{cls.__qualname__}"] = cls

    def __post_init__(self) -> None:
        for name, declaration in type(self).declarations().items():
            self._assign(**{name: declaration.check(name, getattr(self, name))})
        self.run_checks("__check_init__")

    def run_checks(self, name: str, *arguments: Any) -> None:
        """Call the checks of this name that the class and those it derives from define."""
        for kind in reversed(type(self).__mro__):
            if name in vars(kind):
                vars(kind)[name](self, *arguments)

    @classmethod
    def declarations(cls) -> dict[str, Declaration]:
        """The declared numbers by the names of their fields."""
        fields = dataclasses.fields(cls)  # type: ignore[arg-type]
        return {
            field.name: field.metadata["declaration"]
            for field in fields
            if "declaration" in field.metadata
        }

    def _assign(self, **values: Any) -> None:
        """Set fields of the frozen dataclass; for ``__check_init__`` only."""
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def checked(self: Part) -> Part:
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
            again: Part = _again(self)
        return again

    def replace(self: Part, **changes: Any) -> Part:
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
