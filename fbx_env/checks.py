"""Checks of what users hand in: each returns the value ready for use, or says what is allowed."""

from __future__ import annotations

import contextlib
import contextvars
import difflib
import numbers
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Shaped


def real(
    name: str,
    value: Any,
    *,
    above: float | None = None,
    at_least: float | None = None,
    at_most: float | None = None,
    shape: tuple[int, ...] | None = (),
    meaning: str = "",
) -> Float[Array, "..."]:
    """Return ``value`` as a floating-point array, or raise.

    Further leading axes than those of ``shape`` are welcome: they are what ``vmap`` maps over.
    Inside ``jax.jit`` and ``jax.vmap`` only the shape can be checked.

    Args:
        name: what the message calls the value.
        value: a number, a nested sequence of numbers or an array.
        above: every element must be greater than this.
        at_least: every element must be this or greater.
        at_most: every element must be this or less.
        shape: the last axes, with -1 for any length; ``None`` for one number, or one for each entry
            of a signal.
        meaning: of the numbers, which the message about a wrong shape tells.

    Raises:
        TypeError: if ``value`` is not numeric.
        ValueError: if its shape is wrong, an element is not finite, or is out of range.
    """
    known = _known(value)
    if not _is_traced(known):
        given = array(name, known, "a number or an array of numbers")
        with np.errstate(over="ignore"):
            given = given.astype(jnp.result_type(float))
        allowed, valid = ["finite"], np.isfinite(given)
        if above is not None:
            allowed, valid = [*allowed, f"greater than {above:g}"], valid & (given > above)
        if at_least is not None:
            allowed, valid = [*allowed, f"at least {at_least:g}"], valid & (given >= at_least)
        if at_most is not None:
            allowed, valid = [*allowed, f"at most {at_most:g}"], valid & (given <= at_most)
        if not valid.all():
            raise ValueError(f"{name} must be {' and '.join(allowed)}, got {_show(known)}")
    checked = jnp.asarray(value, dtype=float)
    if 0 in checked.shape:
        raise ValueError(f"{name} must have numbers, got an array of shape {checked.shape}")
    n_axes = min(checked.ndim, 1) if shape is None else len(shape)
    last = checked.shape[max(checked.ndim - n_axes, 0) :]
    if shape is not None and not _fits(last, shape):
        about = f" ({meaning})" if meaning else ""
        raise ValueError(f"{name} must have shape {shape}{about}, got {checked.shape}")
    if checked.ndim > n_axes and _single.get():
        raise ValueError(
            f"{name} must have shape {last} in one experiment, got {checked.shape}; "
            "map over several with jax.vmap"
        )
    return checked


def array(name: str, value: Any, what: str = "an array of numbers") -> Shaped[np.ndarray, "..."]:
    """Return ``value`` as a NumPy array of numbers, of any shape, or raise ``TypeError``."""
    try:
        given = np.asarray(value)
    except (TypeError, ValueError):  # Rows of unequal length, or random keys.
        given = np.asarray(None)
    if given.dtype.kind not in "fiu" and not jnp.issubdtype(given.dtype, jnp.floating):
        raise TypeError(f"{name} must be {what}, got {_show(value)}")
    return given


def _fits(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """Whether a shape is the one that is wanted, in which -1 is any length."""
    pairs = zip(shape, wanted, strict=False)
    return len(shape) == len(wanted) and all(want in (-1, size) for size, want in pairs)


_single = contextvars.ContextVar("single", default=False)


@contextlib.contextmanager
def single() -> Iterator[None]:
    """Let ``real`` refuse further leading axes meanwhile."""
    token = _single.set(True)
    try:
        yield
    finally:
        _single.reset(token)


def numeric(name: str, value: Any, shape: tuple[int, ...]) -> Float[Array, "..."]:
    """Return ``value`` as a floating-point array of just this shape, or raise.

    Unlike ``real``, it does not look at the numbers, which may be traced.

    Raises:
        TypeError: if ``value`` is not numeric.
        ValueError: if its shape is wrong.
    """
    try:
        given = jnp.asarray(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise TypeError(f"{name} must be an array of numbers, got {_show(value)}") from error
    if jnp.issubdtype(given.dtype, jnp.complexfloating) or given.dtype == bool:
        raise TypeError(f"{name} must be an array of numbers, got {_show(value)}")
    if given.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {given.shape}")
    return given.astype(float)


def number(
    name: str, value: Any, *, above: float | None = None, at_least: float | None = None
) -> float:
    """Return ``value`` as one Python float, or raise; as ``real``, without leading axes."""
    # What is known is computed at once, also while something around it is being traced.
    with jax.ensure_compile_time_eval():
        given = real(name, value, above=above, at_least=at_least)
    if given.ndim:
        raise ValueError(f"{name} must be one number, got {_show(value)}")
    return float(given)


def whole(name: str, value: Any, *, at_least: int, at_most: int | None = None) -> int:
    """Return ``value`` as a Python int, or raise.

    Raises:
        TypeError: if ``value`` is not a whole number.
        ValueError: if it is less than ``at_least`` or more than ``at_most``.
    """
    is_whole = isinstance(value, numbers.Integral | np.integer) and not isinstance(value, bool)
    if not is_whole:
        raise TypeError(f"{name} must be a whole number, got {_show(value)}")
    if value < at_least:
        raise ValueError(f"{name} must be at least {at_least}, got {value}")
    if at_most is not None and value > at_most:
        raise ValueError(f"{name} must be at most {at_most}, got {value}")
    return int(value)


def steps(name: str, value: Any) -> Int[Array, "..."]:
    """Return ``value``, whole numbers of steps that may be traced, as an int32 array, or raise.

    Raises:
        TypeError: if it is not a whole number, or an array of them.
        ValueError: if a number without a data type is below 0.
    """
    dtype = getattr(value, "dtype", None)
    if dtype is None:
        value = whole(name, value, at_least=0, at_most=2**31 - 1)
    elif not jnp.issubdtype(dtype, jnp.integer):
        raise TypeError(f"{name} must be a whole number, got {_show(value)}")
    return jnp.asarray(value, jnp.int32)


def indices(name: str, value: Any) -> tuple[int, ...]:
    """Return ``value`` as a tuple of different Python ints from 0 on, or raise.

    Raises:
        TypeError: if it is no sequence of whole numbers.
        ValueError: if one is below 0, or there twice.
    """
    given = array(name, value, "whole numbers")
    if given.ndim != 1:
        raise TypeError(f"{name} must be whole numbers, got {_show(value)}")
    found = tuple(whole(f"each of {name}", each, at_least=0) for each in given.tolist())
    if len(set(found)) < len(found):
        raise ValueError(f"{name} must be different from each other, got {_show(value)}")
    return found


def key(name: str, value: Any, n_axes: int = 0) -> Any:
    """Return ``value`` if it is a random key of JAX, typed or raw, or raise.

    Args:
        name: what the message calls it.
        value: a key, or an array of keys.
        n_axes: of the array of keys; 0 for one key.

    Raises:
        TypeError: if ``value`` is no key.
        ValueError: if there are more or fewer keys.
    """
    dtype = getattr(value, "dtype", None)
    if dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key):
        shape = value.shape
    elif dtype == jnp.uint32 and value.shape[-1:] == jax.random.PRNGKey(0).shape:
        shape = value.shape[:-1]
    else:
        raise TypeError(f"{name} must be a random key, as jax.random.key(0), got {_show(value)}")
    if len(shape) != n_axes:
        wanted = "several keys along a leading axis" if n_axes else "one key"
        raise ValueError(f"{name} must be {wanted}, got keys of shape {shape}")
    return value


def flag(name: str, value: Any) -> bool:
    """Return ``value`` as a bool, or raise ``TypeError``."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, got {_show(value)}")
    return bool(value)


def instance(name: str, value: Any, kind: type) -> Any:
    """Return ``value`` if it is a ``kind``, or raise ``TypeError``."""
    if not isinstance(value, kind):
        article = "an" if kind.__name__[0].lower() in "aeiou" else "a"
        raise TypeError(f"{name} must be {article} {kind.__name__}, got {_show(value)}")
    return value


def parts(name: str, values: Any, kind: type, label: Callable[[Any], str]) -> tuple[Any, ...]:
    """Return ``values`` as a tuple of parts of one ``kind`` with different labels, or raise.

    Raises:
        TypeError: if they are no sequence of such parts.
        ValueError: if two have the same label, or one has none.
    """
    found = items(name, values, kind)
    labels = [label(value) for value in found]
    if "" in labels:
        unnamed = type(found[labels.index("")]).__name__
        raise ValueError(f"each of {name} must have a name, {unnamed} has none")
    if len(set(labels)) < len(labels):
        raise ValueError(f"each of {name} must have another name, got {', '.join(labels)}")
    return found


def items(name: str, values: Any, kind: type) -> tuple[Any, ...]:
    """Return ``values`` as a tuple of parts of one ``kind``, or raise ``TypeError``."""
    if not isinstance(values, tuple | list):
        advice = f"; write {name}=(...,)" if isinstance(values, kind) else ""
        raise TypeError(f"{name} must be a tuple of {kind.__name__}, got {_show(values)}{advice}")
    return tuple(instance(f"each of {name}", value, kind) for value in values)


def ordered(low_name: str, low: Any, high_name: str, high: Any) -> None:
    """Raise ``ValueError`` if a number is above another one, where both are known."""
    if any(isinstance(value, jax.core.Tracer) for value in (low, high)):
        return
    if np.any(np.asarray(low) > np.asarray(high)):
        raise ValueError(
            f"{low_name} must be at most {high_name}, got {np.max(low):g} and {np.min(high):g}"
        )


def close(name: str, value: Any, wanted: float) -> None:
    """Raise ``ValueError`` if a number is not the one that is wanted, to rounding, where known."""
    if not isinstance(value, jax.core.Tracer) and not np.allclose(value, wanted, atol=1e-5):
        raise ValueError(f"{name} must be {wanted:g}, got {_show(value)}")


def within_trial(what: str, begin: Any, end: Any, params: Any) -> None:
    """Raise ``ValueError`` if a time span [s] is not within a trial, where all is known."""
    last = params.max_steps_in_episode * params.dt
    if any(isinstance(value, jax.core.Tracer) for value in (begin, end, last)):
        return
    # Rounding in float32 may end what fills the trial a little after it.
    if np.any(np.asarray(end) > np.asarray(last) * (1 + 1e-5)):
        raise ValueError(
            f"{what} must be within the trial, which lasts {np.max(last):g} s, got "
            f"{np.max(begin):g} s to {np.max(end):g} s"
        )


def known(what: str, name: str, names: Iterable[str]) -> str:
    """Return a name that is among the known ones, or raise ``ValueError`` with the nearest.

    Raises:
        TypeError: if it is no text.
    """
    instance(what, name, str)
    names = list(names)
    if name not in names:
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(names)}"
        raise ValueError(f"no {what} {name!r}; {hint}")
    return name


def keywords(caller: str, given: Iterable[str], allowed: Iterable[str], advice: str) -> None:
    """Raise ``TypeError``, worded as Python's own, for the first keyword that is not allowed.

    Args:
        caller: what got them.
        given, allowed: names.
        advice: where to find the names that are allowed.
    """
    allowed = list(allowed)
    for name in given:
        if name not in allowed:
            near = difflib.get_close_matches(name, allowed, n=3, cutoff=0.6)
            hint = f"did you mean {' or '.join(near)}? " if near else ""
            raise TypeError(f"{caller} got an unexpected keyword argument {name!r}; {hint}{advice}")


def path(name: str, value: Any) -> Path:
    """Return ``value`` as a ``Path``, or raise ``TypeError``."""
    if not isinstance(value, Path | str):
        raise TypeError(f"{name} must be a path, got {_show(value)}")
    return Path(value)


def choice(name: str, value: Any, allowed: Sequence[str]) -> str | None:
    """Return ``value`` if it is ``None`` or among ``allowed``, or raise ``ValueError``."""
    if value is not None and value not in allowed:
        known = ", ".join(map(repr, allowed))
        raise ValueError(f"{name} must be None or one of {known}, got {_show(value)}")
    return None if value is None else str(value)


def command(
    name: str,
    value: Any,
    *shapes: tuple[int, ...],
    used: Bool[np.ndarray, " rows"] | None = None,
) -> Float[np.ndarray, "..."]:
    """Return ``value`` as a float32 NumPy array of just one of the ``shapes``, or raise.

    Args:
        name: what the message calls the value.
        value: a nested sequence of numbers or an array.
        *shapes: which are allowed.
        used: the rows that must be finite; without it, all.

    Raises:
        TypeError: if ``value`` is not numeric.
        ValueError: if its shape is wrong or an element is not finite.
    """
    given = array(name, value)
    if given.dtype != np.float32:
        with np.errstate(over="ignore"):
            given = given.astype(np.float32)
    if given.shape not in shapes:
        allowed = " or ".join(map(str, shapes))
        raise ValueError(f"{name} must have shape {allowed}, got {given.shape}")
    if not np.isfinite(given if used is None else given[used]).all():
        raise ValueError(f"{name} must be finite, got {_show(value)}")
    return given


def _known(value: Any) -> Any:
    """The numbers of a value that is being differentiated, as far as they are known."""
    if isinstance(value, list | tuple):
        items = map(_known, value)
        return tuple(items) if isinstance(value, tuple) else list(items)
    return jax.lax.stop_gradient(value) if isinstance(value, jax.core.Tracer) else value


def _is_traced(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(map(_is_traced, value))
    return isinstance(value, jax.core.Tracer)


def _show(value: Any) -> str:
    if isinstance(value, jax.core.Tracer):
        return f"an array of {value.dtype} and shape {value.shape}"
    return str(value) if isinstance(value, np.ndarray | jax.Array) else repr(value)
