"""Options and seeds of ``reset``, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from gymnasium.utils import seeding
from jaxtyping import Bool, Real, Shaped, UInt32

from fbx_env import checks

Fields = dict[str, jax.ShapeDtypeStruct]
"""The numbers of a trial by the names of its fields, with their shapes and types."""

Values = Shaped[np.ndarray, "..."]
"""The numbers of one field."""

Command = Real[np.ndarray, " controls"] | Real[jax.Array, " controls"] | Sequence[float]
"""A command of one trial as an environment takes it."""

Commands = (
    Real[np.ndarray, "trials controls"]
    | Real[jax.Array, "trials controls"]
    | Sequence[Sequence[float]]
)
"""Commands of many trials."""

Seed = int | np.integer[Any]


class Given:
    """The parts of trials that a reset is given; the rest is drawn.

    Args:
        fields: of a trial.
        n_trials: how many trials.

    Attributes:
        values: of each field, ``(trials, *shape)``.
        is_given: which of them count, ``(trials, fields)``, in the order of the fields.
    """

    def __init__(self, fields: Fields, n_trials: int) -> None:
        self.values: dict[str, Values] = {
            name: np.zeros((n_trials, *field.shape), field.dtype) for name, field in fields.items()
        }
        self.is_given: Bool[np.ndarray, "trials fields"] = np.zeros((n_trials, len(fields)), bool)

    def put(self, values: Mapping[str, Values], which: Any = slice(None)) -> Given:
        """Set the values of some trials, of all if ``which`` is not given."""
        for name, value in values.items():
            self.values[name][which] = value
            self.is_given[which, list(self.values).index(name)] = True
        return self


def trial_options(
    options: Mapping[str, Any] | None,
    fields: Fields,
    n_trials: int | None = None,
    others: tuple[str, ...] = (),
) -> dict[str, Values]:
    """Return the fields of a trial among the options of ``reset``.

    Args:
        options: as given to ``reset``.
        fields: of a trial.
        n_trials: if given, a field may also have a value for each of so many trials.
        others: further options that are allowed.

    Raises:
        TypeError: if the options are not a mapping, or a value is of the wrong kind.
        ValueError: for an option that is not allowed, a wrong shape, or a number that is not finite
            or does not fit.
    """
    given = checks.instance("options", {} if options is None else options, Mapping)
    allowed = (*fields, *others)
    unknown = sorted(set(given) - set(allowed), key=str)
    if unknown:
        raise ValueError(
            f"unknown option {', '.join(map(repr, unknown))}; allowed are {', '.join(allowed)}"
        )
    return {
        name: _field(name, given[name], field, n_trials)
        for name, field in fields.items()
        if given.get(name) is not None
    }


def _field(name: str, value: Any, field: jax.ShapeDtypeStruct, n_trials: int | None) -> Values:
    """The value of one field, in its type."""
    try:
        given = np.asarray(value)
    except ValueError:  # Rows of unequal length.
        given = np.asarray(None)
    kind, allowed = _kind(field.dtype)
    if not (given.dtype.kind in allowed or (kind == "numbers" and _is_float(given.dtype))):
        raise TypeError(f"{name} must be an array of {kind}, got {value!r}")
    shapes = [field.shape, *([] if n_trials is None else [(n_trials, *field.shape)])]
    if given.shape not in shapes:
        raise ValueError(
            f"{name} must have shape {' or '.join(map(str, shapes))}, got {given.shape}"
        )
    with np.errstate(over="ignore"):
        kept: Values = given.astype(field.dtype)
    if kind == "numbers" and not np.isfinite(kept).all():
        raise ValueError(f"{name} must be finite, got {value!r}")
    if kind == "whole numbers" and (kept != given).any():
        raise ValueError(f"{name} must fit {field.dtype}, got {value!r}")
    return kept


def _kind(dtype: Any) -> tuple[str, str]:
    """How to call the numbers of a field, and from which kinds of arrays they are taken."""
    if _is_float(dtype):
        return "numbers", "fiu"
    return ("whole numbers", "iu") if jnp.issubdtype(dtype, jnp.integer) else ("booleans", "b")


def _is_float(dtype: Any) -> bool:
    return bool(jnp.issubdtype(dtype, jnp.floating))


def whole_seed(seed: Any) -> int | None:
    """Return a seed of one trial as Gymnasium wants it.

    Raises:
        TypeError: if it is neither ``None`` nor a whole number.
        gymnasium.error.Error: if it is negative.
    """
    if seed is None:
        return None
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
        raise TypeError(f"seed must be None or a whole number, got {seed!r}")
    if seed < 0:
        raise gymnasium.error.Error(f"seed must be greater or equal to zero, got {seed}")
    return int(seed)


def seed_words(generator: np.random.Generator, n_trials: int) -> UInt32[np.ndarray, "trials 2"]:
    """Draw the two 32-bit words from which each trial's randomness follows."""
    return generator.integers(2**32, size=(n_trials, 2), dtype=np.uint32)


def seed_words_of(seed: int) -> UInt32[np.ndarray, "2"]:
    """The words of a trial with a seed of its own, by the generator Gymnasium makes of it."""
    words: UInt32[np.ndarray, "2"] = seed_words(seeding.np_random(seed)[0], 1)[0]
    return words
