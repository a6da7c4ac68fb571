"""The history as a table."""

import os
import sys
import time

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


def test_the_history_of_a_training_that_went_on_is_joined(history):
    later = History(train_seconds=2.0)
    later.extend({"position": [1.0], "effort": [2.0], "total": [3.0]}, seconds=2.0)
    joined = history.joined(later)
    assert joined["iteration"].tolist() == [0, 1, 2, 3]
    assert joined["seconds"].tolist() == [0.5, 1.5, 1.5, 3.5]
    np.testing.assert_array_equal(joined["training_effort"], [np.nan, np.nan, np.nan, 2])
    assert joined["training_total"].tolist() == [4, 2, 2, 3]
    assert len(history) == 3
    assert later["iteration"].tolist() == [0]
    assert History().joined(later) is later
    replicates = History()
    replicates.extend({"total": np.ones((1, 2))}, seconds=1.0)
    with pytest.raises(ValueError, match="later must be of as many replicates, 2, got None"):
        replicates.joined(later)


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


def columns_like(one, other):
    assert list(one.columns) == list(other.columns)
    for name, values in one.columns.items():
        assert values.dtype == other[name].dtype
        np.testing.assert_array_equal(values, other[name])


def chunk(start, length):
    values = start + np.arange(length, dtype=np.float32)
    return {"position": values, "total": 2 * values, "environment_steps": 100 * values}


def test_many_chunks_are_as_good_as_one():
    in_chunks, at_once = History(), History()
    for start in range(0, 3000, 2):
        in_chunks.extend(chunk(start, 2), seconds=1.0)
        if start % 100 == 0:
            assert in_chunks.since(start)["training_total"].tolist() == [2 * start, 2 * start + 2]
        if start == 1000:
            assert len(in_chunks["iteration"]) == 1002
    at_once.extend(chunk(0, 3000), seconds=1.0)
    assert in_chunks["training_position"].dtype == np.float32
    assert in_chunks["environment_steps"][-1] == 299_900
    columns_like(in_chunks, at_once)


def test_since_gives_what_append_takes(history):
    for row in range(4):
        copy = History({name: values[:row] for name, values in history.columns.items()})
        copy.append(history.since(row) or {"iteration": np.zeros(0, int)})
        columns_like(copy, history)
    with pytest.raises(ValueError, match=r"rows must have iteration, .* got total \(3,\)"):
        history.append({"total": np.zeros(3)})


def test_what_was_read_stays_as_it_was(history):
    given = np.ones(1)
    before = history["validation_total"]
    history.extend({"position": given, "total": given}, seconds=2.0)
    history.add_validation({"total": 7.0})
    given[0] = 5.0
    read = history["validation_total"]
    history.add_validation({"total": 8.0})
    np.testing.assert_array_equal(before, [2, np.nan, np.nan])
    assert (read[-1], history["validation_total"][-1]) == (7.0, 8.0)
    assert history["training_total"][-1] == 1.0
    assert np.isnan(history["gradient_norm"][-1])


def test_updates_of_which_nothing_is_known_are_gaps(history):
    history.skip(2)
    assert len(history) == 5
    assert history["iteration"].tolist() == [0, 1, 2, 3, 4]
    assert np.isnan(history["training_total"][3:]).all()
    unknown = History()
    unknown.skip(2)
    unknown.extend({"total": np.ones((1, 3))}, 1.0)
    assert unknown["training_total"].shape == (3, 3)
    assert np.isnan(unknown["training_total"][:2]).all()


def test_a_chunk_costs_the_same_after_a_thousand_and_after_a_million_updates():
    def seconds_a_chunk(length):
        history = History()
        history.extend(chunk(0, length), 1.0)
        begun = time.perf_counter()
        for _ in range(50):
            history.extend(chunk(0, 100), 1.0)
            history.add_validation({"position": 1.0, "total": 1.0})
            history.since(len(history) - 100)
        return time.perf_counter() - begun

    assert seconds_a_chunk(1_000_000) < 10 * seconds_a_chunk(1000)


def test_what_is_shown_is_short(history):
    assert repr(history) == (
        "<History of 3 updates, 8 columns, last training_total 2.000e+00, "
        "last validation_total 2.000e+00>"
    )
    replicates = History()
    replicates.extend({"a<b": np.ones((9, 4)), "total": np.ones((9, 4))}, 1.0)
    assert repr(replicates) == (
        "<History of 9 updates of 4 replicates, 4 columns, last training_total 1.000e+00>"
    )
    shown = replicates._repr_html_()
    assert "<td>training_a&lt;b</td><td>(9, 4)</td><td>1</td><td>1</td>" in shown
    assert repr(History()) == "<History of 0 updates, 1 columns>"
    assert "<table>" in History()._repr_html_()


def test_the_file_is_utf_8_whatever_the_locale(tmp_path, monkeypatch):
    monkeypatch.setattr("locale.getpreferredencoding", lambda *_: "ascii")
    history = History()
    history.extend({"Δv, 1": [0.1], "total": [0.1]}, 1.0)
    history.save(tmp_path / "history.csv")
    assert "training_Δv, 1".encode() in (tmp_path / "history.csv").read_bytes()
    assert History.load(tmp_path / "history.csv").terms == ("Δv, 1",)
    (tmp_path / "history.csv").write_bytes(b"iteration,\xff\n1,2\n")
    with pytest.raises(ValueError, match="is not a training history"):
        History.load(tmp_path / "history.csv")


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "history.csv")
    with pytest.raises(ValueError, match=r"history.csv is not a training history: .*regular file"):
        History.load(tmp_path / "history.csv")
