"""Actors of reinforcement learners, against their own equations."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents import evaluate, load_model, save_model
from agents.policies import ActorPolicy
from fbx_env import make


def test_an_actor_without_memory_is_what_its_docstring_says(key):
    policy = ActorPolicy(9, 2, (7, 5), key=key)
    policy = eqx.tree_at(
        lambda policy: (
            *(policy.obs_mean, policy.obs_std, policy.obs_clip),
            *(policy.low, policy.high, policy.scale),
        ),
        policy,
        (
            *(jnp.full(9, 0.5), jnp.full(9, 2.0), jnp.array(10.0)),
            *(jnp.full(2, -0.3), jnp.array([0.3, 0.4]), jnp.array([4.0, 5.0])),
        ),
    )
    obs = jax.random.normal(key, (50, 9)).at[0].mul(1000)
    commands = jax.vmap(lambda obs: policy(obs, policy.initial_carry())[0])(obs)
    x = np.clip((np.asarray(obs) - 0.5) / 2.0, -10, 10)
    for layer in policy.layers:
        x = np.tanh(x @ layer.weight.T + layer.bias)
    x = x @ policy.readout.weight.T + policy.readout.bias
    expected = np.array([4, 5]) * np.clip(x, -0.3, [0.3, 0.4])
    np.testing.assert_allclose(commands, expected, atol=2e-5)
    assert np.abs(x).max() > 0.4
    assert policy.activity(policy.initial_carry()).shape == (0,)


def test_a_squashed_actor_stays_within_its_bound(key):
    policy = ActorPolicy(9, 2, (7,), activation="relu", squashed=True, key=key)
    large = eqx.tree_at(lambda policy: policy.readout.weight, policy, 100 * jnp.ones((2, 7)))
    command, _ = large(jnp.ones(9), large.initial_carry())
    np.testing.assert_allclose(jnp.abs(command), 1, rtol=1e-6)
    layer = policy.layers[0]
    x = np.maximum(layer.weight @ np.ones(9) + layer.bias, 0)
    expected = np.tanh(policy.readout.weight @ x + policy.readout.bias)
    np.testing.assert_allclose(policy(jnp.ones(9), policy.initial_carry())[0], expected, rtol=1e-5)
    excitations = eqx.tree_at(lambda policy: policy.low, policy, jnp.zeros(2))
    command, _ = excitations(jnp.ones(9), excitations.initial_carry())
    np.testing.assert_allclose(command, 0.5 + 0.5 * expected, rtol=1e-5)


def test_an_actor_with_memory_remembers_and_is_charged_for_its_activity(key):
    env, params = make(time_in_observation=True, max_steps_in_episode=10)
    policy = ActorPolicy(9, 2, (6,), lstm_size=4, key=key)
    trials = params.task.validation_trials()
    metrics, trajectory = evaluate(policy, env, params, trials, key=key)
    assert trajectory.activity.shape == (7, 10, 4)
    activity = float(jnp.square(trajectory.activity).sum((-2, -1)).mean())
    assert metrics["losses"]["hidden"] == pytest.approx(1e-5 * activity, rel=1e-5)
    _, carry = policy(jnp.ones(9), policy.initial_carry())
    again, _ = policy(jnp.ones(9), carry)
    assert not np.allclose(again, policy(jnp.ones(9), policy.initial_carry())[0])


@pytest.mark.parametrize(
    "arguments",
    [{"layer_sizes": (7, 5)}, {"layer_sizes": (), "lstm_size": 3}, {"layer_sizes": (4,)}],
)
@pytest.mark.parametrize("squashed", [False, True])
def test_it_is_saved_and_loaded_exactly(arguments, squashed, key, tmp_path):
    _, params = make(time_in_observation=True)
    policy = ActorPolicy(9, 2, **arguments, activation="relu", squashed=squashed, key=key)
    policy = eqx.tree_at(lambda policy: policy.obs_mean, policy, jnp.arange(9.0))
    save_model(tmp_path, policy, params)
    loaded, loaded_params = load_model(tmp_path)
    assert eqx.tree_equal(loaded, policy)
    assert loaded_params.time_in_observation


def test_an_unknown_activation_is_refused(key):
    with pytest.raises(ValueError, match="activation must be one of tanh, relu, got 'elu'"):
        ActorPolicy(9, 2, (4,), activation="elu", key=key)
