"""The main paths of the environment under settings of JAX that find fault with careless code."""

import contextlib

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from ids import EACH_PART

from fbx_env import ReachGymEnv, ReachVectorEnv, make, rollout


class Idle:
    """Commands nothing; a policy without numbers."""

    def __init__(self, n_controls):
        self.n_controls = n_controls

    def __call__(self, obs, carry, *, key=None):
        return jnp.zeros(self.n_controls), carry

    def initial_carry(self):
        return None

    def activity(self, carry):
        return jnp.zeros(0)


jax.tree_util.register_pytree_node(
    Idle, lambda idle: ((), idle.n_controls), lambda n_controls, _: Idle(n_controls)
)

EVERYTHING = {
    "max_steps_in_episode": 200,
    "motor_delay": 1,
    "sensory_delay": 1,
    "sensory_noise": 0.1,
    "motor_noise": 0.1,
    "signal_noise": 0.1,
    "time_in_observation": True,
}


def go_through(id, n_steps=3):
    """Reset, step, step with autoreset, and whole trials; one trial and many."""
    env, params = make(id, **EVERYTHING)
    key = jax.random.key(0)
    _, state = env.reset(key, params)
    action = jnp.ones(state.control.shape)
    results = [env.step(key, state, action, params)[0]]
    results.append(env.step(key, state.replace(time=state.time + 199), action, params)[0])
    single, many = ReachGymEnv(env_id=id, **EVERYTHING), ReachVectorEnv(2, env_id=id, **EVERYTHING)
    start = {"start": params.task.validation_trials().start[0]}
    results.append(single.reset(seed=0, options=start)[0])
    results.append(many.reset(seed=0)[0])
    for _ in range(n_steps):
        results.append(single.step(np.ones(single.action_space.shape))[0])
        results.append(many.step(np.ones(many.action_space.shape))[0])
    trial = params.task.sample(key)
    results.append(rollout(env, params, Idle(len(action)), trial, key).reward)
    for result in results:
        assert np.isfinite(np.asarray(result)).all()
    return [np.asarray(result) for result in results]


@contextlib.contextmanager
def without_jit():
    """Annotations are of arrays of JAX, and without ``jit`` those of NumPy stay what they are."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    with jax.disable_jit():
        yield
    jaxtyping.config.update("jaxtyping_disable", before)


FLAGS = {
    "strict promotion": lambda: jax.numpy_dtype_promotion("strict"),
    "rank promotion": lambda: jax.numpy_rank_promotion("raise"),
    "NaN": lambda: jax.debug_nans(True),
    "leaks": lambda: jax.checking_leaks(),
    "double precision": lambda: jax.enable_x64(True),
    "no jit": without_jit,
}


@pytest.mark.parametrize("flag", FLAGS)
def test_every_path_of_reaches_under_a_flag(flag):
    expected = go_through("PointMassReach-v0")
    with FLAGS[flag]():
        results = go_through("PointMassReach-v0")
    if flag != "double precision":
        for one, other in zip(results, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("id", EACH_PART[1:])
def test_every_other_id_with_strict_promotion(id):
    with jax.numpy_dtype_promotion("strict"):
        go_through(id, n_steps=1)
