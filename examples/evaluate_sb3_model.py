"""Evaluate a model of your own of Stable-Baselines3 beside the exact optimum.

Any model of PPO, A2C, RecurrentPPO, SAC, TQC, TD3 or DDPG that learned in a `ReachVecEnv` becomes a
policy, network and normalisation together, and is measured on the trials and by the code of every
other agent. Needs Stable-Baselines3: pip install "fbx-env[sb3]"

python examples/evaluate_sb3_model.py          # a minute on two cores
python examples/evaluate_sb3_model.py --quick  # a few steps, to see that it runs
"""

import argparse

import jax
import matplotlib.pyplot as plt
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecNormalize

import fbx_env
from agents import OptimalPolicy, evaluate
from agents.sb3.actor import actor_policy
from agents.sb3_vec_env import ReachVecEnv
from fbx_env import plot

EXPERIMENT = {"max_force": 2.0, "time_in_observation": True}
"""The cost of a step depends on the time, which a model without memory has to be told."""


def train(n_steps: int) -> PPO:
    """A model of your own; replace it by yours."""
    envs = VecNormalize(ReachVecEnv(64, **EXPERIMENT), gamma=0.995)
    model = PPO(
        "MlpPolicy",
        envs,
        n_steps=99,
        batch_size=3168,
        gamma=0.995,
        gae_lambda=0.98,
        learning_rate=lambda remaining: 1e-3 * remaining,
        policy_kwargs={"log_std_init": -1.0},
        seed=0,
        device="cpu",
    )
    return model.learn(n_steps)


def main() -> None:
    parser = argparse.ArgumentParser(description="Evaluate a model of Stable-Baselines3.")
    parser.add_argument("--quick", action="store_true", help="a few steps")
    n_steps = 10_000 if parser.parse_args().quick else 1_000_000
    torch.set_num_threads(1)  # Small networks gain nothing from more.

    model = train(n_steps)
    # A saved model: PPO.load("model.zip", env=VecNormalize.load("normalisation.pkl", envs))
    env, params = fbx_env.make(**EXPERIMENT)
    trials = params.task.validation_trials()
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), sharey=True, layout="constrained")
    policies = {"PPO": actor_policy(model), "optimum": OptimalPolicy(params)}
    for ax, (name, policy) in zip(axes, policies.items(), strict=True):
        metrics, reaches = evaluate(policy, env, params, trials, key=jax.random.key(0))
        loss = metrics["losses"]["environment"]
        print(
            f"{name}: loss {loss:.3e}, {metrics['ratio_to_optimum']:.2f} times the optimum, ends "
            f"{1e3 * metrics['endpoint_error']:.2f} mm from the goal, "
            f"peak speed {metrics['peak_speed']:.3f} m/s"
        )
        plot.speed_profiles(reaches, ax=ax)
        ax.set_title(f"{name}, loss {loss:.2e}")
    plot.save_figure(figure, "evaluate_sb3_model.png", dpi=130)
    print("The picture is evaluate_sb3_model.png.")


if __name__ == "__main__":
    main()
