"""Selecting the parameters of a policy that learn, all of a training or for some time of it."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

from fbx_env import checks


@dataclass(frozen=True)
class Freeze:
    """A part of the policy that does not learn for some time of the training.

    Several may overlap. What is frozen has no gradient and makes no step; an optimiser that
    averages gradients averages zeros meanwhile, so that the first steps of Adam afterwards are
    larger than usual.

    Attributes:
        where: from the policy to the part of it, or a tuple of parts, as of ``where_train``.
        start: share of the updates after which it is frozen, from 0 to 1.
        end: share of the updates after which it learns again, from 0 to 1.

    Raises:
        TypeError, ValueError: for a value that is not allowed.

    Example:
        >>> BPTTConfig(freezes=(Freeze(lambda policy: policy.cell, end=0.5),))
    """

    where: Callable[[Any], Any]
    start: float = 0.0
    end: float = 1.0

    def __post_init__(self) -> None:
        if not callable(self.where):
            raise TypeError(f"where must be a function of the policy, got {self.where!r}")
        for name in ("start", "end"):
            share = checks.real(name, getattr(self, name), at_least=0, at_most=1)
            object.__setattr__(self, name, checks.number(name, share))
        checks.ordered("start", self.start, "end", self.end)


class Frozen(NamedTuple):
    """A ``Freeze`` of one policy.

    Attributes:
        marks: a pytree like the policy, True at the arrays that are frozen.
        start, end: shares of the updates.
    """

    marks: PyTree[bool]
    start: Float[Array, ""]
    end: Float[Array, ""]

    @classmethod
    def of(cls, policy: Any, freeze: Freeze) -> Frozen:
        """Return what a freeze is of a policy; errors as of ``select_trainable``."""
        marks = select_trainable(policy, freeze.where, "where of a freeze")
        return cls(marks, jnp.asarray(freeze.start, float), jnp.asarray(freeze.end, float))


def unfrozen(tree: PyTree, freezes: Sequence[Frozen], share: Float[Array, ""]) -> PyTree:
    """Return gradients, or steps, with zeros for what is frozen after a share of the updates.

    Args:
        tree: like the policy, with ``None`` for what does not learn at all.
        freezes: of the policy.
        share: of all updates that were made, from 0 to 1.
    """
    for freeze in freezes:
        acts = (freeze.start <= share) & (share < freeze.end)

        def without(leaf: Any, mark: bool | None, acts: Bool[Array, ""] = acts) -> Any:
            return leaf if leaf is None or not mark else jnp.where(acts, 0.0, leaf)

        tree = jax.tree.map(without, tree, freeze.marks, is_leaf=lambda leaf: leaf is None)
    return tree


def select_trainable(
    policy: Any, where: Callable[[Any], Any] | None, name: str = "where_train"
) -> PyTree[bool]:
    """Mark the trainable parameters.

    Args:
        policy: the policy.
        where: from the policy to the part of it that learns, or to a tuple of parts, as
            ``lambda policy: (policy.cell, policy.readout.weight)``; ``None`` for all of it.
        name: by which messages call it.

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
            raise TypeError(f"{name} must be a function of the model, got {where!r}")
        try:
            chosen = eqx.tree_at(
                where,
                jax.tree.map(lambda _: False, marks),
                replace_fn=lambda part: jax.tree.map(lambda _: True, part),
                is_leaf=lambda leaf: leaf is None,
            )
        except Exception as error:
            raise ValueError(
                f"{name} must return parts of the model, each a whole array or more, each once "
                f"({type(error).__name__}: {error}); what can learn: {names}"
            ) from error
        marks = jax.tree.map(operator.and_, marks, chosen)
    if not any(jax.tree.leaves(marks)):
        raise ValueError(f"{name} selects nothing that can learn; there are {names}")
    return marks
