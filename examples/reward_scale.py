"""Why these rewards are hard on a general learner, and two remedies that leave the task as it is.

Actions drawn at random from the whole action space cost about 1,400 a trial, doing nothing 20, and
the optimum 7.5e-4: the losses span more than six orders of magnitude. A critic that has to fit the
first cannot see the difference between the last, and exploration never comes near them.

- Action scale: let an output of 1 mean a small force, so that random actions are gentle.
- Reward transformation: learn from the square root of each step's cost, which halves the orders
  of magnitude. What is reported remains the loss itself: the transformation is only the learner's.

PPO of Stable-Baselines3 learns with neither, one, and both. Needs it: pip install "fbx-env[sb3]"

python examples/reward_scale.py          # a minute on two cores
python examples/reward_scale.py --quick  # a few steps, to see that it runs
"""

import argparse
from collections.abc import Callable

import gymnasium
import matplotlib.pyplot as plt
import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper, VecNormalize

from agents import optimal_loss
from agents.evaluation import random_trials
from agents.sb3_vec_env import ReachVecEnv
from fbx_env import plot

N_TRIALS = 64
"""Trials side by side in training."""
N_EVALUATED = 4096
"""Trials on which a behaviour is evaluated."""
SMALL = 0.2
"""The command for an action of 1, as a share of the largest one."""


class AsLearnt(VecEnvWrapper):
    """Scales actions and transforms rewards for a learner, and keeps the true loss of trials.

    Attributes:
        losses: of the trials that have ended.
    """

    def __init__(self, venv: VecEnv, scale: float, transform: Callable[[np.ndarray], np.ndarray]):
        largest = venv.action_space.high
        self.to_command, self.transform = scale * largest, transform
        bound = np.full(largest.shape, 1 / scale, np.float32)
        super().__init__(venv, action_space=gymnasium.spaces.Box(-bound, bound))
        self.under_way, self.losses = np.zeros(venv.num_envs), []

    def reset(self) -> np.ndarray:
        return self.venv.reset()

    def step_async(self, actions: np.ndarray) -> None:
        self.venv.step_async((self.to_command * actions).astype(np.float32))

    def step_wait(self) -> tuple:
        obs, rewards, dones, infos = self.venv.step_wait()
        self.under_way -= rewards
        self.losses += self.under_way[dones].tolist()
        self.under_way[dones] = 0
        return obs, self.transform(rewards), dones, infos


def unchanged(rewards: np.ndarray) -> np.ndarray:
    return rewards


def root(rewards: np.ndarray) -> np.ndarray:
    """Minus the square root of the cost of each step."""
    return -np.sqrt(np.maximum(-rewards, 0))


def loss_of(act: Callable[[np.ndarray], np.ndarray]) -> float:
    """The mean loss of trials under a function from observations to commands."""
    envs = AsLearnt(ReachVecEnv(N_EVALUATED, time_in_observation=True), 1.0, unchanged)
    envs.seed(1)
    obs, largest = envs.reset(), envs.venv.action_space.high
    while not envs.losses:
        obs, *_ = envs.step(act(obs) / largest)
    return float(np.mean(envs.losses))


def learn(scale: float, transform: Callable, n_steps: int) -> tuple[np.ndarray, float]:
    """The mean loss of each round of trials of a training, and that of what was learned."""
    envs = AsLearnt(ReachVecEnv(N_TRIALS, time_in_observation=True), scale, transform)
    envs.seed(0)
    normalised = VecNormalize(envs, gamma=0.995, clip_obs=10.0)
    model = PPO(
        "MlpPolicy",
        normalised,
        n_steps=99,
        batch_size=3168,
        gamma=0.995,
        gae_lambda=0.98,
        learning_rate=lambda remaining: 1e-3 * remaining,
        policy_kwargs={"log_std_init": -1.0},
        seed=0,
        device="cpu",
    )
    model.learn(n_steps)

    def act(obs: np.ndarray) -> np.ndarray:
        actions, _ = model.predict(normalised.normalize_obs(obs), deterministic=True)
        return envs.to_command * actions

    # All trials begin and end together.
    rounds = np.reshape(envs.losses, (-1, N_TRIALS))
    return rounds.mean(axis=1), loss_of(act)


def main() -> None:
    parser = argparse.ArgumentParser(description="Show what the scale of rewards does to learners.")
    parser.add_argument("--quick", action="store_true", help="a few steps")
    n_steps = 10_000 if parser.parse_args().quick else 400_000

    torch.set_num_threads(1)  # Small networks gain nothing from more.
    params = ReachVecEnv(1).get_attr("params")[0]
    rng = np.random.default_rng(0)
    behaviours = {
        "random, up to 10 N": loss_of(lambda obs: rng.uniform(-10, 10, (N_EVALUATED, 2))),
        "random, up to 2 N": loss_of(lambda obs: rng.uniform(-2, 2, (N_EVALUATED, 2))),
        "nothing": loss_of(lambda obs: np.zeros((N_EVALUATED, 2))),
        "spring and damper": loss_of(
            lambda obs: 1.5 * (obs[:, :2] - obs[:, 4:6]) - 2.2 * obs[:, 6:8]
        ),
        "optimum": optimal_loss(params, random_trials(params)).total,
    }
    for name, loss in behaviours.items():
        print(f"{name}: {loss:.3g} a trial")

    figure, ax = plt.subplots(figsize=(7.5, 4), layout="constrained")
    ways = {
        "as it is": (1.0, unchanged, ":"),
        "small actions": (SMALL, unchanged, "--"),
        "small actions, root of the cost": (SMALL, root, "-"),
    }
    for name, (scale, transform, style) in ways.items():
        losses, learned = learn(scale, transform, n_steps)
        steps = 99 * N_TRIALS * (1 + np.arange(len(losses)))
        ax.semilogy(steps, losses, style, label=f"PPO, {name}")
        print(f"PPO, {name}: {learned:.3g} a trial after {steps[-1]:,} steps")
    for name in ("nothing", "spring and damper", "optimum"):
        ax.axhline(behaviours[name], color="0.6", lw=1)
        ax.annotate(name, (1.01, behaviours[name]), xycoords=("axes fraction", "data"), va="center")
    ax.set(xlabel="Environment steps", ylabel="True loss of a trial, exploring")
    ax.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, 1.25))
    plot.save_figure(figure, "reward_scale.png", dpi=130)
    print("The picture is reward_scale.png.")


if __name__ == "__main__":
    main()
