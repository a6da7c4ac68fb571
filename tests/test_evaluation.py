"""Metrics against what they are made of."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents import GRUPolicy, evaluate, evaluate_replicates
from fbx_env import Trial, make, tree_take


def test_metrics_of_a_recorded_network(trained, key):
    env, params = trained.params()
    metrics, trajectory = evaluate(
        trained.policy(), env, params, params.task.validation_trials(), key=key
    )
    recorded = trained.arrays
    assert metrics["losses"]["total"] == pytest.approx(float(recorded["val_loss_total"]), rel=1e-4)
    hidden = float(recorded["val_loss_nn_hidden"])
    environment = float(recorded["val_loss_total"]) - hidden
    assert metrics["losses"]["environment"] == pytest.approx(environment, rel=1e-4)
    assert metrics["ratio_to_optimum"] == pytest.approx(environment / 1.498705e-4, rel=1e-4)
    error = np.hypot(*(recorded["val_pos"][:, -1] - recorded["val_goal"]).T).mean()
    assert metrics["endpoint_error"] == pytest.approx(error, rel=1e-3)
    speed = np.hypot(recorded["val_vel"][..., 0], recorded["val_vel"][..., 1]).max(-1).mean()
    assert metrics["peak_speed"] == pytest.approx(speed, rel=1e-5)
    assert trajectory.pos.shape == (7, 100, 2)


def test_one_trial_is_judged_like_a_batch_of_one(trained, key):
    env, params = trained.params()
    one, _ = evaluate(trained.policy(), env, params, Trial((0, 0), (0.5, 0)), key=key)
    batch = Trial(jnp.zeros((1, 2)), jnp.array([[0.5, 0.0]]))
    many, _ = evaluate(trained.policy(), env, params, batch, key=key)
    assert one["losses"] == pytest.approx(many["losses"], rel=1e-5)
    assert one["endpoint_error"] == pytest.approx(many["endpoint_error"], rel=1e-3)
    assert one["ratio_to_optimum"] == pytest.approx(many["ratio_to_optimum"], rel=1e-5)


def test_without_an_optimum_the_reason_is_given(trained, key):
    env, params = make(signal_noise=0.1)
    trials = Trial(jnp.zeros((2, 2)), jnp.ones((2, 2)))
    metrics, _ = evaluate(trained.policy(), env, params, trials, key=key)
    assert "signal-dependent noise" in metrics["no_optimum"]
    assert "ratio_to_optimum" not in metrics


def test_a_trial_that_asks_for_nothing_has_no_ratio(trained, key):
    env, params = trained.params()
    metrics, _ = evaluate(trained.policy(), env, params, Trial((0, 0), (0, 0)), key=key)
    assert metrics["no_optimum"] == "doing nothing costs nothing on these trials"


def test_metrics_of_replicates_are_those_of_each_and_their_mean(key):
    env, params = make(max_steps_in_episode=50)
    policies = eqx.filter_vmap(lambda key: GRUPolicy(8, 2, 5, key=key))(jax.random.split(key, 3))
    trials = params.task.validation_trials()
    metrics = evaluate_replicates(policies, env, params, trials, key=key)
    each = metrics["replicates"]
    assert len(each) == 3
    alone, _ = evaluate(tree_take(policies, 1), env, params, trials, key=key)
    assert each[1] == alone
    ratios = [one["ratio_to_optimum"] for one in each]
    assert len(set(ratios)) == 3
    assert metrics["ratio_to_optimum"] == pytest.approx(np.mean(ratios))
    assert metrics["losses"]["total"] == pytest.approx(
        np.mean([one["losses"]["total"] for one in each])
    )
