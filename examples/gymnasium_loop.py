"""A hand-written controller in the Gymnasium environment: one trial after another.

python examples/gymnasium_loop.py [--quick]
"""

import argparse

import gymnasium
import numpy as np

from fbx_env import ReachEnv


def controller(obs: np.ndarray, layout: dict[str, slice]) -> np.ndarray:
    """A spring to the goal and a damper: the command [N] for an observation."""
    names = ("goal_position", "vision_position", "vision_velocity")
    goal, pos, vel = (obs[layout[name]] for name in names)
    return 1.5 * (goal - pos) - 2.2 * vel


def main() -> None:
    parser = argparse.ArgumentParser(description="Run a controller in the Gymnasium environment.")
    parser.add_argument("--quick", action="store_true", help="only two trials")
    n_trials = 2 if parser.parse_args().quick else 10

    env = gymnasium.make("fbx_env:PointMassReach-v0", mass=1.0, signal_noise=0.1)
    layout = ReachEnv().observation_layout(env.unwrapped.params)
    for trial in range(n_trials):
        obs, info = env.reset(seed=0 if trial == 0 else None)
        away, loss, ended = info["distance"], 0.0, False
        while not ended:
            obs, reward, terminated, truncated, info = env.step(controller(obs, layout))
            loss -= float(reward)
            ended = terminated or truncated
        print(
            f"trial {trial}: {away:.2f} m to go, loss {loss:.5f}, ends {info['distance']:.4f} m "
            f"away at {info['speed']:.4f} m/s, success: {info['is_success']}"
        )


if __name__ == "__main__":
    main()
