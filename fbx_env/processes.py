"""Processes in which JAX would wait for ever."""

from __future__ import annotations

import os

_IMPORTED_IN = os.getpid()


def refuse_fork() -> None:
    """Raise in a process that was forked after this package was imported.

    The import starts JAX's threads, which a forked process does not have: it would wait for them.

    Raises:
        RuntimeError: in such a process.
    """
    if os.getpid() != _IMPORTED_IN:
        raise RuntimeError(
            "this process was forked after fbx_env was imported, and JAX would wait here for ever: "
            'start processes by context="spawn" (AsyncVectorEnv), start_method="spawn" '
            '(SubprocVecEnv) or mp_context=multiprocessing.get_context("spawn") '
            "(ProcessPoolExecutor), or do without any: gymnasium.make_vec(id, num_envs=...) steps "
            "all trials at once"
        )
