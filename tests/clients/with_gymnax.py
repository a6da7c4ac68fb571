"""gymnax: what its own tests ask of every environment, asked of every id, and its wrappers.

Nothing else has to be installed; ran with gymnax 1.0.1. With a folder of gymnax's repository, as
from `pip download --no-deps --no-binary gymnax gymnax`, its own test of every registered
environment runs on ours too:

python tests/clients/with_gymnax.py gymnax-1.0.1
"""

import subprocess
import sys

import gymnax
import jax
import jax.numpy as jnp
import numpy as np
from gymnax.wrappers import (
    FlattenObservationWrapper,
    GymnaxToGymWrapper,
    GymnaxToVectorGymWrapper,
    LegacyStepAPIWrapper,
    LogWrapper,
)

from fbx_env import make
from fbx_env.registration import IDS

KEY = jax.random.key(0)
SHORT = 4


def short(id):
    """The environment with trials of a few steps, and the state at the start of one."""
    env, params = gymnax.make(id)
    waits = dict.fromkeys(("hold_duration", "target_on_duration"), (0.0, float(params.dt)))
    _, params = make(id, max_steps_in_episode=SHORT, **(waits if "Delayed" in id else {}))
    return env, params, env.reset(KEY, params)[1]


def is_registered(id):
    assert id in gymnax.registered_envs
    env, params = gymnax.make(id)
    assert env == gymnax.make(id)[0]
    assert jax.tree.structure(params) == jax.tree.structure(env.default_params)


def resets_and_steps_when_jitted(id):
    env, params = gymnax.make(id)
    obs, state = jax.jit(env.reset)(KEY, params)
    action = env.action_space(params).sample(KEY)
    next_obs, next_state, reward, terminated, truncated, info = jax.jit(env.step)(
        KEY, state, action, params
    )
    assert obs.shape == next_obs.shape == info["final_observation"].shape
    assert reward.shape == terminated.shape == truncated.shape == ()
    assert {"terminated", "truncated", "discount"} <= info.keys()
    assert jax.tree.map(jnp.result_type, state) == jax.tree.map(jnp.result_type, next_state)
    assert jax.tree.map(jnp.shape, state) == jax.tree.map(jnp.shape, next_state)


def is_within_its_spaces(id):
    env, params = gymnax.make(id)
    obs, state = env.reset(KEY, params)
    for key in jax.random.split(KEY, 5):
        assert env.observation_space(params).contains(obs)
        assert env.state_space(params).contains(state)
        action = env.action_space(params).sample(key)
        assert env.action_space(params).contains(action)
        obs, state, *_ = env.step(key, state, action, params)


def equal_keys_give_equal_trials(id):
    env, params = gymnax.make(id)
    (one, _), (same, _), (other, _) = (
        env.reset(key, params) for key in (KEY, jax.random.key(0), jax.random.key(1))
    )
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def many_are_stepped_by_vmap(id):
    env, params, _ = short(id)
    keys = jax.random.split(KEY, 16)
    obs, states = jax.vmap(env.reset, (0, None))(keys, params)
    actions = jax.vmap(env.action_space(params).sample)(keys)
    ended = []
    for _ in range(SHORT + 1):
        obs, states, rewards, terminated, _, _ = jax.vmap(env.step, (0, 0, 0, None))(
            keys, states, actions, params
        )
        ended.append(terminated)
    assert obs.shape[0] == len(rewards) == 16
    assert np.sum(ended, 1).tolist() == [0] * (SHORT - 1) + [16, 0]


def a_trial_ends_and_the_next_begins(id):
    env, params, state = short(id)
    action = jnp.zeros(env.action_space(params).shape)
    for step in range(SHORT):
        obs, state, _, terminated, truncated, info = env.step(KEY, state, action, params)
        assert bool(terminated) == bool(info["terminated"]) == (step == SHORT - 1)
        assert not truncated
    assert state.time == 0
    assert info["discount"] == 0
    assert not np.array_equal(info["final_observation"], obs)


def transitions_have_gradients(id):
    env, params, state = short(id)
    assert env.supports_transition_gradients
    assert env.transition_gradients_enabled
    assert env.with_transition_gradients() == env
    # Within the limits of excitations, at which their gradient ends.
    action = jnp.full(env.action_space(params).shape, 0.3)
    for step in range(SHORT):

        def after(action, index, state=state):
            results = env.step(KEY, state, action, params)
            return results[index]["final_observation"] if index == 5 else results[index]

        by_reward = jax.grad(after)(action, 2)
        by_final = jax.jacrev(after)(action, 5)
        assert np.isfinite(by_reward).all()
        assert np.any(by_reward != 0)
        assert np.isfinite(by_final).all()
        if step == SHORT - 1:
            assert not np.any(jax.jacrev(after)(action, 0))
        state = env.step(KEY, state, action, params)[1]


def its_wrappers_take_it(id):
    env, params, _ = short(id)
    log = LogWrapper(FlattenObservationWrapper(env))
    obs, state = log.reset(KEY, params)
    action = jnp.zeros(env.action_space(params).shape)
    for _ in range(SHORT):
        _, state, _, _, _, info = log.step(KEY, state, action, params)
    assert info["returned_episode"]
    assert info["returned_episode_lengths"] == SHORT
    _, state = LegacyStepAPIWrapper(env).reset(KEY, params)
    assert len(LegacyStepAPIWrapper(env).step(KEY, state, action, params)) == 5
    single = GymnaxToGymWrapper(env, params, 0)
    assert single.reset(seed=5)[0].shape == obs.shape
    assert single.step(single.action_space.sample())[0].shape == obs.shape
    many = GymnaxToVectorGymWrapper(env, 4, params, 0)
    assert many.reset()[0].shape == (4, *obs.shape)
    assert many.step(many.action_space.sample())[1].shape == (4,)


def is_scanned_as_by_the_brax_wrapper_after_a_first_step(id):
    """The wrapper itself makes the info of a reset, in which the entries of ours are missing."""
    env, params, _ = short(id)
    obs, state = env.reset(KEY, params)
    flags = {"terminated": jnp.array(False), "truncated": jnp.array(False)}
    info = {**flags, "discount": jnp.array(1.0), "final_observation": obs}

    def step(carry, key):
        state, info = carry
        action = env.action_space(params).sample(key)
        _, state, reward, _, _, step_info = env.step(key, state, action, params)
        return (state, {**info, **step_info}), reward

    carry, _ = step((state, info), KEY)
    _, rewards = jax.lax.scan(step, carry, jax.random.split(KEY, 2 * SHORT))
    assert np.isfinite(rewards).all()


CHECKS = (
    is_registered,
    resets_and_steps_when_jitted,
    is_within_its_spaces,
    equal_keys_give_equal_trials,
    many_are_stepped_by_vmap,
    a_trial_ends_and_the_next_begins,
    transitions_have_gradients,
    its_wrappers_take_it,
    is_scanned_as_by_the_brax_wrapper_after_a_first_step,
)
CANNOT = """
Cannot pass: gymnax's test that a time limit is a truncation, as the horizon is part of our task,
and its end a termination; a scan under its Brax wrapper from the reset on, as the wrapper makes an
info without losses there (take one step before, as above); its visualiser, which knows its own
environments by name.
"""

for id in IDS:
    for check in CHECKS:
        check(id)
    print(f"{id}: {len(CHECKS)} checks pass", flush=True)
if sys.argv[1:]:
    own = ["-m", "pytest", "-q", "-p", "fbx_env", "tests/test_reproduction_matrix.py"]
    subprocess.run([sys.executable, *own, "-k", " or ".join(IDS)], cwd=sys.argv[1], check=True)
print(CANNOT)
