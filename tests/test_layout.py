"""How figures are laid out."""

import numpy as np

from fbx_env.figures import layout


def test_grids_are_a_row_of_up_to_three_or_nearly_square():
    assert [layout.grid_columns(n) for n in (1, 2, 3, 4, 5, 9, 10)] == [1, 2, 3, 2, 3, 3, 4]


def test_a_square_has_all_points_inside_and_is_never_empty():
    low, high = layout.square_around(np.array([[0.0, 0.0], [2.0, 1.0]]))
    np.testing.assert_allclose([low, high], [[-0.16, -0.66], [2.16, 1.66]])
    low, high = layout.square_around(np.array([[3.0, 4.0]]))
    np.testing.assert_array_equal([low, high], [[2, 3], [4, 5]])


def test_only_replicates_have_a_band():
    assert layout.describe_band(1) is None
    assert layout.describe_band(5) == "mean of 5 replicates;\nband: lowest to highest"


def test_many_trials_are_transparent():
    assert [layout.opacity(n) for n in (1, 8)] == [1, 1]
    assert layout.opacity(9) < 1
    assert 0.3 < layout.opacity(100) < 0.5
    assert layout.opacity(10**6) == 0.15


def test_what_is_not_finite_sets_no_limits():
    points = np.array([[0.0, 0.0], [np.nan, 9.0], [1.0, np.inf], [2.0, 2.0]])
    np.testing.assert_allclose(layout.square_around(points), [[-0.16, -0.16], [2.16, 2.16]])
    assert layout.largest(np.array([[np.nan, -3.0], [1.0, np.inf]])) == 3
    assert layout.largest(np.zeros((2, 2))) == 1
