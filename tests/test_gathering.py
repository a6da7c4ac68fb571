"""Gradients of weights gathered over steps: the same numbers, and products after the loop."""

import equinox as eqx
import jax
import numpy as np
import pytest
from jax.extend.core.primitives import dot_general_p, scan_p

import fbx_env
from agents import ActivityCost, GRUPolicy, LSTMPolicy, MLPPolicy, RNNPolicy, WeightCost
from agents.bptt.gathering import MOST_TRIALS, gathered
from agents.objective import make_objective, mean_loss
from fbx_env import CurlField, SensoryChannel

COSTS = (ActivityCost(), WeightCost(weight=1e-3))

EXPERIMENTS = {
    "point mass": {"max_steps_in_episode": 12},
    "load and delay": {
        "max_steps_in_episode": 12,
        "loads": (CurlField(2.0),),
        "sensory": SensoryChannel(delay=2),
    },
    "delayed reach": {"id": "PointMassDelayedReach-v0"},
    "torque arm": {"id": "TwoLinkArmReach-v0", "max_steps_in_episode": 12},
}


def loss_of(policy, params, n_trials=4, rematerialise=False):
    """The loss of a policy as a function of its arrays, and these."""
    objective = make_objective(fbx_env.ReachEnv(), params, COSTS, rematerialise)
    keys = jax.random.split(jax.random.key(1), n_trials)
    trials = jax.vmap(params.task.sample)(keys)
    arrays, static = eqx.partition(policy, eqx.is_inexact_array)
    return lambda arrays: mean_loss(eqx.combine(arrays, static), objective, trials, keys), arrays


def make_policy(kind, params, key, **keywords):
    env = fbx_env.ReachEnv()
    n_seen = env.observation_space(params).shape[0]
    return kind(n_seen, len(params.plant.controls), 12, key=key, **keywords)


def dots_in_loops(function, *arguments):
    """How many products of matrices are in the bodies of all scans."""

    def scans(jaxpr):
        for each in jaxpr.eqns:
            if each.primitive is scan_p:
                yield each.params["jaxpr"].jaxpr
            for inner in each.params.values():
                if hasattr(inner, "jaxpr"):
                    yield from scans(inner.jaxpr)

    bodies = scans(jax.make_jaxpr(function)(*arguments).jaxpr)
    products = (each for body in bodies for each in body.eqns if each.primitive is dot_general_p)
    return sum(each.outvars[0].aval.ndim == 2 for each in products)


@pytest.mark.parametrize("kind", [GRUPolicy, LSTMPolicy, RNNPolicy, MLPPolicy])
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_the_loss_and_its_gradient_are_those_of_the_function_itself(kind, experiment, key):
    params = fbx_env.make(**EXPERIMENTS[experiment])[1]
    loss, arrays = loss_of(make_policy(kind, params, key), params)
    (total, terms), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))(arrays)
    (same, by_term), other = jax.jit(jax.value_and_grad(gathered(loss), has_aux=True))(arrays)
    np.testing.assert_allclose(same, total, rtol=1e-5)
    jax.tree.map(lambda one, two: np.testing.assert_allclose(one, two, rtol=1e-5), terms, by_term)
    largest = max(abs(leaf).max() for leaf in jax.tree.leaves(gradient))
    for one, two in zip(jax.tree.leaves(gradient), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(two, one, rtol=1e-4, atol=1e-5 * largest)


def test_weights_before_the_loop_learn_with_those_in_it(key):
    params = fbx_env.make(max_steps_in_episode=12)[1]
    policy = make_policy(GRUPolicy, params, key, encoding_size=5)
    loss, arrays = loss_of(policy, params)
    gradient, other = (
        jax.grad(lambda arrays, f=function: f(arrays)[0])(arrays)
        for function in (loss, gathered(loss))
    )
    for one, two in zip(jax.tree.leaves(gradient), jax.tree.leaves(other), strict=True):
        assert abs(one).max() > 0
        np.testing.assert_allclose(two, one, rtol=1e-3, atol=1e-6)


def test_replicates_have_gradients_of_their_own(key):
    params = fbx_env.make(max_steps_in_episode=12)[1]
    policies = eqx.filter_vmap(lambda key: make_policy(GRUPolicy, params, key))(
        jax.random.split(key, 3)
    )
    loss, arrays = loss_of(policies, params)
    together = jax.vmap(jax.grad(lambda arrays: gathered(loss)(arrays)[0]))(arrays)
    for at in range(3):
        alone = jax.grad(lambda arrays: loss(arrays)[0])(fbx_env.tree_take(arrays, at))
        for one, two in zip(
            jax.tree.leaves(alone), jax.tree.leaves(fbx_env.tree_take(together, at)), strict=True
        ):
            np.testing.assert_allclose(two, one, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("n_trials", "n_left"), [(4, 3 + 3), (MOST_TRIALS, 3 + 3), (MOST_TRIALS + 1, 3 + 3 + 3)]
)
def test_gradients_of_weights_leave_the_loop_of_few_trials(n_trials, n_left, key):
    """A network has three matrices: each has a product forward, one backward, one for itself."""
    params = fbx_env.make(max_steps_in_episode=12)[1]
    loss, arrays = loss_of(make_policy(GRUPolicy, params, key), params, n_trials)
    gradient = jax.grad(lambda arrays: gathered(loss)(arrays)[0])
    assert dots_in_loops(gradient, arrays) == n_left
    assert dots_in_loops(jax.grad(lambda arrays: loss(arrays)[0]), arrays) == 3 + 3 + 3


def test_steps_that_are_computed_anew_keep_nothing_more(key):
    params = fbx_env.make(max_steps_in_episode=12)[1]
    loss, arrays = loss_of(make_policy(GRUPolicy, params, key), params, 4, rematerialise=True)

    def memory(function):
        gradient = jax.jit(jax.grad(lambda arrays: function(arrays)[0]))
        return gradient.lower(arrays).compile().memory_analysis().temp_size_in_bytes

    assert memory(gathered(loss)) <= memory(loss)
