"""The environment as Stable-Baselines3's learners see it: scaled, and with another cost."""

from __future__ import annotations

import dataclasses
from typing import Any

import gymnasium as gym
import jax
import numpy as np
from jaxtyping import Float
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper, VecNormalize

from agents.policies.standardisation import Standardisation
from agents.sb3.recipe import Recipe
from agents.sb3_vec_env import ReachVecEnv
from fbx_env import ReachEnv, ReachParams

STARTS_SEED = 0
"""Of the trials by whose starts observations are standardised."""


class ScaledCommands(VecEnvWrapper):
    """Lets a learner act in numbers around 1: an action is multiplied to be a command.

    Args:
        venv: whose actions are commands.
        fraction: the command for an action of 1, as a fraction of the largest one.
        limit: of actions, if they shall not reach the largest command.

    Attributes:
        scale: the command for an action of 1, in the units of the command.

    Raises:
        ValueError: if a command has no bounds.
    """

    def __init__(self, venv: VecEnv, fraction: float, limit: float = np.inf) -> None:
        space: Any = venv.action_space
        largest = np.maximum(np.abs(space.low), np.abs(space.high))
        if not np.isfinite(largest).all():
            raise ValueError(
                f"the plant's controls must have bounds, got {space.low}, {space.high}"
            )
        self.scale = np.asarray(fraction * largest, np.float32)
        low, high = (np.clip(end / self.scale, -limit, limit) for end in (space.low, space.high))
        super().__init__(venv, action_space=gym.spaces.Box(low, high, dtype=np.float32))

    def step_async(self, actions: Float[np.ndarray, "envs action"]) -> None:
        self.venv.step_async(np.asarray(self.scale * actions, np.float32))

    def reset(self) -> Any:
        return self.venv.reset()

    def step_wait(self) -> Any:
        return self.venv.step_wait()


def standardise(envs: VecNormalize) -> VecNormalize:
    """Normalise observations by the starts of random trials, and by nothing that is learned.

    What a learner does at first scatters observations more than what it learns to do. Statistics
    that follow keep changing the policy under it.
    """
    params = envs.get_attr("params")[0]
    fixed = Standardisation.of_starts(ReachEnv(), params, jax.random.key(STARTS_SEED))
    statistics: Any = envs.obs_rms
    statistics.mean, deviation = (np.array(each) for each in (fixed.mean, fixed.deviation))
    statistics.var = np.square(deviation)
    envs.training = False
    return envs


def make_learning_env(recipe: Recipe, params: ReachParams, seed: int) -> VecNormalize:
    """Return the environments that a learner trains in."""
    parts = {field.name: getattr(params, field.name) for field in dataclasses.fields(params)}
    envs = ReachVecEnv(recipe.n_envs, **parts)
    envs.seed(seed)
    return recipe.make_env(envs)
