"""The best known loss where the optimum is not known."""

from pathlib import Path

import jax
import numpy as np
import pytest

from agents import OpenLoopPolicy, OptimalPolicy, best_known_loss, evaluate, optimal_loss
from agents.optimum.reference import reference_loss
from agents.storage.runs import summary
from fbx_env import Trial, TwoLinkArm, make, rollout

DATA = Path(__file__).parent / "data"
TERMS = ("position", "final_velocity", "command")


def test_the_optimal_reaches_of_an_arm():
    """Against another implementation of plant and optimiser."""
    with np.load(DATA / "optimal_reach_torques_wu1e-05.npz") as file:
        reaches = {name: file[name][:2] for name in ("command", "goal", "hand_pos", "loss_terms")}
    with jax.enable_x64(True):
        trials = Trial(reaches["hand_pos"][:, 0], reaches["goal"])
    _, params = make(plant=TwoLinkArm(), dt=0.01, max_steps_in_episode=60)
    best = best_known_loss(params, trials, n_starts=2)
    assert best.kind == "best known"
    assert best.total == pytest.approx(reaches["loss_terms"].sum(1).mean(), rel=1e-5)
    assert best.n_agreed == best.n_starts == 2
    np.testing.assert_allclose(best.commands, reaches["command"], atol=1e-4)
    with pytest.raises(ValueError, match="the plant TwoLinkArm"):
        reference_loss(params, trials)


def test_where_the_optimum_is_known_it_is_found():
    _, params = make(max_steps_in_episode=20, motor_delay=1)
    trials = params.task.validation_trials()
    best, optimum = best_known_loss(params, trials, n_starts=2), optimal_loss(params, trials)
    assert best.total == pytest.approx(optimum.total, rel=1e-9)
    assert best.peak_command == pytest.approx(optimum.peak_command, rel=1e-6)
    assert best.n_agreed == 2
    assert reference_loss(params, trials, n_starts=2) == optimum


def test_bounds_are_kept():
    _, params = make(max_steps_in_episode=20, dt=0.2, max_force=0.4)
    trial = Trial((0.0, 0.0), (0.5, 0.1))
    best = reference_loss(params, trial, n_starts=2)
    assert best.kind == "best known"
    assert np.abs(best.commands).max() == pytest.approx(0.4)
    assert best.n_agreed == 2
    # With less force than the optimum wants, it is more costly than the optimum without bounds.
    _, unbounded = make(max_steps_in_episode=20, dt=0.2, max_force=100.0)
    assert best.total > 1.01 * optimal_loss(unbounded, trial).total


def test_metrics_are_beside_the_best_known_loss_where_it_is_looked_for():
    env, params = make(max_steps_in_episode=8, dt=0.5, max_force=0.2)
    trial = Trial((0.0, 0.0), (0.5, 0.1))
    # Optimal where there is more force.
    policy = OptimalPolicy(params.replace(plant=params.plant.replace(max_force=100.0)))
    how = {"policy_costs": (), "key": jax.random.key(0)}
    metrics, _ = evaluate(policy, env, params, trial, **how)
    assert "no_optimum" in metrics
    assert not {"best_known", "ratio_to_best_known"} & set(metrics)
    metrics, _ = evaluate(policy, env, params, trial, n_starts=1, **how)
    best = metrics["best_known"]
    assert best["environment"] == pytest.approx(sum(best[name] for name in TERMS))
    ratio = metrics["losses"]["environment"] / best["environment"]
    assert metrics["ratio_to_best_known"] == pytest.approx(ratio)
    assert ratio > 1
    assert f"{ratio:.3f} times the best known" in summary(metrics)


def test_it_is_kept_in_a_folder_for_the_same_experiment(tmp_path, monkeypatch):
    _, params = make(max_steps_in_episode=8, dt=0.5, max_force=0.2)
    trial = Trial((0.0, 0.0), (0.5, 0.1))
    first = reference_loss(params, trial, n_starts=1, keep_in=tmp_path)

    def found_again(*arguments, **options):
        raise AssertionError("it was kept")

    monkeypatch.setattr("agents.optimum.reference.best_known_loss", found_again)
    again = reference_loss(params, trial, n_starts=1, keep_in=tmp_path)
    assert again[:-1] == first[:-1]
    np.testing.assert_array_equal(again.commands, first.commands)
    other = Trial((0.0, 0.0), (0.5, 0.2))
    path = tmp_path / "best_known.json"
    for asked, n_starts, content in (
        (other, 1, path.read_bytes()),
        (trial, 2, path.read_bytes()),
        (trial, 1, path.read_bytes()[:-9]),
        (trial, 1, b"[1]"),
    ):
        path.write_bytes(content)
        with pytest.raises(AssertionError, match="it was kept"):
            reference_loss(params, asked, n_starts=n_starts, keep_in=tmp_path)


def test_the_loss_of_the_best_known_reaches_of_a_muscle_arm_is_that_of_their_author():
    """So that a lower loss is a better reach, and not another problem."""
    with np.load(DATA / "optimal_reach_thelen.npz") as file:
        of = {name: file[name] for name in ("command", "goal", "hand_pos", "loss_terms")}
    env, params = make("MuscleArmReach-v0")
    for index in (0, 3):
        trial = Trial(of["hand_pos"][index, 0], of["goal"][index])
        policy = OpenLoopPolicy(of["command"][index])
        trajectory = rollout(env, params, policy, trial, jax.random.key(0))
        terms = [trajectory.losses[name].sum() for name in TERMS]
        np.testing.assert_allclose(terms, of["loss_terms"][index], rtol=2e-3, atol=1e-8)
        np.testing.assert_allclose(trajectory.pos, of["hand_pos"][index], atol=5e-5)


@pytest.mark.parametrize("overrides", [{"motor_noise": 0.1}, {"sensory_noise": 0.1}])
def test_noise_is_refused(overrides):
    _, params = make(**overrides)
    with pytest.raises(ValueError, match="params must have no noise"):
        best_known_loss(params, params.task.validation_trials())


def test_a_goal_out_of_reach_is_refused():
    _, params = make("TwoLinkArmReach-v0")
    with pytest.raises(ValueError, match="goal must be within the reach of TwoLinkArm, got .2.0"):
        best_known_loss(params, Trial((0.0, 0.4), (2.0, 0.0)))


@pytest.mark.slow
@pytest.mark.optimised
def test_a_reach_of_a_muscle_arm_is_better_than_the_best_of_another_search():
    """Whose author tried many starts, and says that it is not proved to be the best."""
    with np.load(DATA / "optimal_reach_thelen.npz") as file:
        of = {name: file[name][4] for name in ("goal", "hand_pos", "loss_terms")}
    env, params = make("MuscleArmReach-v0")
    with jax.enable_x64(True):
        trial = Trial(of["hand_pos"][0], of["goal"])
    best = best_known_loss(params, trial, n_starts=2)
    assert best.total < of["loss_terms"].sum()
    # It is what the environment itself makes of these commands.
    trial, policy = Trial(of["hand_pos"][0], of["goal"]), OpenLoopPolicy(best.commands[0])
    trajectory = rollout(env, params, policy, trial, jax.random.key(0))
    total = sum(trajectory.losses[name].sum() for name in TERMS)
    assert total == pytest.approx(best.total, rel=2e-3)
