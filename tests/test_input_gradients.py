"""How the loss depends on inputs to units."""

import jax
import numpy as np
import pytest
from conftest import load_reference

from agents import OptimalPolicy
from agents.analysis import input_gradients, linearise
from fbx_env import SilenceUnits, UnitInput, make, rollout


def test_gradients_are_differences_of_losses(key):
    recording = load_reference("delay1_trained")
    (env, params), policy = recording.params(), recording.policy()
    trials = jax.tree.map(lambda leaf: leaf[:3], params.task.validation_trials())
    slope = input_gradients(policy, env, params, trials, key=key)
    assert slope.shape == (50, 3)

    def loss(unit, current):
        driven = params.replace(interventions=(UnitInput((unit,), current),))
        return -np.asarray(rollout(env, driven, policy, trials, key).reward, float).sum(axis=1)

    step = 1e-3
    for unit in np.argsort(-np.abs(slope).mean(axis=1))[:3]:
        difference = (loss(int(unit), step) - loss(int(unit), -step)) / (2 * step)
        np.testing.assert_allclose(slope[unit], difference, rtol=0.05, atol=2e-5)


def test_units_that_are_silenced_do_not_matter(key):
    recording = load_reference("delay0_trained")
    (env, params), policy = recording.params(), recording.policy()
    silent = params.replace(interventions=(SilenceUnits((4, 9)),))
    trials = params.task.validation_trials()
    slope = input_gradients(policy, env, silent, trials, key=key)
    assert (slope[[4, 9]] == 0).all()
    assert (slope[5] != 0).all()


def test_linearisation_has_the_interventions_of_the_experiment():
    recording = load_reference("delay0_trained")
    (_, params), policy = recording.params(), recording.policy()
    params = params.replace(max_steps_in_episode=8)
    trials = params.task.validation_trials()
    silent = params.replace(interventions=(SilenceUnits((4,), onset=0.2),))
    linear = linearise(policy, silent, trials)
    carry = linear.parts.index("carry")
    assert not linear.jacobian[:, 4:, carry + 4].any()
    np.testing.assert_array_equal(
        linear.jacobian[:, :3], linearise(policy, params, trials).jacobian[:, :3]
    )


def test_a_controller_without_units_is_refused(key):
    env, params = make(max_steps_in_episode=8)
    with pytest.raises(ValueError, match="must have units, OptimalPolicy has none"):
        input_gradients(
            OptimalPolicy(params), env, params, params.task.validation_trials(), key=key
        )
