"""Learners of Stable-Baselines3 whose critics estimate the logarithm of the cost to come.

A trial costs thousands while a learner pushes the mass out of sight, and 0.001 at best: no critic
of costs resolves both. So each critic here estimates v = -log(C + smallest), where C is the cost
that is still to come, and costs much below ``smallest`` look alike; values are rescaled likewise in
Pohlen et al. (arXiv 1805.11593). The logarithm is monotone: where nothing is random, the optimal
policy is that of the costs themselves. Costs are not discounted, as trials end.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from sb3_contrib import RecurrentPPO
from sb3_contrib.common.recurrent.buffers import RecurrentRolloutBuffer
from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy
from stable_baselines3 import SAC
from stable_baselines3.common.buffers import RolloutBuffer
from torch.nn import functional

LARGEST = 10.0
"""How many times the expected cost an action can seem to have cost more."""

Steps = Float[np.ndarray, "steps envs"]


def relative_advantages(
    costs: Steps,
    values: Steps,
    last_values: Float[np.ndarray, " envs"],
    goes_on: Bool[np.ndarray, "steps envs"],
    decay: float,
    smallest: float,
) -> Steps:
    """Return by which fraction of what was expected each action lowered the cost to come.

    Advantages are estimated in costs (Schulman et al., arXiv 1506.02438). Divided by the cost to
    come, they are to first order differences of its logarithm, and their mean still vanishes where
    the critic expects the mean: the logarithm itself would favour what is bad on average.

    Args:
        costs: of the steps.
        values: of the critic, before each step.
        last_values: of the critic, after the last step.
        goes_on: whether a trial went on after each step.
        decay: of the estimator, 1 for the cost until the end of the rollout.
        smallest: cost that was added before the logarithm.
    """
    expected = np.exp(-np.concatenate([values, last_values[None]])) - smallest
    came = np.empty_like(costs)
    excess = np.zeros_like(last_values)
    for step in reversed(range(len(costs))):
        surprise = costs[step] + goes_on[step] * expected[step + 1] - expected[step]
        excess = surprise + decay * goes_on[step] * excess
        came[step] = expected[step] + excess
    relative: Steps = (expected[:-1] - came) / (expected[:-1] + smallest)
    return relative.clip(min=-LARGEST)


class LogCostRollouts(RolloutBuffer):
    """Rollouts with relative advantages.

    Args:
        smallest_cost: that is added to costs to come before the logarithm.
        *arguments, **options: as of ``RolloutBuffer``.
    """

    def __init__(self, *arguments: Any, smallest_cost: float, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.smallest_cost = smallest_cost

    def compute_returns_and_advantage(
        self, last_values: torch.Tensor, dones: Bool[np.ndarray, " envs"]
    ) -> None:
        """Fill in the advantages, and what the critic learns."""
        starts = np.concatenate([self.episode_starts[1:], dones[None]]).astype(bool)
        last = last_values.numpy().flatten()
        self.advantages = relative_advantages(
            -self.rewards, self.values, last, ~starts, self.gae_lambda, self.smallest_cost
        )
        self.returns = self.advantages + self.values


class LogCostRecurrentRollouts(LogCostRollouts, RecurrentRolloutBuffer):
    """The same, with the states of a recurrent network."""


class SequencePolicy(RecurrentActorCriticPolicy):
    """A recurrent policy whose memory runs over whole sequences, which sb3-contrib takes by steps.

    Its buffer cuts sequences where trials start: only the first state of each may need a reset.
    """

    @staticmethod
    def _process_sequence(
        features: torch.Tensor,
        lstm_states: tuple[torch.Tensor, torch.Tensor],
        episode_starts: torch.Tensor,
        lstm: torch.nn.LSTM,
    ) -> tuple[torch.Tensor, Any]:
        starts = episode_starts.reshape(lstm_states[0].shape[1], -1)
        hidden, cell = ((1 - starts[:, :1]) * state for state in lstm_states)
        return RecurrentActorCriticPolicy._process_sequence(
            features, (hidden, cell), torch.zeros_like(episode_starts), lstm
        )


class LogCostRecurrentPPO(RecurrentPPO):
    """Recurrent PPO with relative advantages.

    Args:
        smallest_cost: as of ``LogCostRollouts``.
        *arguments, **options: as of ``RecurrentPPO``.
    """

    def __init__(self, *arguments: Any, smallest_cost: float, **options: Any) -> None:
        self.smallest_cost = smallest_cost
        super().__init__(*arguments, **options)

    def _setup_model(self) -> None:
        super()._setup_model()
        lstm: Any = self.policy.lstm_actor
        self.rollout_buffer = LogCostRecurrentRollouts(
            self.n_steps,
            self.observation_space,
            self.action_space,
            (self.n_steps, lstm.num_layers, self.n_envs, lstm.hidden_size),
            self.device,
            gae_lambda=self.gae_lambda,
            n_envs=self.n_envs,
            smallest_cost=self.smallest_cost,
        )


class LogCostSAC(SAC):
    """Soft actor-critic on a logarithmic scale of costs.

    From the costs c of n steps, and the action and observation after them, a critic learns

        v = -log(c[0] + ... + c[n-1] + exp(weight * log_prob - v_next)),

    where v_next is the mean of the target critics. The lower of the two, which SAC takes against
    overestimation, learned several times more slowly here. The bonus for entropy is relative to the
    cost to come: it does not drown costs that are small.

    Args:
        policy, env, **options: as of ``SAC``, with returns of two or more steps.
        smallest_cost: that is added to costs to come before the logarithm.
    """

    log_ent_coef: Any
    ent_coef_optimizer: Any
    target_entropy: Any

    def __init__(self, policy: Any, env: Any, *, smallest_cost: float, **options: Any) -> None:
        self.smallest_cost = smallest_cost
        super().__init__(policy, env, gamma=1.0, **options)

    def train(self, gradient_steps: int, batch_size: int = 64) -> None:
        """Take gradient steps, with samples from the replay buffer."""
        self.policy.set_training_mode(True)
        optimizers = [self.actor.optimizer, self.critic.optimizer, self.ent_coef_optimizer]
        self._update_learning_rate(optimizers)
        buffer: Any = self.replay_buffer
        samples = buffer.sample(gradient_steps * batch_size, env=self._vec_normalize_env)
        observations, actions, later, ends, rewards, _ = (
            each.split(batch_size) for each in samples
        )
        for step in range(gradient_steps):
            target = self.target(later[step], ends[step], -rewards[step])
            values = torch.stack(self.critic(observations[step], actions[step]))
            _descend(self.critic.optimizer, functional.mse_loss(values, target.expand_as(values)))
            self._update_actor(observations[step])
            with torch.no_grad():
                for followed, leading in zip(
                    self.critic_target.parameters(), self.critic.parameters(), strict=True
                ):
                    followed.lerp_(leading, self.tau)
        self._n_updates += gradient_steps
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")

    @torch.no_grad()
    def target(
        self, observations: torch.Tensor, ends: torch.Tensor, costs: torch.Tensor
    ) -> torch.Tensor:
        """Return what the critics should say of steps with these costs, after which one is here."""
        actions, log_prob = self.actor.action_log_prob(observations)
        values = torch.stack(self.critic_target(observations, actions)).mean(0)
        values = values - self.log_ent_coef.exp() * log_prob[:, None]
        later = (torch.exp(-values) - self.smallest_cost).clamp(min=0)
        return -torch.log(costs.clamp(min=0) + (1 - ends) * later + self.smallest_cost)

    def _update_actor(self, observations: torch.Tensor) -> None:
        """Improve the actor by the mean of the critics, and adapt the weight of its entropy."""
        actions, log_prob = self.actor.action_log_prob(observations)
        weight = self.log_ent_coef.exp().detach()
        value = torch.stack(self.critic(observations, actions)).mean(0)
        _descend(self.actor.optimizer, (weight * log_prob[:, None] - value).mean())
        surplus = (log_prob.detach() + self.target_entropy).mean()
        _descend(self.ent_coef_optimizer, -(self.log_ent_coef * surplus).sum())


def _descend(optimizer: torch.optim.Optimizer, loss: Any) -> None:
    """Take a step, without the gradients of what the loss depends on and the optimiser leaves."""
    optimizer.zero_grad()
    loss.backward(inputs=[each for group in optimizer.param_groups for each in group["params"]])
    optimizer.step()
