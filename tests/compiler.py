"""Programs are compiled in little time instead of to run fast, except for tests that say so.

Most of the suite's time is compilation. Results are the same to rounding, whatever the compiler
does. What is said of single bits, of memory and of time is said of programs as users have them:
such tests are marked ``optimised``.
"""

import os
from typing import Any

import jax
from jax._src import compiler

QUICK = "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"
OPTIMISED = [("xla_backend_optimization_level", 3), ("xla_cpu_use_fusion_emitters", True)]

# Read when the first program is compiled; flags of one's own are for all tests.
os.environ.setdefault("XLA_FLAGS", QUICK)
are_ours = os.environ["XLA_FLAGS"] == QUICK

quick_options = compiler.get_compile_options


def optimised_options(*arguments: Any, **keywords: Any) -> Any:
    """Return JAX's own options of the compiler, without those of this process."""
    options = quick_options(*arguments, **keywords)
    options.env_option_overrides = [*options.env_option_overrides, *OPTIMISED]
    return options


def is_quick() -> bool:
    """Whether programs are compiled quickly."""
    return compiler.get_compile_options is quick_options


def be_quick(quick: bool) -> None:
    """Compile from now on quickly, or as for users, also in processes that are started."""
    if not are_ours or quick == is_quick():
        return
    from agents.bptt.compilation import _program

    compiler.get_compile_options = quick_options if quick else optimised_options
    os.environ["XLA_FLAGS"] = QUICK if quick else ""
    jax.clear_caches()
    _program.cache_clear()
