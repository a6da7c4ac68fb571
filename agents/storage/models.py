"""Models: a policy with the experiment it is for, saved so that it can be rebuilt.

A policy is described as what it is made of: equinox modules and components by their classes,
their fields as JSON, their arrays by name. Numbers of the experiment are written as the decimals
that were meant. Loading finds classes only among those that are imported; it imports nothing.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from agents.storage import archive
from agents.storage.runs import CHECKPOINTS, MODEL
from fbx_env import Component, ReachEnv, ReachParams, checks

KIND = "model"
MAIN = "__main__"


def save_model(folder: Path | str, policy: Any, params: ReachParams) -> None:
    """Save a policy and its experiment in a folder, as the file ``policy.model``.

    Args:
        folder: it is made if it is not there.
        policy: any policy that is an equinox module, or replicates of one in one pytree. Its fields
            may hold arrays, numbers, text, ``None``, further modules and components, and tuples,
            lists and dicts of these.
        params: the experiment it was trained in.

    Raises:
        TypeError: if the policy is no equinox module, or a field holds something else, such as a
            function; it says which.
        ValueError: if the policy cannot act in the experiment, or these are several experiments.

    Example:
        >>> save_model("models/mine", policy, params)
        >>> policy, params = load_model("models/mine")
    """
    folder = checks.path("folder", folder)
    checks.instance("policy", policy, eqx.Module)
    checks.instance("params", params, ReachParams)
    arrays: dict[str, Any] = {}
    content = {
        "policy": _describe("policy", policy, arrays),
        "params": _describe("params", params, arrays),
    }
    check_acts(policy, params)
    folder.mkdir(parents=True, exist_ok=True)
    archive.write(folder / MODEL, KIND, content, arrays)


def load_model(folder: Path | str) -> tuple[Any, ReachParams]:
    """Load what ``save_model`` saved; no code in the file is run.

    Args:
        folder: of the model, or of a run.

    Returns:
        The policy, or replicates in one pytree, and the params it was trained with.

    Raises:
        ValueError: if the folder holds no model, or one that cannot be read, or whose classes are
            not imported.

    Example:
        >>> policy, params = load_model("runs/gru-seed0")
    """
    folder = checks.path("folder", folder)
    path = folder / MODEL
    if not path.exists():
        stopped = any(folder.glob(CHECKPOINTS)) if folder.is_dir() else False
        advice = "; its training was stopped: resume it with --resume" if stopped else ""
        raise ValueError(f"{folder} is not a run: it holds no {MODEL}{advice}")
    try:
        file = archive.read(path, KIND)
        policy = jax.tree.map(_widened, _rebuild(file.content["policy"], file))
        params = _rebuild(file.content["params"], file)
        checks.instance("policy", policy, eqx.Module)
        checks.instance("params", params, ReachParams)
        check_acts(policy, params)
    except Exception as error:
        raise ValueError(f"the model {path} cannot be read: {error}") from error
    return policy, params


def _widened(leaf: Any) -> Any:
    """What was float32 as float64 where JAX is set to it, as all else is then; anything else."""
    if not isinstance(leaf, jax.Array) or leaf.dtype != jnp.float32:
        return leaf
    return leaf.astype(jnp.result_type(float))


def _describe(path: str, value: Any, arrays: dict[str, Any]) -> Any:
    """The description of a value, for JSON; its arrays are added to ``arrays`` by their paths."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, jax.Array | np.ndarray):
        arrays[path] = value
        return {"array" if isinstance(value, jax.Array) else "numpy": path}
    if isinstance(value, Component | eqx.Module):
        return {"class": _name(type(value)), **_describe_fields(path, value, arrays)}
    if type(value) in (tuple, list):
        items = [_describe(f"{path}[{i}]", item, arrays) for i, item in enumerate(value)]
        return {"tuple": items} if isinstance(value, tuple) else items
    if type(value) is dict and all(type(name) is str for name in value):
        named = {name: _describe(f"{path}[{name!r}]", item, arrays) for name, item in value.items()}
        return {"dict": named}
    raise TypeError(
        f"{path} cannot be saved: a field may hold arrays, numbers, text, None, modules, "
        f"components, and tuples, lists and dicts of these, got {value!r}"
    )


def _describe_fields(path: str, module: Any, arrays: dict[str, Any]) -> dict[str, Any]:
    declared = module.declarations() if isinstance(module, Component) else {}
    described = {}
    for field in dataclasses.fields(module):
        value = getattr(module, field.name)
        if field.name in declared and isinstance(value, jax.Array) and value.size:
            described[field.name] = archive.decimals(value)
        else:
            described[field.name] = _describe(f"{path}.{field.name}", value, arrays)
    return described


def _rebuild(value: Any, file: archive.Archive) -> Any:
    """The value that ``_describe`` described."""
    if isinstance(value, list):
        return [_rebuild(item, file) for item in value]
    if not isinstance(value, dict):
        return value
    if "class" in value:
        return _rebuild_module(value, file)
    ((kind, inner),) = value.items()
    if kind == "array":
        return file.array(inner)
    if kind == "numpy":
        return file.arrays[inner].copy()
    if kind == "tuple":
        return tuple(_rebuild(item, file) for item in inner)
    if kind == "dict":
        return {name: _rebuild(item, file) for name, item in inner.items()}
    raise ValueError(f"it describes an unknown {kind!r}")


def _rebuild_module(described: dict[str, Any], file: archive.Archive) -> Any:
    kind = _find_class(described["class"])
    fields = {name: _rebuild(item, file) for name, item in described.items() if name != "class"}
    wanted = {field.name for field in dataclasses.fields(kind)}
    if wanted != fields.keys():
        differing = ", ".join(sorted(wanted ^ fields.keys()))
        raise ValueError(f"its class {described['class']} has changed: {differing} differ")
    if issubclass(kind, Component):
        # A list stands for an array where numbers are declared.
        lists = {name for name in kind.declarations() if isinstance(fields[name], list)}
        return kind(**fields | {name: np.array(fields[name], float) for name in lists})
    module = object.__new__(kind)
    for name, value in fields.items():
        object.__setattr__(module, name, value)
    return module


def _name(kind: type) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"


def _find_class(name: str) -> Any:
    """The class of a name among those that are imported.

    A script's own classes are also found when the script is imported, and the other way round.

    Raises:
        ValueError: if there is none, or more than one.
    """
    imported: dict[str, type] = {}
    to_visit = [eqx.Module]
    while to_visit:
        subclasses = to_visit.pop().__subclasses__()
        imported |= {_name(kind): kind for kind in subclasses}
        to_visit += subclasses
    for kinds in Component.registry.values():
        imported |= {_name(kind): kind for kind in kinds.values()}
    if name in imported:
        return imported[name]
    module, _, qualified_name = name.partition(":")
    found = [
        kind
        for kind in imported.values()
        if kind.__qualname__ == qualified_name and MAIN in (module, kind.__module__)
    ]
    if not found:
        where = (
            "it was defined in a script: put it into a file that can be imported, and import that"
            if module == MAIN
            else f"import {module}, or define it"
        )
        raise ValueError(
            f"its class {qualified_name} is not imported; {where}; the command line imports no "
            "file, but its commands run in Python: agents.__main__.main(['evaluate', 'RUN'])"
        )
    if len(found) > 1:
        raise ValueError(f"it could be of several classes: {', '.join(map(_name, found))}")
    return found[0]


def check_acts(policy: Any, params: ReachParams) -> None:
    """Raise ``ValueError`` if a policy, or replicates, cannot act; nothing is computed."""
    params.checked()
    size = ReachEnv().observation_space(params).shape[0]
    obs = jax.eval_shape(lambda: jnp.zeros(size))

    def act(policy: Any, obs: jax.Array) -> Any:
        return policy(obs, policy.initial_carry(), key=jax.random.key(0))

    try:
        eqx.filter_eval_shape(act, policy, obs)
    except Exception as error:
        try:
            eqx.filter_eval_shape(
                eqx.filter_vmap(act, in_axes=(eqx.if_array(0), None)), policy, obs
            )
        except Exception:
            reason = str(error).partition("\n")[0]
            raise ValueError(
                f"policy cannot act on the {size} numbers that params let it observe: {reason}"
            ) from error
