"""Numbers that are not finite: which they are, and which operation gave the first of them."""

from __future__ import annotations

import linecache
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Bool

LIBRARIES = ("jax", "jaxlib", "equinox", "optax", "flax", "numpy", "contextlib", "jaxtyping")
"""An operation is looked for in the code that calls these."""

Rows = Mapping[str, np.ndarray]
"""Reports of updates by name; for replicates, with a second axis."""


def until_fault(rows: Rows) -> dict[str, np.ndarray]:
    """Return the rows before the first whose loss or gradient is not finite."""
    finite = _is_finite(rows)
    n_finite = int(np.argmin(finite.reshape(len(finite), -1).all(-1)))
    return {name: values[:n_finite] for name, values in rows.items()}


def describe_fault(rows: Rows, n_before: int, kind: str = "") -> str:
    """Return a sentence on the first loss or gradient that is not finite.

    Args:
        rows: of losses by term and in ``total``, and perhaps ``gradient_norm``.
        n_before: updates before the first row.
        kind: of the losses, as a word before their name.
    """
    index = len(until_fault(rows)["total"])
    at_fault = {name: values[index] for name, values in rows.items() if name != "learning_rate"}
    whose = ""
    if at_fault["total"].ndim:
        replicate = int(np.argmin(_is_finite(at_fault)))
        at_fault = {name: values[replicate] for name, values in at_fault.items()}
        whose = f" of replicate {replicate}"
    faulty = [name for name, value in at_fault.items() if not np.isfinite(value)]
    causes = [name for name in faulty if name not in ("total", "gradient_norm")]
    several = len(causes or faulty) > 1
    found = ", ".join(causes or faulty)
    found = f"loss term{'s' * several} {found}" if causes else found.replace("_", " ")
    return (
        f"training stopped at iteration {n_before + index}: the {kind}{found}{whose} "
        f"{'are' if several else 'is'} not finite; the last policy for which everything was finite "
        "is kept"
    )


def first_failure(function: Callable[..., Any], *arguments: Any) -> str:
    """Repeat a computation operation by operation, and report the first that failed.

    Args:
        function: the computation, derivatives included; it is slow, as nothing is compiled.
        *arguments: of the function.

    Returns:
        A sentence with the operation, the file, the line and its text.
    """
    try:
        with jax.disable_jit(), jax.debug_nans(True), jax.debug_infs(True):
            function(*arguments)
    except FloatingPointError as error:
        calls = [
            (frame.f_code.co_filename, line)
            for frame, line in traceback.walk_tb(error.__traceback__)
            if frame.f_globals.get("__name__", "").partition(".")[0] not in LIBRARIES
        ]
        file, line = calls[-1]
        text = linecache.getline(file, line).strip()
        reason = str(error).splitlines()[0].rstrip(".")
        return f"repeated operation by operation: {reason}, in {file}, line {line}: {text}"
    return "repeated operation by operation, every number is finite: the fault is one of rounding"


def _is_finite(rows: Rows) -> Bool[np.ndarray, "*updates_and_replicates"]:
    """Whether the losses and gradients of each update, and of each replicate, are finite."""
    return np.isfinite(rows["total"]) & np.isfinite(rows.get("gradient_norm", 0.0))
