"""A small dose of random command lines, keywords and calls; ``fuzz.py`` takes any number."""

import random

import pytest
from fuzz import VALUES, fuzz_calls, fuzz_command_lines, fuzz_keywords

pytestmark = pytest.mark.usefixtures("unchecked")


@pytest.mark.parametrize("seed", range(3))
def test_random_keywords_are_taken_or_refused(seed):
    random.seed(seed)
    outcomes = fuzz_keywords(60)
    assert outcomes["refused"] > 0
    assert outcomes["ran"] > 0


def test_random_calls_are_taken_or_refused_by_the_name_of_the_argument(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    random.seed(5)
    outcomes = fuzz_calls(300, VALUES)
    assert outcomes["refused"] > 200
    assert outcomes["ran"] > 10


def test_random_command_lines_run_or_are_refused(tmp_path):
    random.seed(3)
    assert fuzz_command_lines(12, tmp_path).total() == 12
