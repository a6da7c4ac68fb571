"""Groups of models, trials and trajectories: pytrees whose arrays share a leading axis."""

from __future__ import annotations

from typing import TypeVar

import jax
import numpy as np

from fbx_env import checks

Tree = TypeVar("Tree")


def tree_take(tree: Tree, index: int) -> Tree:
    """Take one out of a group: the ``index``-th entry of every array's leading axis.

    Args:
        tree: replicates of a model, a batch of trials or their trajectory, or any other pytree
            whose arrays share a leading axis. What is not an array stays as it is.
        index: from 0; negative ones count from the end.

    Raises:
        TypeError: if ``index`` is not a whole number.
        ValueError: if the arrays share no leading axis, or ``index`` is past its end.

    Example:
        >>> tree_take({"start": jnp.zeros((7, 2))}, 3)["start"].shape
        (2,)
    """
    shapes = {leaf.shape[:1] for leaf in jax.tree.leaves(tree) if _is_array(leaf)}
    if len(shapes) != 1 or () in shapes:
        lengths = sorted(str(shape[0]) if shape else "none" for shape in shapes)
        raise ValueError(
            "tree must be a group whose arrays share their leading axis; the leading axes here "
            f"have lengths {', '.join(lengths)}"
            if lengths
            else f"tree must be a group of arrays, got none in {tree!r}"
        )
    ((n_entries,),) = shapes
    index = checks.whole("index", index, at_least=-n_entries, at_most=n_entries - 1)
    taken: Tree = jax.tree.map(lambda leaf: leaf[index] if _is_array(leaf) else leaf, tree)
    return taken


def _is_array(leaf: object) -> bool:
    return isinstance(leaf, jax.Array | np.ndarray)
