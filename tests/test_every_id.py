"""Every id through the checks of Gymnasium, Stable-Baselines3 and gymnax; each task with PPO."""

import warnings

import gymnasium
import gymnax
import jax
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnax.wrappers import FlattenObservationWrapper, LogWrapper
from stable_baselines3.common.env_checker import check_env as check_env_of_sb3

from agents.sb3_vec_env import ReachVecEnv
from fbx_env import ForcePulse, ReachVectorEnv
from fbx_env.registration import IDS

ABOUT_UNITS = ("infinity. This is probably too", "symmetric and normalized")
"""Observations have no bounds, and commands are in units: there is nothing else to warn of."""


@pytest.mark.slow
@pytest.mark.parametrize("id", IDS)
def test_the_checkers_of_gymnasium_and_sb3_warn_of_nothing_but_the_units(id):
    env = gymnasium.make(id).unwrapped
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(env, skip_render_check=True)
        check_env_of_sb3(env)
    messages = [str(warning.message) for warning in caught]
    assert [text for text in messages if not any(known in text for known in ABOUT_UNITS)] == []


@pytest.mark.parametrize("id", IDS)
def test_the_wrappers_of_gymnax_can_be_scanned(id, key):
    """What goes into a step comes out of it, and observations are those of the space."""
    env, params = gymnax.make(id)
    wrapped = LogWrapper(FlattenObservationWrapper(env))
    obs, state = jax.eval_shape(wrapped.reset, key, params)
    action = wrapped.action_space(params).sample(key)
    next_obs, next_state, *_ = jax.eval_shape(wrapped.step, key, state, action, params)
    assert obs.shape == next_obs.shape == wrapped.observation_space(params).shape
    assert jax.tree.structure(state) == jax.tree.structure(next_state)
    assert [leaf.dtype for leaf in jax.tree.leaves(state)] == [
        leaf.dtype for leaf in jax.tree.leaves(next_state)
    ]


SHORT = {"max_steps_in_episode": 20, "dt": 0.1, "max_force": 2.0, "time_in_observation": True}
WAITS = {"hold_duration": (0.1, 0.3), "target_on_duration": (0.2, 0.4), "catch_probability": 0.0}


@pytest.mark.clients
@pytest.mark.parametrize(
    ("id", "changes"),
    [
        ("PointMassDelayedReach-v0", {**WAITS, "time_exponent": 1.0}),
        ("PointMassHold-v0", {"loads": (ForcePulse((1.0, 0.0), onset=0.2),)}),
        ("PointMassTrack-v0", {"amplitude": (0.3,), "frequency": (0.5,)}),
    ],
)
def test_a_short_ppo_does_better_than_nothing(id, changes):
    import torch
    from stable_baselines3 import PPO

    experiment = {"env_id": id, **SHORT, **changes}

    def mean_loss(act):
        envs = ReachVectorEnv(300, **experiment)
        obs, _ = envs.reset(seed=12345)
        total = np.zeros(300)
        for _ in range(20):
            obs, rewards, *_ = envs.step(np.asarray(act(obs), np.float32))
            total -= rewards
        return total.mean()

    # So small networks only get slower with more threads.
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    settings = {"n_steps": 20, "batch_size": 1280, "learning_rate": 3e-3, "gamma": 0.99, "seed": 0}
    policy = {"log_std_init": -1.0}
    model = PPO("MlpPolicy", ReachVecEnv(128, **experiment), policy_kwargs=policy, **settings)
    model.learn(20 * 128 * 20)
    torch.set_num_threads(before)
    learned = mean_loss(lambda obs: model.predict(obs, deterministic=True)[0])
    assert learned < 0.7 * mean_loss(lambda obs: np.zeros((len(obs), 2)))
