"""Where networks come to rest."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import brentq

from agents import CustomCellPolicy, LSTMPolicy, MLPPolicy, OptimalPolicy, RNNPolicy
from agents.analysis import fixed_points
from fbx_env import ClampUnits, ReachEnv, SilenceUnits, make, rollout

LEAK, WEIGHT = 0.4, 2.0


def reaches(policy, n_steps=6, n_trials=2):
    env, params = make(max_steps_in_episode=n_steps)
    trials = jax.tree.map(lambda leaf: leaf[:n_trials], params.task.validation_trials())
    return params, rollout(env, params, policy, trials, jax.random.key(0))


def bistable(key):
    """Two units that do not see each other, each with two stable places and one between."""
    policy = RNNPolicy(8, 2, 2, leak=LEAK, key=key)
    return eqx.tree_at(
        lambda policy: (policy.cell.weight_ih, policy.cell.weight_hh),
        policy,
        (jnp.zeros((2, 8)), WEIGHT * jnp.eye(2)),
    )


def test_the_fixed_points_of_a_known_network_are_all_found(key):
    policy = bistable(key)
    params, trajectory = reaches(policy, n_trials=1)
    trajectory = trajectory.replace(obs=jnp.ones_like(trajectory.obs))
    # From where it is, at 0, noise has to take it elsewhere.
    policy = eqx.tree_at(lambda policy: policy.cell.bias, policy, jnp.array([1e-3, -1e-3]))
    found = fixed_points(policy, params, trajectory, n_starts=200, spread=300.0, key=key)
    rest = [
        [brentq(lambda h, b=b: np.tanh(WEIGHT * h + b) - h, *ends, xtol=1e-14) for ends in brackets]
        for b, brackets in (
            (float(np.float32(1e-3)), [(-1.5, -0.5), (-0.1, 0.1), (0.5, 1.5)]),
            (-float(np.float32(1e-3)), [(-1.5, -0.5), (-0.1, 0.1), (0.5, 1.5)]),
        )
    ]
    wanted = np.stack(np.meshgrid(*rest, indexing="ij"), axis=-1).reshape(-1, 2)
    order = np.lexsort(np.round(found.activity, 6).T[::-1])
    np.testing.assert_allclose(found.activity[order], wanted, atol=1e-8)
    assert found.is_fixed.all()
    assert found.is_stable.sum() == 4
    assert found.n_starts.sum() == 200
    slopes = 1 - LEAK + LEAK * WEIGHT * (1 - found.activity**2)
    np.testing.assert_allclose(found.eigenvalues, -np.sort(-slopes), atol=1e-8)
    np.testing.assert_allclose(found.command, found.activity @ policy.readout.weight.T, atol=1e-6)
    frame = found.frame()
    assert sorted(frame.n_unstable) == [0] * 4 + [1] * 4 + [2]


class Creeping(eqx.Module):
    """A unit that has no fixed point, but is slowest at 0."""

    def __call__(self, inputs, hidden):
        return hidden + 0.01 + jnp.square(hidden)


def test_where_nothing_rests_the_slowest_point_is_found(key):
    policy = CustomCellPolicy(lambda *sizes, key: Creeping(), 8, 2, 1, key=key)
    found = fixed_points(policy, *reaches(policy), distance=1e-2, key=key)
    assert not found.is_fixed.any()
    np.testing.assert_allclose(found.activity, 0, atol=1e-3)
    np.testing.assert_allclose(found.speed, 0.01, rtol=1e-3)
    assert len(found.trial) == 2


def test_points_of_an_lstm_stay_with_the_input_that_was_held(key):
    policy = LSTMPolicy(8, 2, 5, key=key)
    params, trajectory = reaches(policy, n_trials=3)
    found = fixed_points(policy, params, trajectory, step=2, n_starts=4, key=key)
    assert found.is_fixed.all()
    assert set(found.trial) == {0, 1, 2}
    for trial, point in zip(found.trial, found.carry, strict=True):
        carry = tuple(jnp.asarray(part, float) for part in np.split(point, 2))
        command, after = policy(trajectory.obs[trial, 2], carry)
        np.testing.assert_allclose(jnp.concatenate(after), point, atol=1e-6)
        at = np.flatnonzero((found.carry == point).all(axis=1))[0]
        np.testing.assert_allclose(command, found.command[at], atol=1e-6)


def test_interventions_are_held(key):
    policy = LSTMPolicy(8, 2, 5, key=key)
    params, _ = reaches(policy)
    clamped = params.replace(interventions=(ClampUnits((1, 3), 0.4, onset=0.1),))
    trials = params.task.validation_trials()
    trajectory = rollout(ReachEnv(), clamped, policy, trials, key)
    found = fixed_points(policy, clamped, trajectory, n_starts=3, key=key)
    assert found.is_fixed.all()
    np.testing.assert_allclose(found.activity[:, [1, 3]], 0.4, atol=1e-7)
    # The dynamics of a step are those of the linearisation, too, where a trial comes to rest.
    before = fixed_points(policy, clamped, trajectory, step=0, n_starts=3, key=key)
    assert not np.isclose(before.activity[:, 1], 0.4, atol=1e-3).any()


def test_bad_requests_are_refused(key):
    policy = bistable(key)
    params, trajectory = reaches(policy)
    for change, message in (
        ({"step": 6}, r"step must be.*6"),
        ({"n_starts": 0}, r"n_starts must be.*0"),
        ({"spread": -1.0}, r"spread must be.*-1"),
        ({"distance": 0.0}, r"distance must be.*0"),
    ):
        with pytest.raises(ValueError, match=message):
            fixed_points(policy, params, trajectory, **change, key=key)
    with pytest.raises(TypeError, match="trajectory must be"):
        fixed_points(policy, params, policy, key=key)
    with pytest.raises(TypeError, match="policy must have"):
        fixed_points(None, params, trajectory, key=key)
    two = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), (policy, trajectory))
    with pytest.raises(ValueError, match="tree_take"):
        fixed_points(two[0], params, trajectory, key=key)
    with pytest.raises(ValueError, match="of one network.*got 2 leading axes"):
        fixed_points(policy, params, two[1], key=key)
    with pytest.raises(ValueError, match="other steps: 6, and not 7"):
        fixed_points(policy, params.replace(max_steps_in_episode=7), trajectory, key=key)
    silent = params.replace(interventions=(SilenceUnits((9,)),))
    with pytest.raises(ValueError, match="from 0 to 1.*got 9"):
        fixed_points(policy, silent, trajectory, key=key)
    with pytest.raises(ValueError, match="do not depend on its carry"):
        fixed_points(MLPPolicy(8, 2, 3, key=key), params, trajectory, key=key)
    with pytest.raises(ValueError, match="OptimalPolicy counts steps"):
        fixed_points(OptimalPolicy(params), params, trajectory, key=key)
