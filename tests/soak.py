"""Make, step and close environments and train tiny models again and again; memory stays flat.

python tests/soak.py --environments 2000 --trainings 200
"""

from __future__ import annotations

import argparse
import gc
from collections.abc import Callable
from pathlib import Path

import gymnasium
import jax
import numpy as np

import fbx_env
from agents import BPTTConfig, GRUPolicy, train

CONFIG = BPTTConfig(n_batches=2, batch_size=1)


def memory_kib() -> int:
    """Resident memory of this process."""
    gc.collect()
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


def one_environment(seed: int) -> None:
    """A Gymnasium environment and a vector of them, for some steps each."""
    env = gymnasium.make("fbx_env:PointMassReach-v0")
    env.reset(seed=seed)
    for _ in range(3):
        env.step(env.action_space.sample())
    env.close()
    many = gymnasium.make_vec("fbx_env:PointMassReach-v0", num_envs=2)
    many.reset(seed=seed)
    many.step(many.action_space.sample())
    many.close()


def one_training(seed: int) -> None:
    """A tiny model, from its initial weights to its end."""
    env, params = fbx_env.make(max_steps_in_episode=2)
    key = jax.random.key(seed)
    train(GRUPolicy(8, 2, 2, key=key), env, params, CONFIG, key=key, write=None)


def growth(do: Callable[[int], None], count: int) -> float:
    """Growth of memory a round [KiB], by a straight line through the second half of the rounds."""
    used = []
    for index in range(count):
        do(index)
        if index >= count // 2 and index % max(count // 40, 1) == 0:
            used.append((index, memory_kib()))
    rounds, memory = np.array(used).T
    return float(np.polyfit(rounds, memory, 1)[0])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--environments", type=int, default=2000)
    parser.add_argument("--trainings", type=int, default=200)
    options = parser.parse_args()
    for do, count in ((one_environment, options.environments), (one_training, options.trainings)):
        if count:
            per_round = growth(do, count)
            print(f"{do.__name__} {count} times: {per_round:+.2f} KiB a round", flush=True)
