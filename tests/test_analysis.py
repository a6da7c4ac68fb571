"""What is computed before it is drawn agrees with closed forms."""

import jax
import numpy as np
import pytest

from fbx_env import analysis


@pytest.fixture
def rng():
    return np.random.default_rng(5678)


def test_speed_is_the_length_of_velocity():
    np.testing.assert_array_equal(analysis.speed(np.array([[3.0, 4.0], [0.0, -2.0]])), [5.0, 2.0])


def test_directions_turn_counter_clockwise_from_the_x_axis():
    goal = np.array([[1, 0], [0, 2], [-1, 0], [0, -3], [0, 0], [1, -1e-9]])
    start = np.zeros_like(goal, float)
    quarter = np.pi / 2
    np.testing.assert_allclose(
        analysis.directions(start, goal), [0, quarter, 2 * quarter, 3 * quarter, 0, 0], atol=1e-4
    )
    np.testing.assert_array_equal(
        analysis.directions(start + 7, goal + 7), analysis.directions(start, goal)
    )


def test_cosine_tuning_recovers_the_cosine_that_made_the_activity(rng):
    angle = 2 * np.pi * np.arange(7) / 7
    baseline, depth, preferred = rng.normal(size=5), rng.uniform(0.1, 1, 5), rng.uniform(0, 6, 5)
    tuning = analysis.cosine_tuning(baseline + depth * np.cos(angle[:, None] - preferred), angle)
    np.testing.assert_allclose(tuning.baseline, baseline)
    np.testing.assert_allclose(tuning.depth, depth)
    np.testing.assert_allclose(tuning.direction, preferred)
    np.testing.assert_allclose(tuning.explained, 1)


def test_cosine_tuning_explains_the_share_of_variance_that_is_a_cosine():
    angle = 2 * np.pi * np.arange(8) / 8
    activity = np.stack(
        [3 * np.cos(angle) + np.cos(2 * angle), np.cos(2 * angle), np.full(8, 0.3)], axis=-1
    )
    tuning = analysis.cosine_tuning(activity, angle)
    np.testing.assert_allclose(tuning.explained, [9 / 10, 0, 0], atol=1e-12)
    np.testing.assert_allclose(tuning.depth, [3, 0, 0], atol=1e-12)


def test_three_directions_are_needed():
    angle = np.array([0.0, 1.0, 0.0, 1.0 + 2 * np.pi])
    with pytest.raises(ValueError, match="in at least 3 directions, got 2"):
        analysis.cosine_tuning(np.ones((4, 2)), angle)
    with pytest.raises(ValueError, match=r"got \(4, 2\) and \(3,\)"):
        analysis.cosine_tuning(np.ones((4, 2)), angle[:3])
    with pytest.raises(ValueError, match="must be finite"):
        analysis.cosine_tuning(np.full((4, 2), np.nan), np.arange(4.0))


def test_principal_components_find_the_axes_of_an_ellipse():
    angle = 2 * np.pi * np.arange(60) / 60
    long, short = np.array([0.6, 0.8, 0.0]), np.array([-0.8, 0.6, 0.0])
    ellipse = np.outer(3 * np.cos(angle), long) + np.outer(np.sin(angle), short) + [5, 6, 7]
    found = analysis.principal_components(ellipse.reshape(6, 10, 3))
    np.testing.assert_allclose(found.mean, [5, 6, 7])
    np.testing.assert_allclose(found.components[:2], [long, -short], atol=1e-12)
    np.testing.assert_allclose(found.explained, [0.9, 0.1, 0], atol=1e-12)
    np.testing.assert_allclose(found.scores[..., 0], 3 * np.cos(angle).reshape(6, 10), atol=1e-12)


def test_principal_components_rebuild_the_activity(rng):
    activity = rng.normal(size=(4, 9, 6))
    found = analysis.principal_components(activity)
    np.testing.assert_allclose(found.mean + found.scores @ found.components, activity)
    np.testing.assert_allclose(found.components @ found.components.T, np.eye(6), atol=1e-12)
    covariance = np.cov(activity.reshape(-1, 6).T)
    np.testing.assert_allclose(
        found.explained, np.linalg.eigvalsh(covariance)[::-1] / np.trace(covariance)
    )


def test_principal_components_of_what_does_not_vary_explain_nothing():
    np.testing.assert_array_equal(
        analysis.principal_components(np.full((5, 3), 0.5)).explained, [0, 0, 0]
    )
    with pytest.raises(ValueError, match="got shape"):
        analysis.principal_components(np.ones(3))
    with pytest.raises(ValueError, match="must be finite"):
        analysis.principal_components(np.full((5, 3), np.inf))


def test_sampled_units_depend_on_key_and_number_of_units_only(key):
    units = analysis.sample_units(20, 50, key)
    assert len(set(units.tolist())) == 20
    assert set(units.tolist()) <= set(range(50))
    np.testing.assert_array_equal(analysis.sample_units(20, 50, key), units)
    np.testing.assert_array_equal(analysis.sample_units(4, 50, key), units[:4])
    np.testing.assert_array_equal(analysis.sample_units(20, 50, jax.random.PRNGKey(5678)), units)
    assert analysis.sample_units(20, 50, jax.random.key(1)).tolist() != units.tolist()


def test_more_units_than_there_are_cannot_be_sampled(key):
    assert sorted(analysis.sample_units(3, 3, key)) == [0, 1, 2]
    with pytest.raises(ValueError, match="n_units must be at most 50, .* got 51"):
        analysis.sample_units(51, 50, key)
    with pytest.raises(ValueError, match="n_units must be at least 1, got 0"):
        analysis.sample_units(0, 50, key)
    with pytest.raises(TypeError, match="n_units must be a whole number, got 2.5"):
        analysis.sample_units(2.5, 50, key)
