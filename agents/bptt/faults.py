"""Finding the operation that gave a number which is not finite."""

from __future__ import annotations

import linecache
import traceback
from collections.abc import Callable
from typing import Any

import jax

LIBRARIES = ("jax", "jaxlib", "equinox", "optax", "flax", "numpy", "contextlib")
"""An operation is looked for in the code that calls these."""


def first_failure(function: Callable[..., Any], *arguments: Any, **options: Any) -> str:
    """Repeat a computation operation by operation, and say which was the first to fail.

    Args:
        function: the computation, derivatives included; it is slow, as nothing is compiled.
        *arguments, **options: what it is called with.

    Returns:
        A sentence with the operation, the file, the line and its text.
    """
    try:
        with jax.disable_jit(), jax.debug_nans(True), jax.debug_infs(True):
            function(*arguments, **options)
    except FloatingPointError as error:
        calls = [
            (frame.f_code.co_filename, line)
            for frame, line in traceback.walk_tb(error.__traceback__)
            if frame.f_globals.get("__name__", "").partition(".")[0] not in LIBRARIES
        ]
        file, line = calls[-1]
        text = linecache.getline(file, line).strip()
        what = str(error).splitlines()[0].rstrip(".")
        return f"repeated operation by operation: {what}, in {file}, line {line}: {text}"
    return "repeated operation by operation, every number is finite: the fault is one of rounding"
