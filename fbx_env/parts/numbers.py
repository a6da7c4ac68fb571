"""All numbers of an experiment, by name: found from the declarations of its parts."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fbx_env.parts.component import Component, Declaration

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Number:
    """One declared number of an experiment.

    Attributes:
        name: where it is, as ``"plant.mass"`` or ``"loss.terms.position.weight"``.
        keyword: by which ``make`` takes it; the name where several would have the same.
        path: fields and indices that lead to it.
        declaration: what is allowed and what it means.
        value: what it is.
        text: its meaning.
        owner: the class of the part that declares it.
    """

    name: str
    keyword: str
    path: Path
    declaration: Declaration
    value: Any
    text: str
    owner: str


def numbers(params: Component) -> list[Number]:
    """Every declared number of a component and of the parts in it, in order."""
    found = list(_walk(params, (), "", {}))
    uses = Counter(each.keyword for each in found)
    return [
        each if uses[each.keyword] == 1 else dataclasses.replace(each, keyword=each.name)
        for each in found
    ]


def names_of(params: Component, keyword: str) -> list[str]:
    """The names of the numbers that declare a keyword; if there are several, it is of none."""
    return [each.name for each in _walk(params, (), "", {}) if each.keyword == keyword]


def _walk(part: Component, path: Path, name: str, words: dict[str, str]) -> Iterator[Number]:
    """The numbers of a part, then those of the parts in it; ``words`` fill in keywords."""
    words = {**words, "name": getattr(part, "name", "")}
    for own, declaration in type(part).declarations().items():
        yield Number(
            name=f"{name}{own}",
            keyword=(declaration.keyword or own).format(**words),
            path=(*path, own),
            declaration=declaration,
            value=getattr(part, own),
            text=declaration.text.format(**words),
            owner=type(part).__name__,
        )
    for field in dataclasses.fields(part):  # type: ignore[arg-type]
        value = getattr(part, field.name)
        inner = {"role": field.name, **words}
        if isinstance(value, Component):
            yield from _walk(value, (*path, field.name), f"{name}{field.name}.", inner)
        elif isinstance(value, tuple | list):
            for index, item in enumerate(value):
                if isinstance(item, Component):
                    label = getattr(item, "name", "") or index
                    where = (*path, field.name, index)
                    yield from _walk(item, where, f"{name}{field.name}.{label}.", inner)


def parts_of(value: Any) -> Iterator[Component]:
    """The parts in a component or a tuple, the inner ones too."""
    inner = value if isinstance(value, tuple) else ()
    if isinstance(value, Component):
        inner = tuple(getattr(value, field.name) for field in dataclasses.fields(value))  # type: ignore[arg-type]
    for item in inner:
        if isinstance(item, Component):
            yield item
        yield from parts_of(item)


def with_number(part: Any, path: Path, value: Any) -> Any:
    """The same part with another number at a path, checked like a new one."""
    return with_values(part, {path: value})


def with_values(part: Any, values: Mapping[Path, Any]) -> Any:
    """The same part with other numbers and parts at their paths, all of them checked together.

    A number whose path leads through a part that is replaced is one of the new part.
    """
    if not values:
        return part
    inner: dict[str | int, dict[Path, Any]] = {}
    for (step, *rest), value in values.items():
        inner.setdefault(step, {})[tuple(rest)] = value
    changed: dict[Any, Any] = {
        step: with_values(own.pop((), _at(part, step)), own) for step, own in inner.items()
    }
    if isinstance(part, tuple | list):
        return tuple(changed.get(index, item) for index, item in enumerate(part))
    return part.replace(**changed)


def _at(part: Any, step: str | int) -> Any:
    return part[step] if isinstance(step, int) else getattr(part, step)
