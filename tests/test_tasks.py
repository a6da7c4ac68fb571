"""Which trials there are."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbx_env import SimpleReaches, Trial


def test_trials_are_uniform_in_the_workspace(key):
    task = SimpleReaches(workspace=((-1.0, 0.0), (3.0, 0.5)))
    trials = jax.vmap(task.sample)(jax.random.split(key, 20_000))
    for points in (trials.start, trials.goal):
        unit = (np.asarray(points) - [-1, 0]) / [4, 0.5]
        assert unit.min() >= 0
        assert unit.max() <= 1
        np.testing.assert_allclose(unit.mean(0), 0.5, atol=0.01)
        np.testing.assert_allclose(unit.var(0), 1 / 12, atol=0.002)
    correlation = np.corrcoef(np.hstack([trials.start, trials.goal]).T) - np.eye(4)
    assert np.abs(correlation).max() < 0.03


def test_validation_trials_are_centre_out():
    trials = SimpleReaches().validation_trials()
    angles = 2 * np.pi * np.arange(7) / 7
    assert trials.start.shape == (7, 2)
    np.testing.assert_array_equal(trials.start, 0)
    expected = 0.5 * np.stack([np.cos(angles), np.sin(angles)], -1)
    np.testing.assert_allclose(trials.goal, expected, atol=1e-7)


def test_validation_grid_is_inside_the_workspace():
    task = SimpleReaches(
        workspace=((0.0, 0.0), (3.0, 6.0)), eval_grid_n=2, eval_n_directions=3, eval_distance=0.1
    )
    trials = task.validation_trials()
    starts = np.unique(np.asarray(trials.start), axis=0)
    np.testing.assert_allclose(starts, [[1, 2], [1, 4], [2, 2], [2, 4]], rtol=1e-6)
    distance = np.linalg.norm(np.asarray(trials.goal - trials.start), axis=-1)
    np.testing.assert_allclose(distance, 0.1, rtol=1e-5)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"eval_grid_n": 0}, "eval_grid_n must be at least 1, got 0"),
        ({"eval_n_directions": -1}, "eval_n_directions must be at least 1, got -1"),
        ({"eval_distance": 0.0}, "eval_distance must be finite and greater than 0, got 0.0"),
    ],
)
def test_validation_refuses_nonsense(kwargs, message):
    with pytest.raises(ValueError, match=message):
        SimpleReaches(**kwargs)


@pytest.mark.parametrize("workspace", [((1, 0), (0, 1)), ((0, 0), (0, 1)), ((0, 1), (1, 0))])
def test_workspace_low_is_below_high(workspace):
    with pytest.raises(ValueError, match="each low below its high, got"):
        SimpleReaches(workspace=workspace)


def test_trial_refuses_what_is_no_pair_of_points():
    with pytest.raises(ValueError, match="goal must be finite"):
        Trial(start=(0, 0), goal=(jnp.nan, 0))
    with pytest.raises(ValueError, match=r"start must have shape \(2,\)"):
        Trial(start=(0, 0, 0), goal=(0, 0))
    with pytest.raises(ValueError, match="must have the same shape"):
        Trial(start=(0, 0), goal=[(0, 0)])
