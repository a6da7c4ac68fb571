"""Taking one out of a group."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents import GRUPolicy
from fbx_env import make, rollout, tree_take


def test_a_replicate_is_the_model_its_key_makes(key):
    keys = jax.random.split(key, 3)
    models = eqx.filter_vmap(lambda key: GRUPolicy(8, 2, 5, key=key))(keys)
    assert eqx.tree_equal(tree_take(models, 1), GRUPolicy(8, 2, 5, key=keys[1]))
    assert eqx.tree_equal(tree_take(models, -1), tree_take(models, 2))


def test_a_trial_of_a_trajectory_is_that_trial_alone(key):
    env, params = make(max_steps_in_episode=6)
    policy = GRUPolicy(8, 2, 5, key=key)
    trials = params.task.validation_trials()
    together = tree_take(rollout(env, params, policy, trials, key), 2)
    alone = rollout(env, params, policy, tree_take(trials, 2), key)
    assert jax.tree.structure(together) == jax.tree.structure(alone)
    for one, other in zip(jax.tree.leaves(together), jax.tree.leaves(alone), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_mistakes_are_named(key):
    with pytest.raises(ValueError, match="the leading axes here have lengths 10, 2, none"):
        tree_take({"a": jnp.zeros((10, 2)), "b": jnp.zeros(2), "c": jnp.zeros(())}, 0)
    with pytest.raises(ValueError, match="index must be at most 2, got 3"):
        tree_take(jnp.zeros((3, 2)), 3)
    with pytest.raises(TypeError, match="index must be a whole number, got 0.0"):
        tree_take(jnp.zeros((3, 2)), 0.0)
    with pytest.raises(ValueError, match="tree must be a group"):
        tree_take("nothing", 0)
