"""Histories become curves; those that cannot be drawn are refused."""

import numpy as np
import pytest
from trajectories import History

from fbx_env.figures.loss_curves import loss_curve, term_curves


def test_loss_curves_leave_out_updates_without_the_loss():
    history = History({"iteration": np.arange(3), "validation_total": np.array([4, np.nan, 2])})
    curve = loss_curve(history, "validation_total")
    assert (curve.update.tolist(), curve.mean.tolist()) == ([1, 3], [4, 2])
    assert curve.n_replicates == 1


def test_replicates_have_mean_and_spread():
    loss = np.array([[1.0, 2.0, 6.0], [1.0, 1.0, 1.0]])
    history = History({"iteration": np.arange(2), "training_total": loss})
    curve = loss_curve(history, "training_total")
    assert curve.mean.tolist() == [3, 1]
    assert (curve.low.tolist(), curve.high.tolist()) == ([1, 1], [6, 1])
    assert curve.n_replicates == 3


def test_wrong_histories_are_named():
    with pytest.raises(TypeError, match="history must have terms and columns.* got dict"):
        loss_curve({}, "training_total")
    empty = History({"iteration": np.arange(0), "training_total": np.arange(0.0)})
    with pytest.raises(ValueError, match="at least one update, got none"):
        loss_curve(empty, "training_total")
    wrong = History({"iteration": np.arange(2), "training_total": np.ones((3, 2))})
    with pytest.raises(ValueError, match=r"training_total of shape \(2,\) or .* got \(3, 2\)"):
        loss_curve(wrong, "training_total")


def test_terms_are_in_order_and_in_words():
    columns = {"training_final_velocity": np.ones(2), "training_a_b": np.full(2, 3.0)}
    history = History({"iteration": np.arange(2), "training_total": np.ones(2), **columns})
    (first, _), (second, curve) = term_curves(history)
    assert (first, second, curve.mean.tolist()) == ("final velocity", "a b", [3, 3])
