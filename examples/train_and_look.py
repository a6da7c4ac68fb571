"""Train a policy through the environment, compare it with the optimum, and draw its reaches.

python examples/train_and_look.py          # about half a minute
python examples/train_and_look.py --quick  # a few seconds, to see that it runs
"""

import argparse
from pathlib import Path

import jax

import fbx_env
from agents import BPTTConfig, GRUPolicy, evaluate, train
from fbx_env import plot


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a policy, and look at its reaches.")
    parser.add_argument("--quick", action="store_true", help="only a few updates")
    parser.add_argument("--out", type=Path, default=Path("reaches.png"), help="the picture")
    arguments = parser.parse_args()

    key_policy, key_train, key_evaluate = jax.random.split(jax.random.key(0), 3)
    env, params = fbx_env.make(mass=1.5, sensory_delay=1)
    policy = GRUPolicy(8, 2, 50, key=key_policy)
    config = BPTTConfig(n_batches=20 if arguments.quick else 3000)
    policy, _ = train(policy, env, params, config, key=key_train)

    trials = params.task.validation_trials(n_directions=8)
    metrics, trajectory = evaluate(policy, env, params, trials, key=key_evaluate)
    print(f"{metrics['ratio_to_optimum']:.3f} times the optimum")
    figure, _ = plot.effector_trajectories(trajectory)
    figure.savefig(arguments.out, dpi=130)


if __name__ == "__main__":
    main()
