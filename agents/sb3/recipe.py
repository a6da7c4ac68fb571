"""Common ground of the recipes of Stable-Baselines3's learners; each is in ``agents.learners``.

Nothing here imports torch, so that the command line can explain every number without it.
"""

from __future__ import annotations

import abc
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, final

from fbx_env import checks

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm
    from stable_baselines3.common.vec_env import VecEnv, VecNormalize

OBSERVATION_CLIP = 10.0
"""Normalised observations are limited to this many standard deviations."""


@dataclass(frozen=True)
class Recipe(abc.ABC):
    """The numbers of a learner, and how it is made with them. A new learner is a new subclass.

    What it has to check of its own numbers it checks in ``__check_init__``, which is called for
    every class of the hierarchy.

    Raises:
        TypeError, ValueError: for a value that is not allowed.
    """

    name: ClassVar[str]
    """Of the learner, in commands and folders."""

    total_steps: int
    """Environment steps to train for, over all environments."""
    n_envs: int
    """Environments side by side."""
    batch_size: int
    """Steps in a minibatch."""
    learning_rate: float
    """Learning rate of Adam."""
    hidden_sizes: tuple[int, ...] = (64, 64)
    """Units of each layer, in actor and critics."""
    command_scale: float = 0.2
    """The command for an output of 1 of the network, as a fraction of the largest one that the
    plant takes; 0.2 is 2 N for the point mass."""
    smallest_cost: float = 1e-6
    """Added to the cost to come before its logarithm; much smaller costs look alike to critics."""
    initial_log_std: float = -1.5
    """Logarithm of the exploration's standard deviation at the start, before scaling."""
    final_log_std: float = -5.0
    """The same at the end; it is not learned, but falls linearly."""
    n_evaluations: int = 20
    """Evaluations in the course of the training, beside the one before it, evenly spaced."""

    def __post_init__(self) -> None:
        for name in ("total_steps", "n_envs", "batch_size", "n_evaluations"):
            checks.whole(name, getattr(self, name), at_least=1, at_most=2**53)
        checks.real("learning_rate", self.learning_rate, above=0)
        checks.real("smallest_cost", self.smallest_cost, above=0)
        checks.real("command_scale", self.command_scale, above=0, at_most=1)
        for name in ("initial_log_std", "final_log_std"):
            checks.real(name, getattr(self, name))
        if not self.hidden_sizes:
            raise ValueError("hidden_sizes must have at least one layer, got none")
        for size in self.hidden_sizes:
            checks.whole("each of hidden_sizes", size, at_least=1, at_most=10**5)
        for kind in reversed(type(self).__mro__):
            if "__check_init__" in vars(kind):
                vars(kind)["__check_init__"](self)

    @property
    @abc.abstractmethod
    def steps_at_once(self) -> int:
        """Environment steps between two moments at which training may end."""

    @abc.abstractmethod
    def make_env(self, envs: VecEnv) -> VecNormalize:
        """Return environments as the learner sees them, from those of ``ReachVecEnv``."""

    @abc.abstractmethod
    def make_learner(self, env: VecNormalize, **shared: Any) -> BaseAlgorithm:
        """Return an untrained learner with these numbers.

        Args:
            env: of ``make_env``.
            **shared: ``seed``, ``device`` and ``tensorboard_log``.
        """

    @abc.abstractmethod
    def before_rollout(self, learner: Any) -> None:
        """Do what is due before each rollout of a learner of ``make_learner``."""

    @final
    def log_std(self, steps: int) -> float:
        """Return the logarithm of the exploration's standard deviation after so many steps."""
        done = steps / self.steps_made
        return (1 - done) * self.initial_log_std + done * self.final_log_std

    @final
    @property
    def steps_made(self) -> int:
        """Environment steps that training makes: at least ``total_steps``."""
        return self.steps_at_once * math.ceil(self.total_steps / self.steps_at_once)


@dataclass(frozen=True)
class OnPolicyRecipe(Recipe):
    """The numbers of a learner that updates from rollouts, and forgets them."""

    rollout_steps: int = 99
    """Steps of each environment between two updates."""
    n_epochs: int = 10
    """Passes over what was collected, in each update."""
    gae_lambda: float = 0.98
    """Decay of the advantage estimator."""

    def __check_init__(self) -> None:
        for name in ("rollout_steps", "n_epochs"):
            checks.whole(name, getattr(self, name), at_least=1, at_most=10**9)
        checks.whole("batch_size", self.batch_size, at_least=2)
        checks.real("gae_lambda", self.gae_lambda, above=0, at_most=1)
        if self.steps_at_once < 2:
            raise ValueError("rollout_steps times n_envs must be at least 2")

    @final
    @property
    def steps_at_once(self) -> int:
        return self.rollout_steps * self.n_envs

    @final
    def make_env(self, envs: VecEnv) -> VecNormalize:
        from stable_baselines3.common.vec_env import VecNormalize

        from agents.sb3.environments import ScaledCommands

        scaled = ScaledCommands(envs, self.command_scale)
        return VecNormalize(scaled, norm_reward=False, clip_obs=OBSERVATION_CLIP)

    @final
    def before_rollout(self, learner: Any) -> None:
        """Let the exploration fall with the training."""
        log_std = self.log_std(learner.num_timesteps)
        learner.policy.log_std.requires_grad_(False).fill_(log_std)

    @final
    def arguments(self) -> dict[str, Any]:
        """Return what all such learners take beside their policy."""
        return {
            # It falls linearly to zero with what remains of the training.
            "learning_rate": lambda remaining: self.learning_rate * remaining,
            "batch_size": self.batch_size,
            "gamma": 1.0,
            "n_steps": self.rollout_steps,
            "n_epochs": self.n_epochs,
            "gae_lambda": self.gae_lambda,
        }
