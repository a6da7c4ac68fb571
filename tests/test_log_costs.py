"""Values on a logarithmic scale of costs: what learners of Stable-Baselines3 learn from."""

import numpy as np
import pytest
import torch
from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy

from agents.learners.ppo import PPORecipe
from agents.learners.recurrent_ppo import RecurrentPPORecipe
from agents.learners.sac import SACRecipe
from agents.sb3.files import make_learner
from agents.sb3.log_costs import SequencePolicy, relative_advantages
from fbx_env import make

SMALLEST = 1e-3
COSTS = np.array([[0.5, 1.0], [0.1, 2.0], [0.02, 0.3]])
GOES_ON = np.array([[True, True], [True, False], [True, True]])
"""Another trial of the second environment begins in its last step."""

LAST = np.array([0.04, 0.6])
"""Costs to come after the last step."""

TO_COME = np.array([[0.66, 3.0], [0.16, 2.0], [0.06, 0.9]])


@pytest.fixture(scope="module")
def params():
    return make(max_steps_in_episode=10, time_in_observation=True)[1]


def values_of(costs):
    return -np.log(costs + SMALLEST)


@pytest.mark.parametrize("decay", [0.0, 0.7, 1.0])
def test_a_critic_that_is_right_leaves_no_advantage(decay):
    last = values_of(LAST)
    found = relative_advantages(COSTS, values_of(TO_COME), last, GOES_ON, decay, SMALLEST)
    np.testing.assert_allclose(found, 0, atol=1e-12)


def test_without_decay_advantages_compare_with_the_cost_that_came():
    """Half more than what was expected is the same disadvantage, however much it is."""
    expected = TO_COME / 1.5
    found = relative_advantages(COSTS, values_of(expected), values_of(LAST), GOES_ON, 1.0, SMALLEST)
    np.testing.assert_allclose(found, (expected - TO_COME) / (expected + SMALLEST), rtol=1e-9)
    np.testing.assert_allclose(found, -0.5, rtol=0.03)


def test_with_full_decay_advantages_compare_one_step():
    expected = 2 * TO_COME
    found = relative_advantages(COSTS, values_of(expected), values_of(LAST), GOES_ON, 0.0, SMALLEST)
    after = np.concatenate([expected[1:], LAST[None]])
    change = expected - COSTS - GOES_ON * after
    np.testing.assert_allclose(found, change / (expected + SMALLEST), rtol=1e-9)


def test_no_disadvantage_is_larger_than_ten_times_the_cost():
    found = relative_advantages(
        COSTS, values_of(TO_COME / 100), values_of(LAST), GOES_ON, 1.0, SMALLEST
    )
    np.testing.assert_array_equal(found, -10)


@pytest.mark.parametrize("kind", [PPORecipe, RecurrentPPORecipe])
def test_rollouts_tell_advantages_and_what_the_critic_learns(kind, params):
    recipe = kind(n_envs=2, rollout_steps=3, batch_size=6, smallest_cost=SMALLEST, gae_lambda=0.7)
    buffer = make_learner(recipe, params, 0).rollout_buffer
    wrong, last = values_of(TO_COME / 3), values_of(LAST)
    buffer.rewards, buffer.values = -COSTS, wrong
    buffer.episode_starts = np.array([[0, 0], [0, 0], [0, 1]])
    buffer.compute_returns_and_advantage(torch.tensor(last)[:, None], np.array([False, False]))
    expected = relative_advantages(COSTS, wrong, last, GOES_ON, 0.7, SMALLEST)
    np.testing.assert_allclose(buffer.advantages, expected)
    np.testing.assert_allclose(buffer.returns, expected + wrong)


def test_whole_sequences_give_what_single_steps_give(params, monkeypatch):
    """With trials of 10 steps in rollouts of 7, so that sequences begin within trials, too."""
    recipe = RecurrentPPORecipe(
        total_steps=56, n_envs=4, rollout_steps=7, batch_size=28, lstm_size=5, n_epochs=1
    )
    learner = make_learner(recipe, params, 0)
    learner.learn(recipe.total_steps)
    batch = next(learner.rollout_buffer.get(recipe.batch_size))
    assert 0 < batch.episode_starts.sum() < batch.lstm_states.pi[0].shape[1]

    def evaluated():
        values, log_probs, _ = learner.policy.evaluate_actions(
            batch.observations, batch.actions, batch.lstm_states, batch.episode_starts
        )
        learner.policy.zero_grad()
        log_probs[batch.mask > 0].sum().backward()
        slopes = [each.grad.clone() for each in learner.policy.lstm_actor.parameters()]
        return [values.detach(), log_probs.detach()[batch.mask > 0], *slopes]

    whole = evaluated()
    by_steps = RecurrentActorCriticPolicy._process_sequence
    monkeypatch.setattr(SequencePolicy, "_process_sequence", staticmethod(by_steps))
    for one, other in zip(whole, evaluated(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def test_critics_of_sac_learn_the_logarithm_of_the_cost_to_come(params):
    recipe = SACRecipe(n_envs=2, hidden_sizes=(8,), smallest_cost=SMALLEST)
    learner = make_learner(recipe, params, 0)
    learner.log_ent_coef = torch.tensor([-2.0])
    to_come = torch.tensor([[0.3], [0.7]])
    log_prob = torch.tensor([1.5, -0.5])
    learner.actor.action_log_prob = lambda observations: (observations[:, :2], log_prob)
    # Two critics, whose mean counts.
    learner.policy.critic_target.forward = lambda observations, actions: tuple(
        -torch.log(to_come + SMALLEST) + shift for shift in (-0.4, 0.4)
    )
    costs, ends = torch.tensor([[0.1], [0.2]]), torch.tensor([[0.0], [1.0]])
    found = learner.target(torch.zeros(2, 9), ends, costs)
    soft = (0.3 + SMALLEST) * np.exp(np.exp(-2.0) * 1.5) - SMALLEST
    np.testing.assert_allclose(found[:, 0], values_of(np.array([0.1 + soft, 0.2])), rtol=1e-5)


def test_target_critics_follow_and_the_memory_is_as_long_as_said(params):
    recipe = SACRecipe(n_envs=2, hidden_sizes=(8,), memory=40, warmup_steps=20, tau=0.25)
    learner = make_learner(recipe, params, 0)
    learner.learn(20)
    before = [each.clone() for each in learner.critic_target.parameters()]
    learner.train(1, 8)
    leading = [*learner.critic.parameters()]
    for was, now, leads in zip(before, learner.critic_target.parameters(), leading, strict=True):
        np.testing.assert_allclose(now.detach(), (0.75 * was + 0.25 * leads).detach(), atol=1e-6)
    learner.learn(60)
    assert learner.replay_buffer.size() * recipe.n_envs == 40
