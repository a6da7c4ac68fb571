"""The loss of a policy: the environment's terms, and costs of the policy itself."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents import (
    ActivityCost,
    ActivityRateCost,
    BPTTConfig,
    GRUPolicy,
    PolicyCost,
    WeightCost,
)
from agents.objective import losses_by_term, make_objective, mean_loss
from fbx_env import make, rollout, tree_take


class EndSpeed(PolicyCost):
    """Squared speed at the end, as a cost that needs the trajectory of one trial."""

    name = "end_speed"

    def cost(self, policy, trajectory):
        assert trajectory.vel.ndim == 2
        return jnp.sum(jnp.square(trajectory.vel[-1]))


class Readout(PolicyCost):
    """Squared weights, as a cost that needs the policy."""

    name = "readout"

    def cost(self, policy, trajectory):
        return jnp.sum(jnp.square(policy.readout.weight))


class Position(EndSpeed):
    name = "position"


class Total(EndSpeed):
    name = "total"


class Nameless(EndSpeed):
    name = ""


class Vector(PolicyCost):
    name = "vector"

    def cost(self, policy, trajectory):
        return trajectory.vel[-1]


COSTS = (ActivityCost(weight=0.5), EndSpeed(), Readout(weight=2.0))


@pytest.fixture
def acting(key):
    env, params = make(max_steps_in_episode=5, motor_noise=0.1)
    policy = GRUPolicy(8, 2, 6, key=key)
    trials = params.task.validation_trials()
    return policy, env, params, trials, rollout(env, params, policy, trials, key)


def test_losses_are_means_over_trials_of_sums_over_steps(acting):
    policy, _, params, _, trajectory = acting
    losses = losses_by_term(policy, trajectory, COSTS)
    assert set(losses) == {*params.loss.names, "hidden", "end_speed", "readout"}
    for name in params.loss.names:
        np.testing.assert_allclose(losses[name], trajectory.losses[name].sum(1).mean(), rtol=1e-6)
    hidden = 0.5 * np.square(trajectory.activity).sum((1, 2)).mean()
    speed = np.square(trajectory.vel[:, -1]).sum(1).mean()
    np.testing.assert_allclose(losses["hidden"], hidden, rtol=1e-6)
    np.testing.assert_allclose(losses["end_speed"], speed, rtol=1e-6)
    np.testing.assert_allclose(
        losses["readout"], 2 * np.square(policy.readout.weight).sum(), rtol=1e-6
    )


def test_costs_of_rate_change_and_weights(acting):
    policy, _, params, _, trajectory = acting
    costs = (ActivityRateCost(weight=0.5), WeightCost(weight=2.0))
    losses = losses_by_term(policy, trajectory, costs)
    rates = np.diff(np.asarray(trajectory.activity), axis=1) / float(params.dt)
    np.testing.assert_allclose(
        losses["hidden_rate"], 0.5 * np.square(rates).sum((1, 2)).mean(), rtol=1e-5
    )
    matrices = (policy.cell.weight_ih, policy.cell.weight_hh, policy.readout.weight)
    expected = 2 * sum(np.square(matrix).sum() for matrix in matrices)
    np.testing.assert_allclose(losses["weights"], expected, rtol=1e-5)


def test_one_trial_and_several_leading_axes_will_do(acting):
    policy, _, _, _, trajectory = acting
    batch = losses_by_term(policy, trajectory, COSTS)
    each = [losses_by_term(policy, tree_take(trajectory, index), COSTS) for index in range(7)]
    twice = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), trajectory)
    for name, loss in batch.items():
        np.testing.assert_allclose(loss, np.mean([one[name] for one in each]), rtol=1e-5)
        np.testing.assert_allclose(loss, losses_by_term(policy, twice, COSTS)[name], rtol=1e-5)


def test_the_mean_loss_is_the_one_of_a_rollout(acting, key):
    policy, env, params, trials, trajectory = acting
    keys = jax.random.split(key, 7)
    objective = make_objective(env, params, COSTS)
    total, terms = eqx.filter_jit(mean_loss)(policy, objective, trials, keys)
    assert set(terms) == set(objective.names)
    for name, loss in losses_by_term(policy, trajectory, COSTS).items():
        np.testing.assert_allclose(terms[name], loss, rtol=1e-5)
    np.testing.assert_allclose(total, sum(terms.values()), rtol=1e-6)


def test_costs_that_cannot_be_are_refused(acting):
    policy, env, params, _, trajectory = acting
    with pytest.raises(TypeError, match="policy_costs must be a tuple of PolicyCost, got 1e-05"):
        BPTTConfig(policy_costs=1e-5)
    with pytest.raises(TypeError, match="each of policy_costs must be a PolicyCost, got 'hidden'"):
        BPTTConfig(policy_costs=("hidden",))
    with pytest.raises(ValueError, match="policy_costs must have another name, got hidden, hidden"):
        BPTTConfig(policy_costs=(ActivityCost(), ActivityCost()))
    with pytest.raises(ValueError, match="weight must be finite and at least 0, got -1"):
        ActivityCost(weight=-1.0)
    with pytest.raises(ValueError, match="cannot be named 'total'"):
        Total()
    with pytest.raises(TypeError, match="Nameless must define a class attribute 'name'"):
        Nameless()
    with pytest.raises(ValueError, match="must not have the name of a loss term, got position"):
        make_objective(env, params, (Position(),))
    with pytest.raises(ValueError, match=r"policy cost 'vector' must be one number.*\(2,\)"):
        losses_by_term(policy, trajectory, (Vector(),))
