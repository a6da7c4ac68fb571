"""Weights scaled or cut."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fbx_env import checks
from fbx_env.parts.clock import Clock
from fbx_env.parts.component import Scalar, indices, number, static, word
from fbx_env.parts.interventions.intervention import Net, NetworkIntervention
from fbx_env.parts.interventions.unit_policy import UnitPolicy


class ScaleWeights(NetworkIntervention):
    """Weights multiplied by a factor; 0, the default, cuts them.

    Attributes:
        weights: where they are in the policy, as ``"cell.weight_hh"`` or ``"readout.weight"``
            (static).
        factor: of the weights.
        rows: of a matrix, to which the connections lead; none for all (static). The gates of a cell
            are one after the other, each with a row for each unit.
        columns: of a matrix, from which the connections come; none for all (static).

    Raises:
        ValueError: in use, if the policy has no such weights.

    Example:
        >>> cut = ScaleWeights("readout.weight", 0.0, columns=(3, 7), onset=1.0)
        >>> env, params = fbx_env.make(interventions=(cut,))
    """

    weights: str = word(
        "where the weights are in the policy", default="cell.weight_hh", keyword="{name}_in"
    )
    factor: Scalar = number("factor of weights", default=0.0, keyword="{name}_factor")
    rows: tuple[int, ...] = indices(
        "rows of the weights that are scaled, all if none are given",
        default=(),
        keyword="{name}_rows",
    )
    columns: tuple[int, ...] = indices(
        "columns of the weights that are scaled, all if none are given",
        default=(),
        keyword="{name}_columns",
    )
    name: str = static(default="weights", kw_only=True)

    def check_policy(self, policy: UnitPolicy, n_units: int) -> None:
        arrays = {_name(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(policy)}
        known = [name for name, leaf in arrays.items() if jnp.ndim(leaf) > 0]
        shape = jnp.shape(arrays[checks.known("weights", self.weights, known)])
        for name, axis in (("rows", 0), ("columns", 1)):
            chosen = getattr(self, name)
            size = shape[axis] if axis < len(shape) else 0
            if chosen and max(chosen) >= size:
                raise ValueError(
                    f"{name} of ScaleWeights must be below {size}, {self.weights} has shape "
                    f"{shape}, got {max(chosen)}"
                )

    def on(self, policy: Net, clock: Clock) -> Net:
        factor = jnp.where(self.acts(clock), self.factor, 1.0)

        def scaled(path: Any, leaf: Float[Array, "..."]) -> Float[Array, "..."]:
            if _name(path) != self.weights:
                return leaf
            lines = zip((self.rows, self.columns), leaf.shape, strict=False)
            is_scaled = np.zeros(leaf.shape, bool)
            is_scaled[np.ix_(*(chosen or range(size) for chosen, size in lines))] = True
            return jnp.where(is_scaled, factor * leaf, leaf)

        after: Net = jax.tree_util.tree_map_with_path(scaled, policy)
        return after


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path).lstrip(".")
