"""The history as a table."""

import sys

import numpy as np
import pandas as pd
import pytest

from agents import History
from fbx_env import plot


@pytest.fixture
def history():
    history = History()
    rows = {"position": [3.0], "total": [4.0], "gradient_norm": [9.0], "learning_rate": [0.1]}
    history.extend(rows, seconds=0.5)
    history.add_validation({"position": 1.0, "total": 2.0})
    history.extend({name: np.repeat(values, 2) / 2 for name, values in rows.items()}, seconds=1.5)
    return history


def test_rows_are_appended_and_validation_has_gaps(history):
    assert len(history) == 3
    assert history.terms == ("position",)
    assert history["iteration"].tolist() == [0, 1, 2]
    assert history["training_total"].tolist() == [4, 2, 2]
    assert history["seconds"].tolist() == [0.5, 1.5, 1.5]
    np.testing.assert_array_equal(history["validation_total"], [2, np.nan, np.nan])


def test_the_file_is_a_table_for_pandas_and_for_us(history, tmp_path):
    path = tmp_path / "history.csv"
    history.save(path)
    frame = pd.read_csv(path)
    loaded = History.load(path)
    assert list(frame.columns) == list(history.columns) == list(loaded.columns)
    for name, values in history.columns.items():
        np.testing.assert_allclose(frame[name], values, rtol=1e-8)
        np.testing.assert_allclose(loaded[name], values, rtol=1e-8)


def test_replicates_have_a_column_each(tmp_path):
    history = History()
    for start in (1.0, 5.0):
        rows = {name: start + np.arange(4.0).reshape(2, 2) for name in ("position", "total")}
        rows |= {"gradient_norm": np.ones((2, 2)), "learning_rate": np.full(2, 0.1)}
        history.extend(rows, seconds=start)
        history.add_validation({"total": np.array([start, 10 * start])})
    assert history.n_replicates == 2
    second = history.replicate(1)
    assert second["training_total"].tolist() == [2, 4, 6, 8]
    np.testing.assert_array_equal(second["validation_total"], [np.nan, 10, np.nan, 50])
    assert second.n_replicates is None
    history.save(tmp_path / "history.csv")
    loaded = History.load(tmp_path / "history.csv")
    assert loaded.train_seconds == 5.0
    assert list(loaded.columns) == list(history.columns)
    for name, values in history.columns.items():
        np.testing.assert_allclose(loaded[name], values, rtol=1e-8)
    frame = history.to_frame()
    assert frame["validation_total/1"].dropna().tolist() == [10, 50]
    assert len(frame) == 4
    with pytest.raises(ValueError, match="index must be at most 1, got 2"):
        history.replicate(2)
    with pytest.raises(ValueError, match="history of a single model"):
        second.replicate(0)


def test_without_pandas_it_is_said_how_to_get_it(history, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="to_frame needs pandas: pip install pandas"):
        history.to_frame()


def test_an_empty_history_cannot_be_drawn():
    with pytest.raises(ValueError, match="history must have at least one update, got none"):
        plot.loss_history(History())


def test_mistakes_are_named(history, tmp_path):
    with pytest.raises(KeyError, match="no column 'loss'; there are iteration, training_position"):
        history["loss"]
    path = tmp_path / "history.csv"
    for content in ("a,b\n1,2\n", ""):
        path.write_text(content)
        with pytest.raises(ValueError, match="is not a training history: it has no column 'itera"):
            History.load(path)
    for content in ("iteration,seconds\n1,x\n", "iteration,seconds\n1\n2,3\n"):
        path.write_text(content)
        with pytest.raises(ValueError, match=f"{path} is not a training history: "):
            History.load(path)
    with pytest.raises(ValueError, match=f"{tmp_path} is not a training history: "):
        History.load(tmp_path)
