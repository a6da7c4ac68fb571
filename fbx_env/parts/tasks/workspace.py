"""The rectangle in which trials lie."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from fbx_env import checks
from fbx_env.parts.component import Matrix, number


def workspace() -> Any:
    """Declare the lower left and the upper right corner of a workspace [m]."""
    return number(
        "where starts and goals lie: lower left and upper right corner",
        default=((-1.0, -1.0), (1.0, 1.0)),
        unit="m",
        shape=(2, 2),
    )


def check_workspace(workspace: Matrix) -> None:
    """Raise ``ValueError`` if a lower bound is not below its upper bound, where both are known."""
    if isinstance(workspace, jax.core.Tracer):
        return
    corners = np.asarray(workspace)
    if not np.all(corners[..., 0, :] < corners[..., 1, :]):
        raise ValueError(
            "workspace must be ((x low, y low), (x high, y high)) with each low below its "
            f"high, got {corners.tolist()}"
        )


def uniform_points(key: PRNGKeyArray, workspace: Matrix, n_points: int) -> Float[Array, "points 2"]:
    """Draw points [m] that are uniform in a workspace."""
    low, high = jnp.asarray(workspace)
    key = checks.key("key", key)
    return jax.random.uniform(key, (n_points, 2), low.dtype, minval=low, maxval=high)
