"""A thousand trials in one compiled step, through Gymnasium's vector interface.

python examples/vector_env.py [--quick]
"""

import argparse
import time

import gymnasium
import numpy as np


def main() -> None:
    parser = argparse.ArgumentParser(description="Step many trials at once.")
    parser.add_argument("--quick", action="store_true", help="only 100 steps")
    n_steps = 100 if parser.parse_args().quick else 2000

    n_trials = 1024
    envs = gymnasium.make_vec("fbx_env:PointMassReach-v0", num_envs=n_trials, sensory_delay=1)
    obs, _ = envs.reset(seed=0)
    n_ended = n_successes = 0
    before = time.perf_counter()
    for _ in range(n_steps):
        commands = 1.5 * (obs[:, 0:2] - obs[:, 4:6]) - 2.2 * obs[:, 6:8]
        obs, _, terminations, _, infos = envs.step(commands.astype(np.float32))
        if terminations.any():
            n_ended += int(terminations.sum())
            n_successes += int(infos["is_success"].sum())
    seconds = time.perf_counter() - before
    print(f"{n_ended} trials ended, {n_successes} of them at the goal and slow")
    print(f"{n_trials * n_steps / seconds / 1e6:.2f} million steps a second")


if __name__ == "__main__":
    main()
