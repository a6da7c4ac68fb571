"""Saving a trained model with what is needed to rebuild it, and loading it again."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from agents.lqr import exact
from agents.policies import POLICIES, ActorPolicy, NetworkPolicy, RNNPolicy, count_replicates
from agents.storage.files import write_whole
from fbx_env import Component, ReachParams, checks

FORMAT = "fbx-env model 2"
DESCRIPTION, ARRAYS = "model.json", "model.npz"


KINDS: dict[str, type[eqx.Module]] = {**POLICIES, "actor": ActorPolicy}
"""What can be saved, by the names in ``model.json``."""


def save_model(
    folder: Path | str, policy: NetworkPolicy | ActorPolicy, params: ReachParams
) -> None:
    """Write ``model.json``, which says what it is, and ``model.npz``, the policy's arrays.

    Args:
        folder: an existing folder.
        policy: one of the policies of ``agents``, or replicates of it in one pytree.
        params: the experiment it was trained in.

    Raises:
        TypeError: if the policy is of another class, or its arrays are of a type that NumPy's files
            do not hold, such as bfloat16.
    """
    folder = checks.path("folder", folder)
    checks.instance("params", params, ReachParams)
    described = {"policy": _describe_policy(policy), "params": _describe_component(params)}
    arrays = {
        jax.tree_util.keystr(path): np.asarray(leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(eqx.filter(policy, eqx.is_array))
    }
    for name, array in arrays.items():
        if array.dtype.kind != "f":
            raise TypeError(f"{name} must be float16, 32 or 64 to be saved, got {array.dtype}")
    content = io.BytesIO()
    np.savez(content, **arrays)  # type: ignore[arg-type]
    write_whole(folder / ARRAYS, content.getvalue())
    # The description comes last: the arrays are not taken for a model without theirs.
    description = {"format": FORMAT, "sha256": _checksum(content.getvalue()), **described}
    write_whole(folder / DESCRIPTION, json.dumps(description, indent=2) + "\n")


def load_model(folder: Path | str) -> tuple[Any, ReachParams]:
    """Read what ``save_model`` wrote; no code in the files is run.

    Args:
        folder: a run's folder.

    Returns:
        The policy, or replicates in one pytree, and the params it was trained with.

    Raises:
        ValueError: if the folder holds no model, or one that cannot be read.

    Example:
        >>> policy, params = load_model("runs/gru-seed0")
    """
    folder = checks.path("folder", folder)
    if not (folder / DESCRIPTION).is_file() or not (folder / ARRAYS).is_file():
        raise ValueError(f"{folder} is not a run: it holds no {DESCRIPTION} and {ARRAYS}")
    try:
        description = json.loads((folder / DESCRIPTION).read_text())
        if description["format"] != FORMAT:
            raise ValueError(f"its format is {description['format']!r}, not {FORMAT!r}")
        template = _template(**description["policy"])
        params = _rebuild_component(description["params"])
        content = (folder / ARRAYS).read_bytes()
        if description["sha256"] != _checksum(content):
            raise ValueError(f"{ARRAYS} is damaged, or not the one that {DESCRIPTION} describes")
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            policy = jax.tree_util.tree_map_with_path(
                lambda path, leaf: _fitting(arrays[jax.tree_util.keystr(path)], leaf), template
            )
    except Exception as error:
        raise ValueError(f"the model in {folder} cannot be read: {error}") from error
    return policy, params


def _checksum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _template(hidden_type: str, n_replicates: int | None = None, **arguments: Any) -> Any:
    """A policy with shapes instead of arrays."""

    def make(key: PRNGKeyArray) -> Any:
        policy: Any = KINDS[hidden_type]
        return policy(**arguments, key=key)

    if n_replicates is None:
        return eqx.filter_eval_shape(make, jax.random.key(0))
    keys = jax.random.split(jax.random.key(0), n_replicates)
    return eqx.filter_eval_shape(eqx.filter_vmap(make), keys)


def _fitting(array: np.ndarray, expected: Any) -> jax.Array:
    if array.shape != expected.shape or array.dtype.kind != "f":
        raise ValueError(f"an array has shape {array.shape}, expected was {expected.shape}")
    return jax.numpy.asarray(array)


def _describe_policy(policy: NetworkPolicy | ActorPolicy) -> dict[str, Any]:
    hidden_type = next((name for name, kind in KINDS.items() if type(policy) is kind), None)
    if hidden_type is None:
        raise TypeError(
            f"only {', '.join(kind.__name__ for kind in KINDS.values())} can be saved, "
            f"got {type(policy).__name__}"
        )
    if isinstance(policy, ActorPolicy):
        return {"hidden_type": hidden_type, **policy.arguments()}
    layer: Any = policy.hidden if hidden_type == "mlp" else policy.cell  # type: ignore[attr-defined]
    weight = layer.weight if hidden_type == "mlp" else layer.weight_ih
    encoder = policy.encoder
    return {
        "hidden_type": hidden_type,
        "n_replicates": count_replicates(policy),
        "obs_size": weight.shape[-1] if encoder is None else encoder.weight.shape[-1],
        "action_size": policy.readout.weight.shape[-2],
        "hidden_size": policy.readout.weight.shape[-1],
        "encoding_size": None if encoder is None else encoder.weight.shape[-2],
        **({"leak": policy.cell.leak} if isinstance(policy, RNNPolicy) else {}),
    }


def _describe_component(value: Any) -> Any:
    if isinstance(value, Component):
        fields = dataclasses.fields(value)  # type: ignore[arg-type]
        described = {
            field.name: _describe_component(getattr(value, field.name)) for field in fields
        }
        return {"class": type(value).__name__, **described}
    if isinstance(value, tuple):
        return [_describe_component(item) for item in value]
    if isinstance(value, jax.Array):
        array = np.asarray(value)
        return np.array([exact(number) for number in array.ravel()]).reshape(array.shape).tolist()
    return value


def _rebuild_component(value: Any) -> Any:
    if isinstance(value, dict):
        fields = {name: _rebuild_component(item) for name, item in value.items() if name != "class"}
        return Component.named(value["class"])(**fields)
    if isinstance(value, list):
        return tuple(_rebuild_component(item) for item in value)
    return value
