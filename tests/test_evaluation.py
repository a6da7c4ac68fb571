"""Metrics against what they are made of."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents import (
    ActivityCost,
    GRUPolicy,
    OptimalPolicy,
    evaluate,
    evaluate_replicates,
    evaluation,
    optimal_loss,
)
from agents.policies import ActorPolicy
from fbx_env import (
    ChoiceDraw,
    CurlField,
    Effector,
    LossTerm,
    ReachGymEnv,
    Task,
    Trial,
    make,
    tree_take,
)


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


def test_one_trial_is_evaluated_like_a_batch_of_one(trained, key):
    env, params = trained.params()
    one, _ = evaluate(trained.policy(), env, params, Trial((0, 0), (0.5, 0)), key=key)
    batch = Trial(jnp.zeros((1, 2)), jnp.array([[0.5, 0.0]]))
    many, _ = evaluate(trained.policy(), env, params, batch, key=key)
    assert one["losses"] == pytest.approx(many["losses"], rel=1e-5)
    assert one["endpoint_error"] == pytest.approx(many["endpoint_error"], rel=1e-3)
    assert one["ratio_to_optimum"] == pytest.approx(many["ratio_to_optimum"], rel=1e-5)


class Length(LossTerm):
    """The length of the command, which is no quadratic function."""

    name = "length"

    def cost(self, transition):
        return jnp.sqrt(jnp.sum(jnp.square(transition.command)) + 1e-3)


def test_without_an_optimum_the_reason_is_given(trained, key):
    env, params = trained.params()
    params = params.replace(loss=params.loss + Length())
    trials = Trial(jnp.zeros((2, 2)), jnp.ones((2, 2)))
    metrics, _ = evaluate(trained.policy(), env, params, trials, key=key)
    assert "length" in metrics["no_optimum"]
    assert "evaluate(..., n_starts=8)" in metrics["no_optimum"]
    assert "ratio_to_optimum" not in metrics


def test_drawn_numbers_are_those_of_the_optimum(trained, key):
    name = "loads.curl.strength"
    draws = (ChoiceDraw(name, (-1.0, 1.0)),)
    env, params = make(loads=(CurlField(1.0),), draws=draws, sensory_delay=5, motor_delay=1)
    trials = params.task.validation_trials()
    policy = trained.policy()
    metrics, trajectory = evaluate(policy, env, params, trials, key=key)
    expected = optimal_loss(params, trials, drawn=trajectory.drawn).total
    assert metrics["optimum"]["environment"] == pytest.approx(expected, rel=1e-9)
    two = jax.tree.map(lambda leaf: jnp.stack([leaf] * 2) if eqx.is_array(leaf) else leaf, policy)
    replicates = evaluate_replicates(two, env, params, trials, key=key)
    assert replicates["ratio_to_optimum"] == pytest.approx(metrics["ratio_to_optimum"], rel=1e-5)


def test_a_trial_that_asks_for_nothing_has_no_ratio(trained, key):
    env, params = trained.params()
    metrics, _ = evaluate(trained.policy(), env, params, Trial((0, 0), (0, 0)), key=key)
    assert metrics["no_optimum"] == "doing nothing costs nothing on these trials"


def test_losses_too_small_for_float32_have_no_ratio(trained, key):
    """Their squares are rounded to zero, which is no loss of zero."""
    env, params = trained.params()
    tiny = Trial(jnp.zeros((2, 2)), jnp.full((2, 2), 1e-22))
    resting = ActorPolicy(8, 2, (), key=key)
    resting = jax.tree.map(jnp.zeros_like, resting)
    resting = eqx.tree_at(lambda policy: policy.obs_std, resting, jnp.ones(8))
    metrics, _ = evaluate(resting, env, params, tiny, key=key)
    assert "ratio_to_optimum" not in metrics
    assert "float32" in metrics["no_optimum"] or "nothing" in metrics["no_optimum"]


class OneAside(Task):
    """The target is 0.1 m to the right of the goal."""

    def sample(self, key):
        return Trial(jnp.zeros(2), jax.random.uniform(key, (2,)))

    def validation_trials(self):
        return Trial(jnp.zeros((3, 2)), jnp.eye(3, 2))

    def target(self, trial, clock):
        return Effector(trial.goal + jnp.array([0.1, 0.0]), jnp.zeros(2))

    def cue(self, trial, clock):
        return {"goal_position": trial.goal, "goal_velocity": jnp.zeros(2)}


def test_the_endpoint_error_is_the_distance_to_the_target_at_the_end(key):
    env, params = make(task=OneAside(), max_steps_in_episode=9)
    policy = GRUPolicy(8, 2, 5, key=key)
    trials = params.task.validation_trials()
    metrics, trajectory = evaluate(policy, env, params, trials, key=key)
    stepped = ReachGymEnv(task=OneAside(), max_steps_in_episode=9)
    distances = []
    for goal in np.asarray(trials.goal):
        obs, _ = stepped.reset(seed=0, options={"start": (0, 0), "goal": goal})
        carry = policy.initial_carry()
        for _ in range(9):
            command, carry = policy(jnp.asarray(obs), carry)
            obs, *_, info = stepped.step(np.asarray(command))
        distances.append(info["distance"])
    assert metrics["endpoint_error"] == pytest.approx(np.mean(distances), rel=1e-4)
    to_goal = np.linalg.norm(trajectory.pos[:, -1] - trials.goal, axis=-1).mean()
    assert metrics["endpoint_error"] != pytest.approx(to_goal, rel=1e-2)


def test_costs_of_the_policy_are_reported_beside_the_environment(trained, key):
    env, params = trained.params()
    costs = (ActivityCost(weight=2.0),)
    trials = params.task.validation_trials()
    metrics, trajectory = evaluate(
        trained.policy(), env, params, trials, policy_costs=costs, key=key
    )
    losses = metrics["losses"]
    assert list(losses) == [*params.loss.names, "hidden", "total", "environment"]
    expected = 2 * np.square(trajectory.activity).sum((-2, -1)).mean()
    assert losses["hidden"] == pytest.approx(expected, rel=1e-5)
    assert losses["total"] == pytest.approx(losses["environment"] + losses["hidden"])
    bare, _ = evaluate(trained.policy(), env, params, trials, policy_costs=(), key=key)
    assert "hidden" not in bare["losses"]
    assert bare["ratio_to_optimum"] == metrics["ratio_to_optimum"]
    with pytest.raises(TypeError, match="policy_costs must be a tuple of PolicyCost, got 0.5"):
        evaluate(trained.policy(), env, params, trials, policy_costs=0.5, key=key)


class Model:
    """What every model of Stable-Baselines3 can do."""

    def predict(self, observation, deterministic=False):
        return np.zeros(2), None


def test_a_model_of_stable_baselines3_is_told_what_makes_it_a_policy(key):
    env, params = make(max_steps_in_episode=9)
    trials = params.task.validation_trials()
    with pytest.raises(TypeError, match=r"agents\.sb3\.actor\.actor_policy\(model\)"):
        evaluate(Model(), env, params, trials, key=key)


def test_the_optimum_is_computed_once_for_all_replicates(key, monkeypatch):
    env, params = make(max_steps_in_episode=9)
    policies = eqx.filter_vmap(lambda key: GRUPolicy(8, 2, 5, key=key))(jax.random.split(key, 3))
    calls = []
    reference_loss = evaluation.reference_loss

    def counted(*arguments, **options):
        calls.append(1)
        return reference_loss(*arguments, **options)

    monkeypatch.setattr(evaluation, "reference_loss", counted)
    evaluate_replicates(policies, env, params, params.task.validation_trials(), key=key)
    assert len(calls) == 1


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


def test_with_noise_a_ratio_is_one_draw_of_it_and_repeated_trials_give_the_mean(key):
    env, params = make(motor_noise=0.1, max_steps_in_episode=40)
    policy, trials = OptimalPolicy(params), params.task.validation_trials()

    def ratio(trials, key):
        return evaluate(policy, env, params, trials, key=key)[0]["ratio_to_optimum"]

    single = [ratio(trials, each) for each in jax.random.split(key, 8)]
    assert np.std(single) > 0.01
    often = jax.tree.map(lambda leaf: jnp.repeat(leaf, 200, axis=0), trials)
    assert ratio(often, key) == pytest.approx(1, abs=0.005)
