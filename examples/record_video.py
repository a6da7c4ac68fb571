"""Record a trial as a video, with Gymnasium's wrapper; needs the extra ``render``.

python examples/record_video.py [--quick] [--out FOLDER]
"""

import argparse
from pathlib import Path

import gymnasium
from gymnasium.wrappers import RecordVideo

from fbx_env import ReachEnv


def main() -> None:
    parser = argparse.ArgumentParser(description="Record a trial as a video.")
    parser.add_argument("--quick", action="store_true", help="a short trial")
    parser.add_argument("--out", type=Path, default=Path("videos"), help="the folder")
    arguments = parser.parse_args()

    env = gymnasium.make(
        "fbx_env:PointMassReach-v0",
        render_mode="rgb_array",
        max_steps_in_episode=10 if arguments.quick else 99,
        sensory_delay=2,
    )
    env = RecordVideo(env, str(arguments.out), name_prefix="reach")
    obs, _ = env.reset(seed=1, options={"start": (-0.8, -0.6), "goal": (0.6, 0.7)})
    layout = ReachEnv().observation_layout(env.unwrapped.params)
    names = ("goal_position", "vision_position", "vision_velocity")
    ended = False
    while not ended:
        # A spring and a damper that act on what was sensed 0.1 s late.
        goal, pos, vel = (obs[layout[name]] for name in names)
        obs, _, ended, _, info = env.step(1.5 * (goal - pos) - 2.2 * vel)
    env.close()
    print(f"ended {info['distance']:.3f} m from the goal")
    print(*sorted(arguments.out.glob("reach*.mp4")))


if __name__ == "__main__":
    main()
