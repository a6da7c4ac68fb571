"""One interface for every network."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents import GRUPolicy, RNNPolicy, make_policy
from agents.policies import POLICIES, LeakyRNNCell
from fbx_env import make, rollout


@pytest.mark.parametrize("encoding_size", [None, 5])
@pytest.mark.parametrize("kind", POLICIES)
def test_every_policy_keeps_the_interface(kind, encoding_size, key):
    env, params = make(max_steps_in_episode=4)
    policy = make_policy(kind, 8, 2, 6, encoding_size, key=key)
    start = policy.initial_carry()
    assert not any(leaf.any() for leaf in jax.tree.leaves(start))
    command, carry = policy(jnp.ones(8), start, key=key)
    assert command.shape == (2,)
    assert jax.tree.structure(carry) == jax.tree.structure(start)
    activity = policy.activity(carry)
    np.testing.assert_allclose(command, policy.readout(activity), rtol=1e-6)
    assert not policy.readout.bias.any()

    def loss(policy):
        trials = params.task.validation_trials()
        trajectory = rollout(env, params, policy, trials, key)
        assert trajectory.activity.shape == (7, 4, 6)
        return -trajectory.reward.mean()

    gradient = eqx.filter_grad(loss)(policy)
    moved = [leaf.any() for leaf in jax.tree.leaves(gradient)]
    assert all(moved), "every weight has an influence"


def test_gru_is_the_one_of_equinox_and_so_are_its_derivatives(key, double_precision):
    keys = jax.random.split(key, 4)
    policy = GRUPolicy(8, 2, 5, key=keys[0])
    assert isinstance(policy.cell, eqx.nn.GRUCell)
    assert policy.cell.weight_ih.shape == (15, 8)
    # Large drives, so that gates are at all places between open and closed.
    policy = jax.tree.map(lambda leaf: 5 * leaf + 1, policy)
    inputs, hidden = jax.random.normal(keys[1], (8,)), jax.random.normal(keys[2], (5,))
    direction = jax.random.normal(keys[3], (5,))

    def ours(cell, inputs, hidden):
        ours = eqx.tree_at(lambda policy: policy.cell, policy, cell)
        return direction @ ours.update(inputs, hidden)

    def theirs(cell, inputs, hidden):
        return direction @ cell(inputs, hidden)

    arguments = (policy.cell, inputs, hidden)
    derivatives = {
        "value": lambda function: function,
        "gradient by weights": eqx.filter_grad,
        "gradient": lambda function: jax.grad(function, argnums=(1, 2)),
        "forward": lambda function: jax.jacfwd(function, argnums=(1, 2)),
        "second": lambda function: jax.hessian(function, argnums=(1, 2)),
    }
    for name, derivative in derivatives.items():
        one, other = derivative(ours)(*arguments), derivative(theirs)(*arguments)
        for leaf, expected in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
            np.testing.assert_allclose(leaf, expected, rtol=1e-9, atol=1e-12, err_msg=name)


@pytest.mark.parametrize(("kind", "biases"), [("gru", (1.0, 1.5, 0.0)), ("lstm", (0, 1, 0, 0))])
def test_gates_begin_open_and_recurrent_weights_keep_lengths(kind, biases, key, double_precision):
    cell = make_policy(kind, 8, 2, 6, key=key).cell
    np.testing.assert_array_equal(cell.bias, np.repeat(biases, 6))
    gates = cell.weight_hh.reshape(len(biases), 6, 6)
    for gate in gates:
        np.testing.assert_allclose(gate @ gate.T, np.eye(6), atol=1e-12)
    # Gates are drawn apart from each other, and signs are as likely as each other.
    assert np.abs(gates[0] - gates[1]).max() > 0.1
    draws = [make_policy(kind, 8, 2, 6, key=each).cell for each in jax.random.split(key, 40)]
    assert abs(np.mean([draw.weight_hh[0, 0] > 0 for draw in draws]) - 0.5) < 0.25


def test_the_encoder_is_a_tanh_layer(key):
    policy = GRUPolicy(8, 2, 5, 3, key=key)
    obs = jnp.linspace(-1, 1, 8)
    encoded = jnp.tanh(policy.encoder.weight @ obs + policy.encoder.bias)
    _, hidden = policy(obs, jnp.zeros(5))
    np.testing.assert_allclose(hidden, policy.cell(encoded, jnp.zeros(5)), rtol=1e-5, atol=1e-7)


def test_only_the_mlp_forgets(key):
    for kind in POLICIES:
        policy = make_policy(kind, 8, 2, 6, key=key)
        fresh, carry = policy(jnp.ones(8), policy.initial_carry())
        later, _ = policy(jnp.ones(8), carry)
        assert np.array_equal(fresh, later) == (kind == "mlp")


def test_leaky_units_decay_with_their_leak(key):
    cell = LeakyRNNCell(1, 3, leak=0.2, key=key)
    silent = jax.tree.map(jnp.zeros_like, cell)
    np.testing.assert_allclose(silent(jnp.zeros(1), jnp.ones(3)), 0.8, rtol=1e-6)
    drive = cell.weight_ih @ jnp.ones(1) + cell.weight_hh @ jnp.ones(3)
    expected = 0.8 + 0.2 * jnp.tanh(drive)
    np.testing.assert_allclose(cell(jnp.ones(1), jnp.ones(3)), expected, rtol=1e-6)


def test_mistakes_are_named(key):
    with pytest.raises(ValueError, match="hidden_type 'gro'.*gru"):
        make_policy("gro", 8, 2, 5, key=key)
    with pytest.raises(TypeError, match="hidden_type .*got 3"):
        make_policy(3, 8, 2, 5, key=key)
    for size in ("obs_size", "action_size", "hidden_size", "encoding_size"):
        sizes = {"obs_size": 8, "action_size": 2, "hidden_size": 5, size: 10**18}
        with pytest.raises(ValueError, match=f"{size} must be at most 1000000, got {10**18}"):
            make_policy("gru", **sizes, key=key)
    with pytest.raises(ValueError, match="hidden_size must be at least 1, got 0"):
        GRUPolicy(8, 2, 0, key=key)
    with pytest.raises(TypeError, match="encoding_size must be a whole number, got 2.5"):
        GRUPolicy(8, 2, 5, 2.5, key=key)
    with pytest.raises(ValueError, match="leak must be greater than 0 and at most 1, got 0"):
        RNNPolicy(8, 2, 5, leak=0, key=key)
