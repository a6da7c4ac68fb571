"""Recipes for Stable-Baselines3's learners: what was found to work on the reaching task, and how.

Nothing here imports torch, so that the command line can explain every number without it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from fbx_env import checks


@dataclass(frozen=True)
class Recipe:
    """What every recipe has.

    Raises:
        TypeError, ValueError: for a value that is not allowed.
    """

    name: ClassVar[str]

    total_steps: int
    """Environment steps to train for, over all environments."""
    n_envs: int
    """Environments side by side."""
    n_evaluations: int = 20
    """Evaluations in the course of the training, beside the one before it, evenly spaced."""

    def __post_init__(self) -> None:
        checks.whole("total_steps", self.total_steps, at_least=1)
        checks.whole("n_envs", self.n_envs, at_least=1)
        checks.whole("n_evaluations", self.n_evaluations, at_least=1)


@dataclass(frozen=True)
class PPORecipe(Recipe):
    """Proximal policy optimisation (Schulman et al., arXiv 1707.06347).

    It began with a recipe found on this task before: discount 0.995, advantage decay 0.98, Adam at
    3e-4, minibatches of 3,168, initial log standard deviation -1, a force scale of 2, normalised
    observations and rewards, and the time in the observation.

    The search: 8 settings of 1,000,000 steps each, seed 0, 5 minutes of processor time in all; the
    loss on 1,024 random trials at the end, where 0.00073 is optimal. As it was: 0.0083; with a
    falling learning rate alone 0.011. With a scale of the rewards that remembers 100,000 steps:
    0.0021. Then with a learning rate that falls
    from 1e-3: 0.0023; and with rollouts of 99 steps instead of 198: 0.0018, the one below. From
    the rollouts of 198 steps, no discount gave 0.0022, layers of 32 units 0.0025, and an advantage
    decay of 0.95 gave 0.019.
    """

    name: ClassVar[str] = "ppo"

    total_steps: int = 2_000_000
    n_envs: int = 64
    rollout_steps: int = 99
    """Steps of each environment between two updates."""
    batch_size: int = 3168
    """Steps in a minibatch."""
    n_epochs: int = 10
    """Passes over what was collected, in each update."""
    learning_rate: float = 1e-3
    """Learning rate of Adam at the start; it falls linearly to zero."""
    gamma: float = 0.995
    """Discount of a later reward, each step."""
    gae_lambda: float = 0.98
    """Decay of the advantage estimator."""
    hidden_sizes: tuple[int, ...] = (64, 64)
    """Units of each layer, in actor and critic."""
    force_scale: float = 2.0
    """What the network's output is multiplied with to be a command [N]."""
    initial_log_std: float = -1.0
    """Logarithm of the exploration's standard deviation at the start, before scaling."""
    reward_memory: int = 100_000
    """Steps over which the scale of the rewards is estimated. A trial costs 20 at first and less
    than 0.01 at last; a scale that remembers all of training makes the last rewards vanish."""

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.whole("rollout_steps", self.rollout_steps, at_least=1)
        checks.whole("batch_size", self.batch_size, at_least=2)
        checks.whole("n_epochs", self.n_epochs, at_least=1)
        _check_learner(self.learning_rate, self.gamma, self.hidden_sizes, self.force_scale)
        _check_fraction("gae_lambda", self.gae_lambda)
        checks.real("initial_log_std", self.initial_log_std)
        checks.whole("reward_memory", self.reward_memory, at_least=1)
        if self.rollout_steps * self.n_envs < 2:
            raise ValueError("rollout_steps times n_envs must be at least 2")


@dataclass(frozen=True)
class RecurrentPPORecipe(PPORecipe):
    """Proximal policy optimisation with long short-term memory, of sb3-contrib.

    The recipe of PPO, with memory in the actor alone. The search: 3 settings of 300,000 steps each,
    seed 0, 3.4 minutes of processor time; the loss on random trials at the end. 64 units in actor
    and critic, 10 epochs: 0.10, in 111 s; in the actor alone: 0.093, in 60 s; 32 units, 6 epochs
    and two layers of 64 units: 0.081, in 35 s, the one below.
    """

    name: ClassVar[str] = "recurrent-ppo"

    total_steps: int = 1_000_000
    n_epochs: int = 6
    lstm_size: int = 32
    """Units of long short-term memory in the actor, before its layers."""

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.whole("lstm_size", self.lstm_size, at_least=1)


@dataclass(frozen=True)
class SACRecipe(Recipe):
    """Soft actor-critic (Haarnoja et al., arXiv 1812.05905).

    A trial costs thousands while the learner pushes the mass out of sight, and 0.001 at best: no
    critic resolves both. So this learner sees the square root of each step's cost. It is judged by
    the cost itself.

    The search: 12 settings of 50,000 to 150,000 steps, seed 0, 17 minutes of processor time; not
    one at a time, so what follows is what went together. The loss on random trials ended at 2.0
    with the root of the cost and a discount of 0.99, over 1 or over 5 steps, the latter steadier
    and the one below; at 2.1 to 2.9 with the cost limited to 1 or 0.3 a step; at 37 with a running
    scale of the rewards; at 11 and 16 without normalised observations; at 28 with at most 1 N and a
    discount of 0.995; at 29 with a discount of 0.98 and a falling learning rate; at 170 with at
    most 4 N and the cost itself. To do nothing costs 19.
    """

    name: ClassVar[str] = "sac"

    total_steps: int = 100_000
    n_envs: int = 16
    warmup_steps: int = 3200
    """Steps with random commands before learning begins."""
    updates_per_step: int = 4
    """Gradient steps after each step of all environments."""
    batch_size: int = 256
    """Steps in a minibatch, drawn from all that were collected."""
    learning_rate: float = 1e-3
    """Learning rate of Adam."""
    gamma: float = 0.99
    """Discount of a later reward, each step."""
    return_steps: int = 5
    """Steps whose rewards are added up before the critics' estimate takes over."""
    tau: float = 0.005
    """How fast the target critics follow, each gradient step."""
    initial_entropy_weight: float = 0.1
    """Weight of the entropy at the start; it is then adapted to an entropy of -2."""
    hidden_sizes: tuple[int, ...] = (64, 64)
    """Units of each layer, in actor and critics."""
    force_scale: float = 2.0
    """Largest command [N]; the first commands are random up to it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.whole("warmup_steps", self.warmup_steps, at_least=0)
        checks.whole("updates_per_step", self.updates_per_step, at_least=1)
        checks.whole("batch_size", self.batch_size, at_least=1)
        checks.whole("return_steps", self.return_steps, at_least=1)
        _check_learner(self.learning_rate, self.gamma, self.hidden_sizes, self.force_scale)
        _check_fraction("tau", self.tau)
        checks.real("initial_entropy_weight", self.initial_entropy_weight, above=0)


def _check_learner(
    learning_rate: float, gamma: float, hidden_sizes: tuple[int, ...], force_scale: float
) -> None:
    checks.real("learning_rate", learning_rate, above=0)
    _check_fraction("gamma", gamma)
    checks.real("force_scale", force_scale, above=0)
    if not hidden_sizes:
        raise ValueError("hidden_sizes must have at least one layer, got none")
    for size in hidden_sizes:
        checks.whole("each of hidden_sizes", size, at_least=1)


def _check_fraction(name: str, value: float) -> None:
    if checks.real(name, value, above=0) > 1:
        raise ValueError(f"{name} must be greater than 0 and at most 1, got {value}")
