"""The folder of a run, and what is written into it for people and programs."""

import importlib.metadata
import json
import os
import platform

import jax
import pytest

import fbx_env
from agents.storage.files import LOCK, TRAINING_LOCK
from agents.storage.runs import (
    key_from,
    prepare_folder,
    read_json,
    summary,
    versions,
    write_json,
)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_versions_of_what_is_not_installed_are_said_to_be_missing(monkeypatch):
    def none(package):
        raise importlib.metadata.PackageNotFoundError(package)

    assert versions()["jax"] == jax.__version__
    assert versions()["fbx-env"] == fbx_env.__version__
    monkeypatch.setattr(importlib.metadata, "version", none)
    assert versions()["fbx-env"] == "not installed"
    assert versions()["python"] == platform.python_version()


def test_json_comes_back_without_numbers_that_are_not_finite(tmp_path):
    path = tmp_path / "metrics.json"
    write_json(path, {"Δv": [1.5, float("nan")], "inner": {"a": (float("inf"), None)}})
    assert read_json(path) == {"Δv": [1.5, None], "inner": {"a": [None, None]}}
    assert json.loads(path.read_bytes()) == read_json(path)


@pytest.mark.parametrize("content", [b"{", b"\xff", b"[" * 100_000, b"[" * 200 + b"]" * 200, b""])
def test_json_that_cannot_be_read_is_refused(content, tmp_path):
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="."):
        read_json(path)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "config.json")
    with pytest.raises(OSError, match="is not a regular file"):
        read_json(tmp_path / "config.json")


def test_a_new_folder_is_made_and_one_that_is_left_behind_is_cleared(tmp_path):
    prepare_folder(tmp_path / "a" / "run", False, [])
    for name in (LOCK, TRAINING_LOCK, ".partial-x-history.csv"):
        (tmp_path / name).write_text("of a process that was killed")
    (tmp_path / "a" / "run").rmdir()
    (tmp_path / "a").rmdir()
    prepare_folder(tmp_path, False, [])
    assert names(tmp_path) == [LOCK, TRAINING_LOCK]


def test_a_run_is_only_replaced_if_that_is_asked_for(tmp_path):
    for name in ("config.json", "notes.txt"):
        (tmp_path / name).write_text("mine")
    with pytest.raises(ValueError, match=r"is not empty; .*--resume, .*--out, or --overwrite"):
        prepare_folder(tmp_path, False, ["config.json"])
    (tmp_path / "metrics.json").write_text("mine")
    with pytest.raises(ValueError, match="is not empty; give another --out, or --overwrite"):
        prepare_folder(tmp_path, False, ["config.json"])
    prepare_folder(tmp_path, True, ["config.json", "metrics.json", "policy.model"])
    assert names(tmp_path) == ["notes.txt"]


def test_seeds_fit_into_32_bits():
    assert key_from(2**32 - 1) == jax.random.key(2**32 - 1)
    for seed in (-1, 2**32):
        with pytest.raises(ValueError, match=f"seed must be at .* got {seed}"):
            key_from(seed)


METRICS = {"losses": {"final_velocity": 1e-3, "total": 2e-3}, "endpoint_error": 0.002}
METRICS |= {"peak_speed": 0.5}


def test_the_summary_names_the_optimum_or_says_why_there_is_none():
    text = summary(METRICS | {"optimum": {"total": 1e-3}, "ratio_to_optimum": 2.0})
    assert "final velocity     1.000e-03" in text
    assert "2.000e-03   1.000e-03" in text
    assert "2.000 times the optimum" in text
    assert "Endpoint error 2.00 mm" in text
    assert "No exact optimum: too noisy" in summary(METRICS | {"no_optimum": "too noisy"})
    replicates = [{"losses": {"total": total}} for total in (1e-3, 3e-3)]
    text = summary(METRICS | {"no_optimum": "too noisy", "replicates": replicates})
    assert "Means of 2 replicates" in text
    assert "Total of each: 1.000e-03, 3.000e-03" in text
