"""Comparisons: what is trained, what is kept, and what is drawn and tabled of it."""

import csv
import dataclasses
import importlib.util
import json
import pickle
import shutil
import signal
import subprocess
import sys

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pytest

import agents.__main__ as command_line
from agents import GRUPolicy, optimal_loss
from agents.commands import compare
from agents.reports import comparison
from agents.reports.comparison_figures import draw_curves, draw_side_by_side
from agents.storage.interrupts import Request
from fbx_env import LossTerm, ReachEnv, make, rollout

TINY = ["--max-steps-in-episode", "10", "--dt", "0.2", "--motor-delay", "1", "--bptt-updates", "5"]
TINY += ["--ppo-steps", "6300", "--sac-steps", "320"]
LEARNERS = ["--learners", "bptt", "ppo", "sac"]


RUN_APART = compare.run_apart
LABELS = {"bptt": "BPTT", "ppo": "PPO", "sac": "SAC"}


def run_here(arguments: list[str], request: Request) -> int:
    """Like ``run_apart``, in this process, which has imported and compiled what is needed."""
    try:
        command_line.main(arguments)
    except SystemExit as stop:
        return int(stop.code)
    return 0


def refuse_to_run(arguments: list[str], request: Request) -> int:
    raise AssertionError(f"nothing was to be trained, but: {arguments}")


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """A comparison of three learners and two seeds."""
    folder = tmp_path_factory.mktemp("compare") / "all"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compare, "run_apart", run_here)
        command_line.main(["compare", *TINY, *LEARNERS, "--seeds", "0", "1", "--out", str(folder)])
    return folder


@pytest.fixture
def copied(compared, tmp_path):
    return shutil.copytree(compared, tmp_path / "copy")


@pytest.fixture(autouse=True)
def nothing_is_trained(monkeypatch):
    monkeypatch.setattr(compare, "run_apart", refuse_to_run)


def test_a_comparison_holds_a_run_for_each_learner_and_seed(compared):
    runs = {f"{name}-seed{seed}" for name in ("bptt", "ppo", "sac") for seed in (0, 1)}
    files = {"comparison.json", "comparison.png", "reaches.png", "table.md", "table.csv"}
    assert {path.name for path in compared.iterdir()} == runs | files
    for run in runs:
        assert comparison.is_finished(compared / run)
        config = json.loads((compared / run / "config.json").read_text())
        numbers = {"max_steps_in_episode": 10, "dt": 0.2, "motor_delay": 1}
        assert config["experiment"]["numbers"] == numbers


def test_the_table_has_what_the_runs_found(compared):
    with (compared / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["learner"] for row in rows] == ["exact optimum", "BPTT", "PPO", "SAC"]
    _, params = make(max_steps_in_episode=10, dt=0.2, motor_delay=1)
    optimum = optimal_loss(params, params.task.validation_trials())
    assert float(rows[0]["environment"]) == pytest.approx(optimum.total)
    assert rows[0]["hidden"] == ""
    for row, learner in zip(rows[1:], ("bptt", "ppo", "sac"), strict=True):
        metrics = [
            json.loads((compared / f"{learner}-seed{seed}" / "metrics.json").read_text())
            for seed in (0, 1)
        ]
        for name in ("position", "final_velocity", "command", "environment"):
            found = np.median([one["losses"][name] for one in metrics])
            assert float(row[name]) == pytest.approx(found, rel=1e-5)
        ratio = np.median([one["ratio_to_optimum"] for one in metrics])
        assert float(row["times optimum"]) == pytest.approx(ratio, rel=1e-5)
        assert float(row["times optimum"]) > 1
        assert float(row["endpoint error [mm]"]) == pytest.approx(
            1e3 * np.median([one["endpoint_error"] for one in metrics]), rel=1e-4
        )
    assert float(rows[1]["hidden"]) > 0
    assert float(rows[2]["hidden"]) == 0
    # PPO makes whole rollouts: 6,300 steps are rounded up, and the table says so.
    assert [row["steps"] for row in rows[1:]] == [str(5 * 8 * 10), "6336", "320"]
    text = (compared / "table.md").read_text()
    assert len({line.count("|") for line in text.splitlines()}) == 1
    assert len({len(line) for line in text.splitlines()}) == 1


def test_curves_count_steps_of_the_environment(compared):
    for result in comparison.load_results(compared, LABELS):
        assert np.all(np.diff(result.steps) > 0)
        assert np.all(np.diff(result.seconds) > 0)
        assert np.all(np.isfinite(result.loss))
        assert result.metrics["losses"]["environment"] >= result.loss.min() * (1 - 1e-4)
        if result.learner == "BPTT":
            assert result.steps[0] == 8 * 10
            assert result.metrics["losses"]["environment"] == pytest.approx(
                result.loss[-1], rel=1e-4
            )


def test_saved_results_are_drawn_again_without_training_and_pickles(copied, capsys, monkeypatch):
    def poisoned(*_, **__):
        raise AssertionError("something was unpickled")

    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, poisoned)
    monkeypatch.setattr(sys.modules["torch"], "load", poisoned)
    table = (copied / "table.md").read_text()
    for name in ("comparison.png", "reaches.png", "table.md", "table.csv"):
        (copied / name).unlink()
    command_line.main(["compare", "--redraw", "--out", str(copied)])
    assert (copied / "table.md").read_text() == table
    assert table in capsys.readouterr().out
    for name in ("comparison.png", "reaches.png"):
        assert (copied / name).read_bytes().startswith(b"\x89PNG")
        assert (copied / name).stat().st_size < 150_000


def test_the_figure_shows_every_learner_and_the_optimum(compared):
    results = comparison.load_results(compared, LABELS)
    _, params = make(max_steps_in_episode=10, dt=0.2, motor_delay=1)
    figure = draw_curves(results, comparison.reference_of(params, 0, compared))
    by_steps, by_seconds = figure.axes
    for ax in (by_steps, by_seconds):
        assert ax.get_xscale() == ax.get_yscale() == "log"
        lines = {line.get_label(): line for line in ax.lines}
        assert list(lines) == ["BPTT", "PPO", "SAC", "exact optimum"]
        optimum = optimal_loss(params, params.task.validation_trials()).total
        np.testing.assert_allclose(lines["exact optimum"].get_ydata(), optimum)
        assert len(ax.collections) == 3
    bptt = [result for result in results if result.learner == "BPTT"]
    np.testing.assert_allclose(
        by_steps.lines[0].get_ydata(), np.median([result.loss for result in bptt], axis=0)
    )
    plt.close(figure)


@pytest.mark.parametrize(
    ("id", "updates"),
    [("PointMassReach-v0", 1250), ("TwoLinkArmReach-v0", 3000), ("PointMassHold-v0", 3000)],
)
def test_learners_train_as_long_as_by_themselves(id, updates):
    command = compare.parse(["--env", id, "--learners", "bptt", "ppo"], "compare")
    bptt, ppo = command.compared()
    assert (command.budget(bptt), command.budget(ppo)) == (updates, 2_000_000)
    assert f"--n-batches {updates} " in " ".join([*command.words(bptt, 0), ""])
    assert command_line.parse(["train", "--env", id]).bptt.n_batches == updates
    given = compare.parse(["--env", id, "--bptt-updates", "7"], "compare")
    assert given.budget(bptt) == 7


def test_the_same_command_trains_only_what_is_missing(copied, monkeypatch):
    trained = []

    def note(arguments: list[str], request: Request) -> int:
        trained.extend(name for name in ("sac-seed0", "bptt-seed1") if name in " ".join(arguments))
        return run_here(arguments, request)

    monkeypatch.setattr(compare, "run_apart", note)
    (copied / "bptt-seed1" / "metrics.json").unlink()
    (copied / "bptt-seed1" / "policy.model").unlink()
    shutil.rmtree(copied / "sac-seed0")
    command = ["compare", *TINY, "--learners", "bptt", "sac", "--seeds", "0", "1"]
    command_line.main([*command, "--out", str(copied)])
    assert trained == ["sac-seed0", "bptt-seed1"]
    described = json.loads((copied / "comparison.json").read_text())
    assert described["learners"] == ["bptt", "ppo", "sac"]
    assert "PPO" in (copied / "table.md").read_text()


def test_a_run_that_was_interrupted_is_resumed(copied):
    (copied / "ppo-seed0" / "metrics.json").unlink()
    command = command_line.parse(["compare", *TINY, *LEARNERS, "--out", str(copied)])
    bptt, ppo, _ = command.compared()
    run = str(copied / "ppo-seed0")
    assert command.words(ppo, 0) == ["sb3", "ppo", "--resume", run]
    run = str(copied / "bptt-seed1")
    assert command.words(bptt, 1) == ["train", "--resume", run]
    words = " ".join(command.words(ppo, 7))
    assert "--resume" not in words
    assert "--total-steps 6300 --env PointMassReach-v0" in words
    assert "--motor-delay 1" in words


def test_a_learner_that_crashes_leaves_the_others_results(tmp_path, monkeypatch, capsys):
    def crash(arguments: list[str], request: Request) -> int:
        return 3 if "ppo" in arguments else run_here(arguments, request)

    monkeypatch.setattr(compare, "run_apart", crash)
    command = ["compare", *TINY, "--seeds", "0", "--out", str(tmp_path / "all")]
    with pytest.raises(SystemExit) as stop:
        command_line.main([*command, "--learners", "ppo", "bptt"])
    assert stop.value.code == 1
    assert "these runs failed: ppo-seed0" in capsys.readouterr().err
    text = (tmp_path / "all" / "table.md").read_text()
    assert "BPTT" in text
    assert "PPO" not in text
    assert (tmp_path / "all" / "comparison.png").exists()
    with pytest.raises(SystemExit):
        command_line.main(
            ["compare", *TINY, "--learners", "ppo", "--seeds", "0", "--out", str(tmp_path / "no")]
        )
    assert "every run failed" in capsys.readouterr().err


def test_results_from_another_version_of_the_task_are_refused(copied, capsys):
    description = json.loads((copied / "comparison.json").read_text())
    changed = {
        **description["fingerprint"],
        "command": 1.01 * description["fingerprint"]["command"],
    }
    text = json.dumps({**description, "fingerprint": changed})
    (copied / "comparison.json").write_text(text)
    for options in (["--redraw"], [*TINY, *LEARNERS, "--seeds", "0", "1", "2"]):
        with pytest.raises(SystemExit) as stop:
            command_line.main(["compare", *options, "--out", str(copied)])
        assert stop.value.code == 2
        assert "results from another version of the task" in capsys.readouterr().err


def test_results_of_a_later_version_are_refused_by_name(copied, capsys):
    description = json.loads((copied / "comparison.json").read_text())
    description["experiment"]["numbers"]["gravity"] = 9.81
    (copied / "comparison.json").write_text(json.dumps(description))
    with pytest.raises(SystemExit):
        command_line.main(["compare", "--redraw", "--out", str(copied)])
    message = capsys.readouterr().err
    assert f"{copied} holds results from another version of the task" in message
    assert "gravity" in message


def test_runs_that_did_not_end_are_named(copied, capsys):
    (copied / "sac-seed1" / "metrics.json").unlink()
    command_line.main(["compare", "--redraw", "--out", str(copied)])
    assert "not finished, left out: sac-seed1" in capsys.readouterr().err


def test_a_comparison_that_is_stopped_says_how_to_resume_it(tmp_path, capsys, monkeypatch):
    def told(arguments: list[str], request: Request) -> int:
        request.signal = signal.SIGTERM
        return 128 + signal.SIGTERM

    monkeypatch.setattr(compare, "run_apart", told)
    command = ["compare", *TINY, "--learners", "bptt", "--seeds", "3", "4"]
    with pytest.raises(SystemExit) as stop:
        command_line.main([*command, "--out", str(tmp_path / "all")])
    assert stop.value.code == 128 + signal.SIGTERM
    assert capsys.readouterr().err == "stopped: in bptt-seed3; the same command resumes it\n"


def test_what_cannot_be_read_is_reported(copied, capsys):
    def refused():
        with pytest.raises(SystemExit) as stop:
            command_line.main(["compare", "--redraw", "--out", str(copied)])
        assert stop.value.code == 2
        return capsys.readouterr().err

    config = copied / "bptt-seed0" / "config.json"
    whole = config.read_text()
    config.write_text("{}")
    assert f"the run in {copied / 'bptt-seed0'} cannot be read: 'experiment'" in refused()
    config.write_text(whole)
    for metrics in copied.glob("*/metrics.json"):
        metrics.unlink()
    assert f"{copied} holds no finished run" in refused()
    description = json.loads((copied / "comparison.json").read_text())
    del description["seeds"]
    (copied / "comparison.json").write_text(json.dumps(description))
    assert f"{copied} holds no comparison: comparison.json lacks seeds" in refused()


class Quartic(LossTerm):
    """A cost that is not quadratic."""

    name = "quartic"

    def cost(self, transition):
        return jnp.sum(transition.command**4)


def test_where_there_is_no_exact_optimum_learners_are_compared_without_it(compared):
    results = comparison.load_results(compared, LABELS)
    _, params = make(max_steps_in_episode=10, dt=0.2, motor_delay=1)
    params = params.replace(loss=params.loss + Quartic())
    rows = comparison.table(results, params, None)
    assert [row["learner"] for row in rows] == ["BPTT", "PPO", "SAC"]
    curves = draw_curves(results, None)
    assert [line.get_label() for line in curves.axes[0].lines] == ["BPTT", "PPO", "SAC"]
    reaches = draw_side_by_side(results, params)
    titles = [ax.get_title() for ax in reaches.axes]
    assert [title for title in titles if title] == ["BPTT", "PPO", "SAC"]
    for figure in (curves, reaches):
        plt.close(figure)


def test_each_number_of_an_arms_command_has_a_row(compared):
    _, arm = make("TwoLinkArmReach-v0", max_steps_in_episode=5)
    policy = GRUPolicy(12, 2, 3, key=jax.random.key(0))
    trials = arm.task.validation_trials()
    trajectory = rollout(ReachEnv(), arm, policy, trials, jax.random.key(1))
    result = comparison.load_results(compared, LABELS)[0]
    results = [
        dataclasses.replace(result, learner=name, trajectory=trajectory) for name in ("A", "B")
    ]
    figure = draw_side_by_side(results, arm)
    labels = [ax.get_ylabel().split("\n")[0] for ax in figure.axes]
    rows = ["Position", "Velocity", "Shoulder torque", "Elbow torque"]
    assert [label for label in labels if label] == rows
    assert len(figure.axes) == 8
    plt.close(figure)


def test_where_there_is_no_exact_optimum_learners_are_beside_the_best_known_loss(
    compared, tmp_path
):
    results = comparison.load_results(compared, LABELS)
    _, params = make(max_steps_in_episode=10, dt=0.2, motor_delay=1)
    params = params.replace(loss=params.loss + Quartic())
    reference = comparison.reference_of(params, 1, tmp_path)
    best, *rows = comparison.table(results, params, reference)
    assert (best["learner"], best["environment"]) == ("best known", reference.total)
    for row in rows:
        assert row["times best known"] == pytest.approx(row["environment"] / reference.total)
    curves = draw_curves(results, reference)
    assert curves.axes[0].lines[-1].get_label() == "best known"
    assert "times best known" in comparison.markdown([best, *rows])
    plt.close(curves)


def test_without_stable_baselines3_it_is_said_before_anything_is_trained(
    tmp_path, capsys, monkeypatch
):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name: None if name == "stable_baselines3" else find(name),
    )
    with pytest.raises(SystemExit) as stop:
        command_line.main(["compare", "--learners", "bptt", "ppo", "--out", str(tmp_path / "all")])
    assert stop.value.code == 2
    assert "not installed: pip install" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_learner_apart_is_asked_to_stop(tmp_path):
    told = Request(signal=signal.SIGTERM)
    endless = ["train", "--n-batches", "10000000", "--out", str(tmp_path / "run")]
    assert RUN_APART(endless, told) in (-signal.SIGTERM, 128 + signal.SIGTERM)
    assert RUN_APART(["fly"], Request()) == 2


def test_a_run_of_another_experiment_is_refused(copied, capsys):
    path = copied / "ppo-seed1" / "config.json"
    config = json.loads(path.read_text())
    config["experiment"]["numbers"]["mass"] = 2.0
    path.write_text(json.dumps(config))
    with pytest.raises(SystemExit):
        command_line.main(["compare", "--redraw", "--out", str(copied)])
    assert "ppo-seed1 is of another experiment than the comparison" in capsys.readouterr().err


def test_another_comparison_in_the_folder_is_not_mixed_with(copied, capsys):
    for options, message in (
        (["--mass", "2"], "results from another version of the task"),
        (["--ppo-steps", "7000"], "holds a comparison with another ppo_steps"),
        (["--time-in-observation"], "holds a comparison with another experiment"),
    ):
        with pytest.raises(SystemExit):
            command_line.main(["compare", *TINY, *LEARNERS, *options, "--out", str(copied)])
        assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "overrides",
    [
        {"mass": 1.001},
        {"damping": 0.01},
        {"dt": 0.0501},
        {"motor_delay": 1},
        {"sensory_delay": 1},
        {"max_steps_in_episode": 98},
        {"time_exponent": 6.01},
        {"loss_weights": {"command": 1.01e-5}},
        {"sensory_noise": 0.01},
        {"max_force": 0.4},
        {"workspace": ((-1.1, -1.1), (1.1, 1.1))},
    ],
)
def test_fingerprints_tell_tasks_apart(overrides):
    known, other = (comparison.fingerprint(make(**each)[1]) for each in ({}, overrides))
    difference = [abs(known[name] - other[name]) / max(known[name], 1e-12) for name in known]
    assert max(difference) > comparison.TASK_TOLERANCE


def test_fingerprints_are_those_of_the_task_and_not_of_what_the_agent_sees():
    plain, timed = (make(time_in_observation=flag)[1] for flag in (False, True))
    assert comparison.fingerprint(plain) == comparison.fingerprint(timed)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--ppo-steps", "0"], "total_steps must be at least 1, got 0"),
        (["--sac-steps", "-3"], "total_steps must be at least 1, got -3"),
        (["--bptt-updates", "0"], "n_batches must be at least 1, got 0"),
        (["--learners", "dqn"], "no learner 'dqn'"),
        (["--ppo-steps", "many"], "--ppo-steps"),
        (["--seeds", "1", "1"], "seeds must be one or more, each once, got [1, 1]"),
        (["--seeds", "-1"], "seed must be at least 0, got -1"),
        (["--mass", "0"], "mass must be finite and greater than 0"),
        (["--redraw"], "holds no comparison"),
    ],
)
def test_mistakes_are_reported_briefly_and_write_nothing(
    arguments, message, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        command_line.main(["compare", *arguments])
    assert stop.value.code == 2
    printed = capsys.readouterr().err.strip()
    assert message in printed
    assert len(printed.splitlines()) <= 10
    assert not list(tmp_path.iterdir())


def test_a_folder_with_something_else_is_left_alone(tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(SystemExit):
        command_line.main(["compare", *TINY, "--out", str(tmp_path)])
    assert "is not empty and holds no comparison" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.slow
def test_the_command_as_a_user_types_it(tmp_path):
    command = [sys.executable, "-m", "agents", "compare", *TINY, "--seeds", "3"]
    command += ["--learners", "bptt", "sac"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=300)
    assert "BPTT" in (tmp_path / "runs" / "comparison" / "table.md").read_text()
