"""The best known loss where the optimum is not known."""

from pathlib import Path

import jax
import numpy as np
import pytest

from agents import best_known_loss, optimal_loss
from agents.optimum.reference import reference_loss
from fbx_env import Trial, TwoLinkArm, make

DATA = Path(__file__).parent / "data"


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


@pytest.mark.parametrize("overrides", [{"motor_noise": 0.1}, {"sensory_noise": 0.1}])
def test_noise_is_refused(overrides):
    _, params = make(**overrides)
    with pytest.raises(ValueError, match="params must have no noise"):
        best_known_loss(params, params.task.validation_trials())
