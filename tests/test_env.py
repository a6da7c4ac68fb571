"""The environment as gymnax and JAX see it."""

import dataclasses
import subprocess
import sys

import gymnax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnax.experimental import RolloutWrapper
from gymnax.wrappers import LogWrapper
from ids import EACH_PART

from fbx_env import ReachEnv, ReachParams, Trial, make, tree_take

pytestmark = pytest.mark.optimised

COSTLY = {"sensory_delay": 2, "motor_delay": 1, "sensory_noise": 0.1, "signal_noise": 0.3}


@pytest.fixture(params=[{}, {**COSTLY, "time_in_observation": True}], ids=["plain", "everything"])
def experiment(request):
    return make(max_steps_in_episode=5, **request.param)


def shapes(tree):
    return [(leaf.shape, leaf.dtype, leaf.weak_type) for leaf in jax.tree.leaves(tree)]


def test_reset_and_step_have_the_same_types(experiment, key):
    env, params = experiment
    obs, state = env.reset(key, params)
    next_obs, next_state, reward, terminated, truncated, _ = env.step(
        key, state, jnp.zeros(2), params
    )
    assert shapes((obs, state)) == shapes((next_obs, next_state))
    assert jax.tree.structure(state) == jax.tree.structure(next_state)
    assert (reward.shape, reward.dtype, reward.weak_type) == ((), jnp.float32, False)
    assert terminated.dtype == truncated.dtype == bool
    assert env.observation_space(params).shape == obs.shape


def test_observation_in_order(key):
    env, params = make(time_in_observation=True, max_steps_in_episode=4)
    obs, state = env.reset_trial(key, Trial(start=(1, 2), goal=(3, 4)), params)
    assert obs.tolist() == [3, 4, 0, 0, 1, 2, 0, 0, 0]
    obs, *_ = env.step_env(key, state, jnp.array([2.0, -2.0]), params)
    np.testing.assert_allclose(obs, [3, 4, 0, 0, 1, 2, 0.1, -0.1, 0.25], rtol=1e-6)


def test_reward_is_minus_the_losses(experiment, key):
    env, params = experiment
    _, state = env.reset(key, params)
    _, _, reward, _, _, info = env.step(key, state, jnp.ones(2), params)
    assert set(info["losses"]) == {"position", "final_velocity", "command"}
    np.testing.assert_allclose(reward, -sum(info["losses"].values()), rtol=1e-6)


def test_a_trial_terminates_after_its_steps_and_a_new_one_starts(experiment, key):
    env, params = experiment
    obs, state = env.reset(key, params)
    for step in range(5):
        obs, state, _, terminated, truncated, info = env.step(key, state, jnp.ones(2), params)
        assert bool(terminated) == (step == 4)
        assert not truncated
    assert state.time == 0
    assert not np.array_equal(obs, info["final_observation"])
    np.testing.assert_array_equal(state.plant.vel, 0)


def test_environments_out_of_step_go_on_as_they_would_alone(experiment, key):
    """Under one vmap, and one within another; some have ended and some have not."""
    env, params = experiment
    keys = jax.random.split(key, 6)
    _, states = jax.vmap(env.reset, (0, None))(keys, params)
    states = states.replace(time=jnp.array([4, 0, 4, 1, 2, 4], jnp.int32))
    actions = jax.random.normal(key, (6, 2))

    def step(key, state, action):
        return env.step(key, state, action, params)

    alone = [
        step(keys[index], jax.tree.map(lambda leaf: leaf[index], states), actions[index])  # noqa: B023
        for index in range(6)
    ]
    expected = jax.tree.map(lambda *leaves: jnp.stack(leaves), *alone)
    together = jax.vmap(step)(keys, states, actions)
    nested = jax.tree.map(lambda leaf: leaf.reshape(2, 3, *leaf.shape[1:]), (keys, states, actions))
    within = jax.vmap(jax.vmap(step))(*nested)
    flat = jax.tree.map(lambda leaf: leaf.reshape(6, *leaf.shape[2:]), within)
    for results in (together, flat):
        jax.tree.map(lambda *pair: np.testing.assert_allclose(*pair, 1e-6, 1e-6), results, expected)
    assert expected[1].time.tolist() == [0, 1, 0, 2, 3, 0]


def test_new_trials_are_drawn_on_a_condition_however_deep_the_vmap(key):
    """Under ``vmap``, JAX turns a condition that differs between its entries into a choice."""
    env, params = make()
    keys = jax.random.split(key, (2, 3))
    step, reset = env.step, env.reset
    for _ in range(2):
        step, reset = jax.vmap(step, (0, 0, 0, None)), jax.vmap(reset, (0, None))
    _, states = reset(keys, params)
    program = jax.make_jaxpr(step)(keys, states, jnp.zeros((2, 3, 2)), params)
    assert str(program).count("cond[") == 1


def test_a_gradient_passes_a_step_but_not_into_the_next_trial(key):
    env, params = make(max_steps_in_episode=5)
    _, state = env.reset(key, params)

    def position_after(action, params, time):
        state_then = state.replace(time=jnp.asarray(time, jnp.int32))
        keys = jax.random.split(key, 2)
        many = jax.vmap(lambda key: env.step(key, state_then, action, params)[1].plant.vel)
        return many(keys).sum()

    by_action, by_params = jax.grad(position_after, argnums=(0, 1), allow_int=True)(
        jnp.ones(2), params, 1
    )
    assert (by_action != 0).all()
    assert by_params.plant.mass != 0
    by_action, by_params = jax.grad(position_after, argnums=(0, 1), allow_int=True)(
        jnp.ones(2), params, 4
    )
    assert not by_action.any()
    assert not any(leaf.any() for leaf in jax.tree.leaves(by_params))


def test_the_time_of_a_state_is_set_by_a_plain_number(key):
    env, params = make()
    _, state = env.reset(key, params)
    later = state.replace(time=3)
    assert shapes(later) == shapes(state)
    _, after, _, _, info = env.step_env(key, later, jnp.zeros(2), params)
    assert after.time == 4
    off = jnp.sum(jnp.square(state.plant.pos - state.trial.goal))
    np.testing.assert_allclose(info["losses"]["position"], (4 / 99) ** 6 * off, rtol=1e-5)


def test_the_final_velocity_is_charged_once(key):
    env, params = make(max_steps_in_episode=3)
    _, state = env.reset_trial(key, Trial(start=(0, 0), goal=(1, 0)), params)
    costs = []
    for _ in range(3):
        _, state, _, _, info = env.step_env(key, state, jnp.ones(2), params)
        costs.append(float(info["losses"]["final_velocity"]))
    np.testing.assert_allclose(costs, [0, 0, 2 * 0.15**2], rtol=1e-6)


def test_equal_envs_compile_once(key):
    params = ReachParams(max_steps_in_episode=7)
    before = ReachEnv.step._cache_size()
    for env in (ReachEnv(), ReachEnv(), ReachEnv().with_transition_gradients()):
        _, state = env.reset(key, params)
        for mass in (1.0, 2.0):
            heavier = params.replace(plant=params.plant.replace(mass=mass))
            env.step(key, state, jnp.zeros(2), heavier)
    assert ReachEnv.step._cache_size() == before + 1
    assert ReachEnv() == ReachEnv().with_transition_gradients()
    assert hash(ReachEnv()) == hash(ReachEnv())
    assert type("OtherEnv", (ReachEnv,), {})() != ReachEnv()


def test_works_under_vmap_over_keys_states_actions_and_any_float(experiment, key):
    env, params = experiment
    leaves, structure = jax.tree.flatten(params)
    each = [
        jax.tree.unflatten(structure, [*leaves[:index], leaf * factor, *leaves[index + 1 :]])
        for index, leaf in enumerate(leaves)
        for factor in (1.0, 1.5, 2.0)
    ]
    keys = jax.random.split(key, len(each))
    _, states = jax.vmap(env.reset, (0, None))(keys, params)
    actions = jax.random.normal(key, (len(each), 2))
    together = jax.vmap(env.step)(
        keys, states, actions, jax.tree.map(lambda *leaf: jnp.stack(leaf), *each)
    )
    for trial, single in enumerate(each):
        alone = env.step(keys[trial], tree_take(states, trial), actions[trial], single)
        for one, many in zip(jax.tree.leaves(alone), jax.tree.leaves(together), strict=True):
            np.testing.assert_allclose(one, many[trial], rtol=2e-6, atol=1e-6)


def test_works_under_vmap_over_one_float_alone(experiment, key):
    env, params = experiment
    _, state = env.reset(key, params)
    leaves, structure = jax.tree.flatten(params)
    mapped = [0 if leaf is params.plant.mass else None for leaf in leaves]
    assert mapped.count(0) == 1
    axes = jax.tree.unflatten(structure, mapped)
    masses = jnp.array([1.0, 1.5, 2.0])
    batched = jax.tree.unflatten(
        structure, [masses if at == 0 else leaf for at, leaf in zip(mapped, leaves, strict=True)]
    )
    together = jax.vmap(env.step, (None, None, None, axes))(key, state, jnp.ones(2), batched)
    for trial, mass in enumerate(masses):
        single = params.replace(plant=params.plant.replace(mass=mass))
        alone = env.step(key, state, jnp.ones(2), single)
        np.testing.assert_allclose(alone[0], together[0][trial], rtol=2e-6, atol=1e-6)


def test_both_kinds_of_key_give_the_same_numbers():
    env, params = make(sensory_noise=0.1)
    old, new = jax.random.PRNGKey(3), jax.random.key(3)
    np.testing.assert_array_equal(env.reset(old, params)[0], env.reset(new, params)[0])


def test_params_are_optional_as_in_gymnax(key):
    env, params = gymnax.make("PointMassReach-v0")
    assert env == ReachEnv()
    np.testing.assert_array_equal(env.reset(key)[0], env.reset(key, params)[0])
    assert env.action_space().shape == (2,)
    assert env.num_actions == 2


def test_gymnax_clients_run_a_whole_trial(key):
    rollout = RolloutWrapper(env_name="PointMassReach-v0")
    obs, action, reward, next_obs, done, total = rollout.single_rollout(key, None)
    assert obs.shape == next_obs.shape == (99, 8)
    assert action.shape == (99, 2)
    assert done.tolist() == [False] * 98 + [True]
    np.testing.assert_allclose(total[0], reward.sum(), rtol=1e-5)

    env = LogWrapper(ReachEnv())
    _, state = env.reset(key)
    for _ in range(99):
        _, state, _, _, _, info = env.step(key, state, jnp.zeros(2))
    assert info["returned_episode"]
    assert info["returned_episode_lengths"] == 99


def test_batches_and_wrong_actions_are_refused(key):
    env, params = make()
    with pytest.raises(ValueError, match=r"one trial, use jax.vmap .* got start of shape \(7, 2\)"):
        env.reset_trial(key, params.task.validation_trials(), params)
    _, state = env.reset(key, params)
    with pytest.raises(ValueError, match=r"action must have shape \(2,\), got \(\)"):
        env.step(key, state, 1.0, params)


@pytest.mark.parametrize("n_trials", [16, 200])
def test_alone_and_in_a_batch_every_bit_is_the_same(n_trials, key):
    weights = {"position": 0.7, "final_velocity": 0.3, "command": 3e-3}
    plant = {"damping": 0.3, "mass": 1.7}
    env, params = make(max_steps_in_episode=8, loss_weights=weights, **plant, **COSTLY)
    keys = jax.random.split(key, n_trials)
    _, together = jax.vmap(env.reset, (0, None))(keys, params)
    step_together = jax.jit(jax.vmap(env.step, (0, 0, 0, None)))
    alone = [jax.tree.map(lambda leaf, i=i: leaf[i], together) for i in range(10)]
    for step in range(8):
        actions = 3 * jax.random.normal(jax.random.fold_in(key, step), (n_trials, 2))
        many = step_together(keys, together, actions, params)
        together = many[1]
        for trial, state in enumerate(alone):
            one = env.step(keys[trial], state, actions[trial], params)
            alone[trial] = one[1]
            for single, batch in zip(jax.tree.leaves(one), jax.tree.leaves(many), strict=True):
                np.testing.assert_array_equal(single, batch[trial])


@pytest.mark.parametrize("id", EACH_PART)
def test_gymnaxs_own_tests_of_every_environment(id, key):
    """What gymnax asks of each of its environments: spaces with and without params, and types."""
    env, params = gymnax.make(id)
    for space in (env.observation_space, env.action_space, env.state_space):
        assert type(space(params)) is type(space(None)) is type(space())
    obs, state = env.reset(key, params)
    contained = {field.name: getattr(state, field.name) for field in dataclasses.fields(state)}
    space = env.state_space(params)
    assert set(space.spaces) <= set(contained)
    for _ in range(3):
        assert env.observation_space(params).contains(obs)
        for name in ("time", "control"):
            assert space.spaces[name].contains(getattr(state, name))
        action = env.action_space(params).sample(key)
        obs, state, reward, terminated, truncated, info = env.step(key, state, action, params)
        assert jnp.shape(reward) == jnp.shape(terminated) == jnp.shape(truncated) == ()
        assert info["discount"] == 1
    assert env.name == "ReachEnv"
    assert env.num_actions == len(params.plant.controls)


def test_under_gymnaxs_brax_wrapper_trials_are_scanned_after_a_first_step(key):
    """The wrapper itself makes the info of a reset, in which the losses are missing."""
    env, params = make(max_steps_in_episode=3)
    obs, state = env.reset(key, params)
    flags = {"terminated": jnp.array(False), "truncated": jnp.array(False)}
    info = {**flags, "discount": jnp.array(1.0), "final_observation": obs}

    def step(carry, key):
        state, info = carry
        _, state, reward, *_, step_info = env.step(key, state, jnp.ones(2), params)
        return (state, {**info, **step_info}), reward

    carry, _ = step((state, info), key)
    (_, last), rewards = jax.lax.scan(step, carry, jax.random.split(key, 5))
    assert last["discount"] == 0
    np.testing.assert_allclose(-rewards[-1], sum(last["losses"].values()), rtol=1e-6)


SHARDED = """
import jax
jax.config.update("jax_num_cpu_devices", 2)
import jax.numpy as jnp, numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
from fbx_env import make

env, params = make(max_steps_in_episode=3, sensory_noise=0.1, motor_delay=1)
keys = jax.random.split(jax.random.key(0), 4)
_, states = jax.vmap(env.reset, (0, None))(keys, params)
states = states.replace(time=jnp.array([0, 2, 1, 2], jnp.int32))
step = jax.vmap(env.step, (0, 0, 0, None))
expected = step(keys, states, jnp.ones((4, 2)), params)
mesh = jax.make_mesh((2,), ("trials",), axis_types=(AxisType.Auto,))
sharded = jax.jit(jax.shard_map(step, mesh=mesh, in_specs=(P("trials"),) * 3 + (P(),),
                                out_specs=P("trials")))
given = jax.device_put((keys, states, jnp.ones((4, 2))), NamedSharding(mesh, P("trials")))
results = sharded(*given, jax.device_put(params, NamedSharding(mesh, P())))
jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, 1e-6, 1e-6), results, expected)
print("same")
"""


def test_in_shard_map_with_its_checks_as_without():
    shown = subprocess.run(
        [sys.executable, "-c", SHARDED], capture_output=True, text=True, check=True, timeout=300
    )
    assert shown.stdout == "same\n"
