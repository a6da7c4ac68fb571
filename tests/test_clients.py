"""Other people's learners and tools train on the task, each through the entry meant for it.

The learners are run for seconds. What they reach is compared with doing nothing at all, so that a
test fails when rewards, ends or observations do not reach the learner as they should.
"""

import copy
import pickle

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnax.wrappers import LegacyStepAPIWrapper

from agents.sb3_vec_env import ReachVecEnv
from fbx_env import LegacyReachEnv, ReachEnv, ReachVectorEnv, make

TASK = {
    "max_steps_in_episode": 20,
    "dt": 0.1,
    "max_force": 2.0,
    "time_exponent": 1.0,
    "time_in_observation": True,
}


def mean_loss(act, n_trials=500):
    """The loss of a controller, from observations to commands, over fresh trials."""
    envs = ReachVectorEnv(n_trials, **TASK)
    obs, _ = envs.reset(seed=12345)
    total = np.zeros(n_trials)
    for _ in range(20):
        obs, rewards, *_ = envs.step(np.asarray(act(obs), np.float32))
        total -= rewards
    return total.mean()


@pytest.fixture(scope="module")
def idle():
    """The loss of doing nothing."""
    return mean_loss(lambda obs: np.zeros((len(obs), 2)))


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """So small networks only get slower with more, much so where tests run side by side."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


PPO_SETTINGS = {
    "n_steps": 20,
    "batch_size": 640,
    "n_epochs": 10,
    "learning_rate": 2e-3,
    "gamma": 0.99,
    "seed": 0,
}


@pytest.mark.clients
def test_ppo_of_stable_baselines3(idle):
    from stable_baselines3 import PPO
    from stable_baselines3.common.evaluation import evaluate_policy
    from stable_baselines3.common.vec_env import VecMonitor

    envs = VecMonitor(ReachVecEnv(128, **TASK))
    model = PPO("MlpPolicy", envs, policy_kwargs={"log_std_init": -1.0}, **PPO_SETTINGS)
    model.learn(25 * 128 * 20)
    assert mean_loss(lambda obs: model.predict(obs, deterministic=True)[0]) < 0.5 * idle
    assert len(model.ep_info_buffer) > 0
    mean, _ = evaluate_policy(model, envs, n_eval_episodes=128)
    assert -mean < 0.5 * idle


@pytest.mark.clients
def test_recurrent_ppo_of_sb3_contrib(idle):
    from sb3_contrib import RecurrentPPO
    from stable_baselines3.common.evaluation import evaluate_policy
    from stable_baselines3.common.vec_env import VecMonitor

    envs = VecMonitor(ReachVecEnv(128, sensory_delay=1, **TASK))
    keywords = {"log_std_init": -1.0, "lstm_hidden_size": 32}
    model = RecurrentPPO("MlpLstmPolicy", envs, policy_kwargs=keywords, **PPO_SETTINGS)
    model.learn(12 * 128 * 20)
    mean, _ = evaluate_policy(model, envs, n_eval_episodes=128)
    assert -mean < 0.8 * idle


@pytest.mark.clients
@pytest.mark.filterwarnings("ignore:jax.core.pytype_aval_mappings")  # TensorFlow Probability.
def test_ppo_of_sbx(idle):
    import sbx

    envs = ReachVecEnv(128, **TASK)
    keywords = {"log_std_init": -1.0}
    model = sbx.PPO("MlpPolicy", envs, policy_kwargs=keywords, **PPO_SETTINGS)
    model.learn(25 * 128 * 20)
    assert mean_loss(lambda obs: model.predict(obs, deterministic=True)[0]) < 0.5 * idle


@pytest.mark.clients
def test_ppo_of_rejax(idle):
    import rejax

    _, params = make(**TASK)
    algorithm = rejax.get_algo("ppo").create(
        env=LegacyReachEnv(),
        env_params=params,
        total_timesteps=25 * 128 * 20,
        eval_freq=25 * 128 * 20,
        num_envs=128,
        num_steps=20,
        num_epochs=10,
        num_minibatches=4,
        learning_rate=2e-3,
        gamma=0.99,
        ent_coef=0.0,
    )
    state, (lengths, returns) = jax.jit(algorithm.train)(jax.random.key(0))
    assert (lengths == 20).all()
    assert -returns[-1].mean() < -returns[0].mean()
    act = jax.vmap(algorithm.make_act(state), (0, None))
    assert mean_loss(lambda obs: act(jnp.asarray(obs), jax.random.key(1))) < 0.7 * idle


@pytest.mark.clients
def test_a_plain_loop_in_the_manner_of_cleanrl(idle):
    """Proximal policy optimisation over ``gymnasium.make_vec``, in plain PyTorch."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    n_envs, n_steps = 128, 21
    envs = gymnasium.make_vec("fbx_env:PointMassReach-v0", num_envs=n_envs, **TASK)

    def network(size):
        return nn.Sequential(
            nn.Linear(9, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, size)
        )

    actor, critic = network(2), network(1)
    log_std = nn.Parameter(torch.full((2,), -1.0))
    optimiser = torch.optim.Adam([*actor.parameters(), *critic.parameters(), log_std], lr=2e-3)

    def policy(obs):
        return torch.distributions.Normal(actor(obs), log_std.exp())

    obs = torch.as_tensor(envs.reset(seed=0)[0])
    was_end = torch.zeros(n_envs)
    for _ in range(25):
        steps = []
        for _ in range(n_steps):
            with torch.no_grad():
                action = policy(obs).sample()
                log_prob = policy(obs).log_prob(action).sum(-1)
            next_obs, reward, terminated, truncated, _ = envs.step(action.numpy())
            end = torch.as_tensor(terminated | truncated).float()
            # The step after an end only starts the next trial: nothing is to be learnt from it.
            counts = 1 - was_end
            steps.append((obs, action, log_prob, torch.as_tensor(reward), end, counts))
            obs, was_end = torch.as_tensor(next_obs), end
        all_obs, actions, log_probs, rewards, ends, counts = map(
            torch.stack, zip(*steps, strict=True)
        )
        with torch.no_grad():
            values = torch.cat([critic(all_obs).squeeze(-1), critic(obs).T])
        advantages, following = torch.zeros_like(rewards), torch.zeros(n_envs)
        for t in reversed(range(n_steps)):
            alive = 1 - ends[t]
            error = rewards[t] + 0.99 * values[t + 1] * alive - values[t]
            following = (error + 0.99 * 0.95 * alive * following) * counts[t]
            advantages[t] = following
        targets, used = advantages + values[:-1], counts.bool()
        scaled = (advantages - advantages[used].mean()) / advantages[used].std()
        for _ in range(20):
            ratio = (policy(all_obs).log_prob(actions).sum(-1) - log_probs).exp()
            gain = torch.minimum(ratio * scaled, ratio.clamp(0.8, 1.2) * scaled)
            value_error = (critic(all_obs).squeeze(-1) - targets) ** 2
            loss = (value_error - gain)[used].mean()
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_([*actor.parameters(), *critic.parameters()], 0.5)
            optimiser.step()

    with torch.no_grad():
        assert mean_loss(lambda obs: actor(torch.as_tensor(obs)).numpy()) < 0.5 * idle


@pytest.mark.parametrize("wrapped", [LegacyReachEnv(), LegacyStepAPIWrapper(ReachEnv())])
def test_five_values_for_learners_of_before(wrapped, key):
    """A loop as in PureJaxRL: autoreset within ``step``, ``done`` in the fourth place."""
    env, params = make(**TASK)
    obs, state = wrapped.reset(key, params)
    six_obs, six_state = env.reset(key, params)

    def step(carry, key):
        state, six_state = carry
        action = jax.random.normal(key, (2,))
        obs, state, reward, done, info = wrapped.step(key, state, action, params)
        six = env.step(key, six_state, action, params)
        return (state, six[1]), (obs, reward, done, *six[:1], *six[2:4], info["losses"])

    keys = jax.random.split(key, 45)
    _, results = jax.lax.scan(step, (state, six_state), keys)
    obs, rewards, done, six_obs, six_rewards, terminated, _ = results
    np.testing.assert_array_equal(obs, six_obs)
    np.testing.assert_array_equal(rewards, six_rewards)
    np.testing.assert_array_equal(done, terminated)
    assert np.flatnonzero(done).tolist() == [19, 39]


def test_the_legacy_environment_can_be_copied_and_compiles_once(key):
    env = LegacyReachEnv()
    copies = [copy.deepcopy(env), pickle.loads(pickle.dumps(env)), LegacyReachEnv()]
    _, params = make(max_steps_in_episode=23)
    _, state = env.reset(key, params)
    before = LegacyReachEnv.step._cache_size()
    for same in (env, *copies):
        assert same == env
        same.step(key, state, jnp.zeros(2), params)
    assert LegacyReachEnv.step._cache_size() == before + 1
    assert env.action_space(params).shape == (2,)
