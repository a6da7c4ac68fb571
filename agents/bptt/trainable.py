"""Selecting the parameters of a policy that learn."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
from jaxtyping import PyTree


def select_trainable(policy: Any, where: Callable[[Any], Any] | None) -> PyTree[bool]:
    """Mark the trainable parameters.

    Args:
        policy: the policy.
        where: from the policy to the part of it that learns, or to a tuple of parts, as
            ``lambda policy: (policy.cell, policy.readout.weight)``; ``None`` for all of it.

    Returns:
        A pytree like the policy, True at the floating-point arrays that learn and False elsewhere.

    Raises:
        TypeError: if ``where`` is not a function.
        ValueError: if ``where`` asks for something the policy does not have, for less than a whole
            array, or selects nothing.
    """
    marks = jax.tree.map(eqx.is_inexact_array, policy)
    paths = jax.tree_util.tree_leaves_with_path(marks)
    names = ", ".join(jax.tree_util.keystr(path).lstrip(".") for path, mark in paths if mark)
    if where is not None:
        if not callable(where):
            raise TypeError(f"where_train must be a function of the model, got {where!r}")
        try:
            chosen = eqx.tree_at(
                where,
                jax.tree.map(lambda _: False, marks),
                replace_fn=lambda part: jax.tree.map(lambda _: True, part),
                is_leaf=lambda leaf: leaf is None,
            )
        except Exception as error:
            raise ValueError(
                "where_train must return parts of the model, each a whole array or more, each once "
                f"({type(error).__name__}: {error}); what can learn: {names}"
            ) from error
        marks = jax.tree.map(operator.and_, marks, chosen)
    if not any(jax.tree.leaves(marks)):
        raise ValueError(f"where_train selects nothing that can learn; there are {names}")
    return marks
