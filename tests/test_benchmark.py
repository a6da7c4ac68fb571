"""The benchmark: what it counts, how it takes turns, and what the command writes."""

import json
import math
import sys
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib import pyplot as plt

import agents.__main__ as command_line
from agents import GRUPolicy, History
from agents.commands.benchmark import QUICK, WHOLE, cells
from agents.reports import benchmark, benchmark_environments
from agents.reports.benchmark import (
    Curve,
    Row,
    Work,
    growth,
    matrix_product,
    median_seconds,
    update_memory,
)
from agents.reports.benchmark_environments import random_play
from agents.reports.benchmark_figures import draw_growth
from agents.reports.tables import as_markdown
from fbx_env import ReachEnv, ReachParams

pytestmark = pytest.mark.optimised

ROOT = Path(__file__).parents[1]


def test_operations_are_those_of_the_products_in_the_network(key):
    """An update takes three times the products of the forward pass, at each step of each trial."""
    work = Work(hidden_size=7)
    policy = GRUPolicy(8, 2, work.hidden_size, key=key)
    jaxpr = jax.make_jaxpr(policy)(jnp.zeros(8), policy.initial_carry())
    products = [each for each in jaxpr.jaxpr.eqns if each.primitive.name == "dot_general"]
    forward = sum(2 * np.prod(each.invars[0].aval.shape) for each in products)
    assert work.operations() == 3 * forward * work.batch_size * work.n_steps
    assert Work().operations() == pytest.approx(1.31e9, rel=0.01)


def test_functions_take_turns_and_the_median_counts(monkeypatch):
    called, clock = [], iter([0, 9, 0, 1, 0, 2, 0, 1, 0, 3, 0, 5])
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    functions = {name: lambda name=name: called.append(name) for name in "ab"}
    assert median_seconds(functions, 3) == {"a": 3, "b": 1}
    assert called == ["a", "b"] * 4


def test_a_matrix_product_takes_two_operations_for_each_pair():
    product, operations = matrix_product(4)
    assert product().shape == (4, 4)
    assert operations == 2 * 4 * 4 * 4


def test_memory_grows_with_the_batch_and_less_when_steps_are_computed_anew():
    kept, twice, anew = (
        update_memory(Work(n_steps=200, hidden_size=20, **options))
        for options in ({}, {"batch_size": 500}, {"rematerialise": True})
    )
    assert 1.7 < twice / kept < 2.3
    assert anew < 0.7 * kept


def test_random_play_plays_every_step():
    env, params = ReachEnv(), ReachParams(max_steps_in_episode=3)
    short, again, longer = (random_play(env, params, 2, n)() for n in (5, 5, 6))
    assert short == again
    assert short != longer


def test_the_table_reads_well():
    rows = [Row("step", 12.345, "us", "times another", 0.25), Row("memory", 1.5, "GiB")]
    assert as_markdown([cells(row) for row in rows]).splitlines() == [
        "| what   |  figure | ratio | of what       |",
        "| ------ | ------: | ----: | ------------- |",
        "| step   | 12.3 us |  0.25 | times another |",
        "| memory | 1.5 GiB |       |               |",
    ]


def test_growth_is_drawn_beside_growth_in_proportion():
    curves = [
        Curve("hidden units", [25, 100], [1e-3, 3e-3], [10.0, 30.0]),
        Curve("devices", [1, 2], [4e-3, 3e-3], [10.0, 6.0]),
    ]
    figure = draw_growth(curves)
    first, second, below, _ = figure.axes
    assert below.get_xlabel() == "Hidden units"
    assert first.get_ylabel() == "Time of an update [ms]"
    assert below.get_ylabel() == "Memory of each device [MiB]"
    np.testing.assert_allclose(below.lines[1].get_ydata(), [10, 30])
    proportion, measured = (line.get_ydata() for line in first.lines)
    np.testing.assert_allclose(measured, [1, 3])
    np.testing.assert_allclose(proportion, [1, 4])
    np.testing.assert_allclose(second.lines[0].get_ydata(), [4, 2])
    plt.close(figure)


def run(folder, *parts):
    command = ["benchmark", "--parts", *parts, "--repeats", "1", "--devices", "1"]
    command_line.main([*command, "--out", str(folder)])
    return json.loads((folder / "benchmark.json").read_text())


def test_the_command_writes_a_table_and_json(tmp_path, capsys):
    result = run(tmp_path, "gymnasium", "import")
    shown = capsys.readouterr().out
    table = (tmp_path / "benchmark.md").read_text()
    assert table.strip() in shown
    assert [row["what"] for row in result["rows"]] == [
        *["step of one Gymnasium environment"] * 2,
        "ReachVectorEnv of 1,024",
        "import fbx_env, added to import gymnax",
    ]
    assert all(row["value"] > 0 for row in result["rows"][:3])
    assert {"jax", "fbx-env"} <= set(result["versions"])
    assert not (tmp_path / "growth.png").exists()


@pytest.mark.parametrize(
    ("options", "parts", "repeats"),
    [([], QUICK, 3), (["--all"], WHOLE, 7), (["--repeats", "2"], QUICK, 2)],
)
def test_it_is_quick_unless_all_is_asked_for(tmp_path, monkeypatch, options, parts, repeats):
    measured, turns = [], set()

    def note(part):
        def measure(*arguments):
            measured.append(part)
            turns.update(each for each in arguments if isinstance(each, int))
            return []

        return measure

    for module, name, part in (
        (benchmark, "training_to_quality", "quality"),
        (benchmark, "training_speed", "training"),
        (benchmark_environments, "bodies_speed", "bodies"),
        (benchmark_environments, "environment_speed", "environments"),
        (benchmark_environments, "gymnasium_speed", "gymnasium"),
        (benchmark_environments, "sb3_speed", "sb3"),
        (benchmark_environments, "import_seconds", "import"),
        (benchmark, "peak_memory", "memory"),
        (benchmark, "growth", "growth"),
    ):
        monkeypatch.setattr(module, name, note(part))
    command_line.main(["benchmark", *options, "--devices", "1", "--out", str(tmp_path)])
    assert sorted(measured) == sorted(parts)
    assert turns == {repeats}


def test_seconds_to_a_quality_count_what_was_compiled_before(monkeypatch):
    """Two trainings share a program; the first compiles it, and the second is as from cold."""

    def train(policy, env, params, config, **_):
        history = History()
        history.extend({"hidden": np.zeros(3), "total": np.zeros(3)}, 30.0)
        history.add_validation({"hidden": 0.0, "total": 0.0})
        history.compile_seconds = 5.0 if config.n_batches == 300 else 0.25
        return policy, history

    monkeypatch.setattr(benchmark, "train", train)
    rows = {row.what: row.value for row in benchmark.training_to_quality()}
    assert rows["compilation of update and validation"] == 5.0
    assert rows["to 1.05 times the optimum"] == 30.0 + 5.0 + 0.25


def test_the_readme_quotes_the_figures_that_are_kept():
    kept = json.loads((ROOT / "examples" / "benchmark.json").read_text())
    assert {"date", "machine", "versions"} <= set(kept)
    value = {row["what"]: row["value"] for row in kept["rows"]}
    ratio = {(row["what"], row["beside"]): row["ratio"] for row in kept["rows"]}
    many = "1,024 environments with random actions"
    faster = ratio[many, "times gymnax's Pendulum-v1"]
    quotes = (
        f"{value['to 1.05 times the optimum']:.0f} s from cold to 1.05 times the optimum",
        f"an update takes {value['update of 8 trials, GRU']:.1f} ms with 8 trials",
        f"250 trials {value['update of 250 trials on one device']:.0f} ms on one device",
        f"{value['update of 250 trials on 2 devices']:.0f} ms on two",
        f"{value[many]:.1f} million steps/s in gymnax, {faster:.1f} times Pendulum-v1",
        f"{value['ReachVectorEnv of 1,024']:.1f} million in `ReachVectorEnv`",
    )
    readme = " ".join((ROOT / "README.md").read_text().split())
    assert [quote for quote in quotes if quote not in readme] == []


@pytest.mark.slow
def test_training_and_environments_are_measured(tmp_path, monkeypatch):
    few_updates = partial(benchmark.training_speed, n_updates=3)
    monkeypatch.setattr(benchmark, "training_speed", few_updates)
    few_steps = partial(benchmark_environments.sb3_speed, total_steps=10_000)
    monkeypatch.setattr(benchmark_environments, "sb3_speed", few_steps)
    few_bodies = partial(benchmark_environments.bodies_speed, n_updates=1)
    monkeypatch.setattr(benchmark_environments, "bodies_speed", few_bodies)
    monkeypatch.setattr(benchmark_environments, "BODIES", ("PointMass", "TwoLinkArm"))
    result = run(tmp_path, "training", "bodies", "environments", "memory", "sb3")
    by_name = {row["what"]: row for row in result["rows"]}
    assert by_name["update of 8 trials, GRU"]["value"] > 0
    assert by_name["update of 8 trials, LSTM"]["value"] > 0
    assert by_name["update of 32 trials of 60 steps, TwoLinkArm"]["ratio"] > 1
    assert 0 < by_name["1,024 environments of TwoLinkArm"]["ratio"] < 1
    assert 0 < by_name["update of 250 trials on one device"]["ratio"] < 1
    assert by_name["update of five replicates on one device"]["ratio"] > 1
    less, more = (
        by_name[f"training on 64 trials of 10,000 steps, {how}"]["value"]
        for how in ("steps computed anew", "every step kept")
    )
    assert less < 1.4
    assert less < 0.8 * more
    assert 0 < by_name["PPO, 10,000 steps in 64 environments"]["ratio"] < 1


def test_what_cannot_be_measured_is_reported_and_the_rest_is_kept(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "stable_baselines3", None)
    with pytest.raises(SystemExit) as stop:
        run(tmp_path, "sb3", "import")
    assert stop.value.code == 2
    advice = 'stable_baselines3 is not installed: pip install "fbx-env[sb3]"'
    assert f"not everything could be measured; sb3: {advice}" in capsys.readouterr().err
    result = json.loads((tmp_path / "benchmark.json").read_text())
    assert result["not_measured"] == {"sb3": advice}
    assert [row["what"] for row in result["rows"]] == ["import fbx_env, added to import gymnax"]


@pytest.mark.parametrize("n_devices", [1, 25, 50])
def test_growth_is_measured_where_the_devices_can_share_the_work(monkeypatch, n_devices):
    """As many devices as large machines have cores, some more than the smallest batch."""

    def shared_evenly(work, n_updates, devices):
        for_trials = len(devices) // math.gcd(work.n_replicates, len(devices))
        assert work.batch_size % for_trials == 0
        return lambda: n_updates

    monkeypatch.setattr("agents.reports.benchmark.updates_of", shared_evenly)
    monkeypatch.setattr("agents.reports.benchmark.update_memory", lambda work, n_devices: 1.0)
    curves = list(growth([jax.devices()[0]] * n_devices, repeats=1))
    assert curves[0].values[-2:] == [250, 1000]
    assert curves[-1].values[-1] == n_devices


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--devices", "3", "devices must share 250 trials evenly, got 3"),
        ("--repeats", "0", "repeats must be at least 1"),
        ("--all", "--parts=memory", "parts must not be given with all"),
        ("--devices", "0", "devices must be at lea"),
    ],
)
def test_mistakes_are_named(tmp_path, capsys, option, value, message):
    with pytest.raises(SystemExit) as stop:
        command_line.main(["benchmark", option, value, "--out", str(tmp_path / "none")])
    assert stop.value.code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "none").exists()
