"""The state of a learner of Stable-Baselines3, as an archive of numbers.

Stable-Baselines3's own files hold pickles, which can run any code when they are read. This package
neither writes nor reads them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.vec_env import VecNormalize

from agents.experiment import plain_value
from agents.sb3.environments import make_learning_env
from agents.sb3.recipe import Recipe
from agents.storage import archive
from fbx_env import ReachParams

BEST, LAST = "best.learner", "last.learner"
"""The learner at its best evaluation, and at its last, with all that it remembers."""

KIND = "learner"
COUNTERS = ("num_timesteps", "_n_updates", "_episode_num")
REPLAYED = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")
MAY_CHANGE = ("total_steps", "n_evaluations")
"""Settings that a resumed learner may have otherwise than before."""

State = dict[str, np.ndarray]


def make_learner(
    recipe: Recipe, params: ReachParams, seed: int, tensorboard: Path | None = None
) -> BaseAlgorithm:
    """Return an untrained learner with the numbers of its recipe, in environments of its own."""
    return recipe.make_learner(
        make_learning_env(recipe, params, seed),
        seed=seed,
        device="cpu",
        tensorboard_log=None if tensorboard is None else str(tensorboard),
    )


def save_learner(path: Path, learner: BaseAlgorithm, recipe: Recipe, params: ReachParams) -> None:
    """Save a learner, the statistics of its observations and rewards, and its replay buffer."""
    env: Any = learner.get_env()
    content = {
        **_identity(recipe, params),
        "counters": {name: getattr(learner, name) for name in COUNTERS},
        "counts": {"observations": float(env.obs_rms.count), "returns": float(env.ret_rms.count)},
    }
    arrays = {**_parameters(learner), **_statistics(env), **_replay(learner)}
    archive.write(path, KIND, content, arrays)


def load_learner(
    path: Path,
    recipe: Recipe,
    params: ReachParams,
    seed: int = 0,
    tensorboard: Path | None = None,
) -> BaseAlgorithm:
    """Load a learner, to train it further or to look into it; no code in the file is run.

    Args:
        path: of a file in a run's folder, ``BEST`` or ``LAST``.
        recipe: by which it was trained.
        params: in which it was trained.
        seed: of its environments.
        tensorboard: folder of its logs.

    Raises:
        ValueError: if there is none that can be read, or it is of another recipe or experiment.
    """
    try:
        file = archive.read(path, KIND)
        for what, wanted in _identity(recipe, params).items():
            found = file.content[what]
            differing = [
                name for name in {**found, **wanted} if found.get(name) != wanted.get(name)
            ]
            if differing:
                raise ValueError(f"it is of another {what}: {', '.join(differing)} differ")
        learner = make_learner(recipe, params, seed, tensorboard)
        state = {name: array.copy() for name, array in file.arrays.items()}
        _restore(learner, state, file.content)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise ValueError(f"{path} cannot be resumed from: {error}") from error
    return learner


def load_last_or_best(
    folder: Path,
    recipe: Recipe,
    params: ReachParams,
    seed: int,
    report: Callable[[str], None],
    tensorboard: Path | None = None,
) -> BaseAlgorithm:
    """Load the learner to go on with: the last, or if it is damaged the best, with empty memory.

    Raises:
        ValueError: if neither can be read.
    """
    try:
        return load_learner(folder / LAST, recipe, params, seed, tensorboard)
    except ValueError as error:
        learner = load_learner(folder / BEST, recipe, params, seed, tensorboard)
        report(f"{error}. Resuming from {BEST}, after {learner.num_timesteps:,} steps.")
        return learner


def _identity(recipe: Recipe, params: ReachParams) -> dict[str, dict[str, Any]]:
    """All that shapes the result of a training, ready for JSON."""
    settings = {"name": recipe.name, **dataclasses.asdict(recipe)}
    settings["hidden_sizes"] = list(recipe.hidden_sizes)
    return {
        "recipe": {name: value for name, value in settings.items() if name not in MAY_CHANGE},
        "experiment": {number.name: plain_value(number) for number in params.numbers()},
    }


def _parameters(learner: BaseAlgorithm) -> State:
    """The weights of all networks, and the states of the optimisers."""
    tensors: dict[str, torch.Tensor] = {}
    for name, state in learner.get_parameters().items():
        if isinstance(_attribute(learner, name), torch.optim.Optimizer):
            for index, slots in state["state"].items():
                tensors |= {f"{name}/{index}/{slot}": value for slot, value in slots.items()}
        else:
            tensors |= {f"{name}/{key}": value for key, value in state.items()}
    for name in learner._get_torch_save_params()[1]:
        tensors[name] = _attribute(learner, name)
    return {name: tensor.detach().numpy() for name, tensor in tensors.items()}


def _statistics(env: VecNormalize) -> State:
    statistics: Any = {"observations": env.obs_rms, "returns": env.ret_rms}
    return {
        f"{what}/{name}": np.asarray(getattr(each, name))
        for what, each in statistics.items()
        for name in ("mean", "var")
    }


def _replay(learner: BaseAlgorithm) -> State:
    """The contents of a learner's replay buffer, if it has one, the oldest first."""
    buffer: ReplayBuffer | None = getattr(learner, "replay_buffer", None)
    if buffer is None:
        return {}
    if not buffer.full:
        return {f"replay/{name}": getattr(buffer, name)[: buffer.pos] for name in REPLAYED}
    return {f"replay/{name}": np.roll(getattr(buffer, name), -buffer.pos, 0) for name in REPLAYED}


def _restore(learner: BaseAlgorithm, state: State, content: dict[str, Any]) -> None:
    """Bring a new learner to a saved state."""
    for name in COUNTERS:
        setattr(learner, name, int(content["counters"][name]))
    for name, own in learner.get_parameters().items():
        found = _below(state, name)
        target: Any = _attribute(learner, name)
        if isinstance(target, torch.optim.Optimizer):
            slots: dict[int, dict[str, torch.Tensor]] = {}
            for key, array in found.items():
                index, slot = key.split("/")
                slots.setdefault(int(index), {})[slot] = torch.as_tensor(array)
            _check_slots(name, target, slots)
            target.load_state_dict({"state": slots, "param_groups": own["param_groups"]})
        else:
            target.load_state_dict({key: torch.as_tensor(array) for key, array in found.items()})
    for name in learner._get_torch_save_params()[1]:
        _attribute(learner, name).data.copy_(torch.as_tensor(state[name]))
    env: Any = learner.get_env()
    for what, statistics in (("observations", env.obs_rms), ("returns", env.ret_rms)):
        for name in ("mean", "var"):
            array = state[f"{what}/{name}"]
            if array.shape != np.shape(getattr(statistics, name)):
                raise ValueError(f"{what} have statistics of shape {array.shape}")
            setattr(statistics, name, array)
        statistics.count = float(content["counts"][what])
    if replayed := _below(state, "replay"):
        _refill(learner.replay_buffer, replayed)  # type: ignore[attr-defined]


def _refill(buffer: ReplayBuffer, replayed: State) -> None:
    """Fill an empty replay buffer; trials that were under way are cut where they were left."""
    length = len(replayed["rewards"])
    for name in REPLAYED:
        getattr(buffer, name)[:length] = replayed[name]
    if length:
        last = length - 1
        buffer.timeouts[last] = np.maximum(buffer.timeouts[last], 1 - buffer.dones[last])
    buffer.pos, buffer.full = length % buffer.buffer_size, length == buffer.buffer_size


def _check_slots(
    name: str, optimizer: torch.optim.Optimizer, slots: dict[int, dict[str, torch.Tensor]]
) -> None:
    """Raise ``ValueError`` if the state of an optimiser does not fit what it optimises."""
    shapes = [each.shape for group in optimizer.param_groups for each in group["params"]]
    for index, state in slots.items():
        for slot, tensor in state.items():
            if tensor.ndim and not (0 <= index < len(shapes) and tensor.shape == shapes[index]):
                raise ValueError(f"{name} has {slot} of shape {tuple(tensor.shape)} at {index}")


def _below(state: State, prefix: str) -> State:
    return {
        name.removeprefix(f"{prefix}/"): array
        for name, array in state.items()
        if name.startswith(f"{prefix}/")
    }


def _attribute(learner: BaseAlgorithm, name: str) -> Any:
    value: Any = learner
    for part in name.split("."):
        value = getattr(value, part)
    return value
