"""Soft actor-critic, of Stable-Baselines3."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from agents.commands.sb3 import register_recipe
from agents.sb3.recipe import OBSERVATION_CLIP, Recipe
from fbx_env import checks

if TYPE_CHECKING:
    from stable_baselines3 import SAC
    from stable_baselines3.common.vec_env import VecEnv, VecNormalize


@dataclass(frozen=True)
class SACRecipe(Recipe):
    """Soft actor-critic (Haarnoja et al., arXiv 1812.05905).

    A trial costs thousands while the learner pushes the mass out of sight, and 0.001 at best: no
    critic resolves both. So this learner sees the square root of each step's cost. It is evaluated
    by the cost itself.

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
    batch_size: int = 256
    """Steps in a minibatch, drawn from all that were collected."""
    learning_rate: float = 1e-3
    gamma: float = 0.99
    command_scale: float = 0.2
    """The largest command, as a fraction of the largest one that the plant takes; 0.2 is 2 N for
    the point mass. The first commands are random up to it."""
    warmup_steps: int = 3200
    """Steps with random commands before learning begins."""
    updates_per_step: int = 4
    """Gradient steps after each step of all environments."""
    return_steps: int = 5
    """Steps whose rewards are added up before the critics' estimate takes over."""
    tau: float = 0.005
    """How fast the target critics follow, each gradient step."""
    initial_entropy_weight: float = 0.1
    """Weight of the entropy at the start; it is then adapted to one of -1 for each command."""

    def __check_init__(self) -> None:
        checks.whole("warmup_steps", self.warmup_steps, at_least=0)
        checks.whole("updates_per_step", self.updates_per_step, at_least=1)
        checks.whole("return_steps", self.return_steps, at_least=1)
        checks.real("tau", self.tau, above=0, at_most=1)
        checks.real("initial_entropy_weight", self.initial_entropy_weight, above=0)

    @property
    def steps_at_once(self) -> int:
        return self.n_envs

    def make_env(self, envs: VecEnv) -> VecNormalize:
        from stable_baselines3.common.vec_env import VecNormalize

        from agents.sb3.environments import RootCosts, ScaledCommands

        scaled = RootCosts(ScaledCommands(envs, self.command_scale, limit=1.0))
        return VecNormalize(scaled, norm_reward=False, gamma=self.gamma, clip_obs=OBSERVATION_CLIP)

    def make_learner(self, env: VecNormalize, **shared: Any) -> SAC:
        from stable_baselines3 import SAC

        return SAC(
            "MlpPolicy",
            env,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            gamma=self.gamma,
            n_steps=self.return_steps,
            ent_coef=f"auto_{self.initial_entropy_weight}",
            learning_starts=self.warmup_steps,
            gradient_steps=self.updates_per_step,
            tau=self.tau,
            policy_kwargs={"net_arch": list(self.hidden_sizes)},
            **shared,
        )

    def before_rollout(self, env: VecNormalize) -> None:
        """Do nothing: rewards are not scaled."""


register_recipe(SACRecipe, "SAC")
