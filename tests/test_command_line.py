"""The commands a user types, and what they say to mistakes."""

import json
import subprocess
import sys

import equinox as eqx
import pandas as pd
import pytest

import agents.__main__ as command_line
from agents import BPTTConfig, GRUPolicy, History, load_model, save_model
from agents.actors import ActorPolicy
from agents.devices import Computers
from agents.pictures import PICTURES
from agents.policies import count_replicates
from fbx_env import make

QUICK = ["--n-batches", "6", "--batch-size", "2", "--log-step", "4", "--hidden-size", "5"]


@pytest.fixture
def run_folder(tmp_path, capsys):
    folder = tmp_path / "a run"
    command_line.main(["train", *QUICK, "--motor-delay", "1", "--out", str(folder)])
    capsys.readouterr()
    return folder


def test_a_run_is_one_folder(run_folder):
    names = {"config.json", "history.csv", "metrics.json", "model.json", "model.npz"}
    names |= {"loss_history.png", "reaches.png"}
    assert {path.name for path in run_folder.iterdir()} == names
    config = json.loads((run_folder / "config.json").read_text())
    assert config["experiment"]["motor_delay"] == 1
    assert config["bptt"]["n_batches"] == 6
    assert len(pd.read_csv(run_folder / "history.csv")) == 6
    metrics = json.loads((run_folder / "metrics.json").read_text())
    assert metrics["optimum"]["environment"] == pytest.approx(1.498705e-4, rel=1e-6)
    assert set(metrics["losses"]) == {
        *("position", "final_velocity", "command", "hidden", "total", "environment")
    }
    assert metrics["compile_seconds"] > 0
    assert metrics["wall_clock_seconds"] > metrics["train_seconds"]
    assert {"jax", "gymnax", "python", "fbx-env"} <= set(metrics["versions"])
    for name in ("loss_history.png", "reaches.png"):
        assert (run_folder / name).read_bytes().startswith(b"\x89PNG")
    policy, params = load_model(run_folder)
    assert params.motor.delay == 1
    assert policy.cell.hidden_size == 5


def test_evaluate_finds_the_numbers_of_training_again(run_folder, capsys):
    command_line.main(["evaluate", str(run_folder)])
    assert "times the optimum" in capsys.readouterr().out
    trained = json.loads((run_folder / "metrics.json").read_text())
    again = json.loads((run_folder / "evaluation.json").read_text())
    assert again["losses"] == pytest.approx(trained["losses"], rel=1e-6)
    assert (run_folder / "evaluation.png").exists()
    command_line.main(["evaluate", str(run_folder), "--grid-n", "2", "--n-directions", "3"])


def test_a_run_is_not_overwritten_unasked(run_folder, capsys):
    before = (run_folder / "model.npz").read_bytes()
    with pytest.raises(SystemExit) as stop:
        command_line.main(["train", *QUICK, "--seed", "1", "--out", str(run_folder)])
    assert stop.value.code == 2
    assert "is not empty; give another --out, or --overwrite" in capsys.readouterr().err
    assert (run_folder / "model.npz").read_bytes() == before
    command_line.main(["train", *QUICK, "--seed", "1", "--out", str(run_folder), "--overwrite"])
    assert (run_folder / "model.npz").read_bytes() != before


def test_a_run_that_fails_keeps_the_model_and_says_why(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        command_line.main(
            ["train", *QUICK, "--out", str(tmp_path / "run"), "--command-weight", "1e38",
             "--learning-rate", "1e6"]
        )  # fmt: skip
    assert stop.value.code == 1
    assert "training stopped at iteration" in capsys.readouterr().err
    load_model(tmp_path / "run")
    assert not (tmp_path / "run" / "metrics.json").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--mass", "-1"], "mass must be finite and greater than 0, got -1.0"),
        (["train", "--dt", "0"], "dt must be finite and greater than 0, got 0.0"),
        (["train", "--workspace", "1", "0", "0", "1"], "each low below its high, got [[1.0, 0.0]"),
        (["train", "--sensory-delay", "0.5"], "Error parsing --sensory-delay"),
        (["train", "--motor-delay", "-1"], "motor delay must be at least 0, got -1"),
        (["train", "--mas", "1"], "Unrecognized options: --mas"),
        (["train", "--hidden-type", "gro"], "Expected one of ('gru', 'lstm', 'rnn', 'mlp')"),
        (["train", "--n-batches", "0"], "n_batches must be at least 1, got 0"),
        (["train", "--seed", "-1"], "seed must be at least 0, got -1"),
        (["train", "--seed", "99999999999"], "seed must be at most 4294967295, got 99999999999"),
        (["train", "--n-steps", "0"], "n_steps must be at least 1, got 0"),
        (["evaluate", "nowhere"], "nowhere is not a run: it holds no model.json and model.npz"),
        (["train", "--n-replicates", "0"], "n_replicates must be at least 1, got 0"),
        (["plot", "nowhere"], "nowhere is not a run: it holds no model.json and model.npz"),
        (["fly"], "Available subcommands: train, evaluate, plot, sb3, compare"),
        ([], "Expected one of {train, evaluate, plot, sb3, compare, benchmark}"),
    ],
)
def test_mistakes_are_told_in_two_lines_and_write_nothing(
    arguments, message, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        command_line.main(arguments)
    printed = capsys.readouterr().err.strip()
    assert stop.value.code == 2
    assert message in printed
    assert len(printed.splitlines()) <= 2
    assert "Traceback" not in printed
    assert not list(tmp_path.iterdir())


def test_help_explains_every_field(capsys):
    with pytest.raises(SystemExit) as stop:
        command_line.main(["train", "--help"])
    assert stop.value.code == 0
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for kind in (command_line.Train, command_line.Experiment, BPTTConfig, Computers):
        for name in kind.__dataclass_fields__:
            if name not in ("experiment", "bptt", "computers"):
                option = text.split(f"--{name.replace('_', '-')} ", 1)[1]
                explanation = option.split("(default:")[0]
                assert len(explanation.split()) > 2, name


@pytest.mark.slow
def test_the_main_job_ends_close_to_the_optimum(tmp_path):
    """The default command, as a user types it."""
    command = [sys.executable, "-m", "agents", "train", "--out", "run"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=300)
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["losses"]["total"] <= 2.1e-4
    assert 1.0 <= metrics["ratio_to_optimum"] <= 1.02


def test_plot_draws_every_picture(run_folder, capsys):
    command_line.main(["plot", str(run_folder)])
    printed = capsys.readouterr().out
    for name in PICTURES:
        content = (run_folder / name).read_bytes()
        assert content.startswith(b"GIF8" if name.endswith(".gif") else b"\x89PNG")
        assert name in printed


def test_the_untrained_model_of_a_run_is_the_one_it_began_with(tmp_path):
    """A run whose updates do nothing ends with it."""
    command = ["train", *QUICK, "--learning-rate", "1e-30", "--n-replicates", "2"]
    command_line.main([*command, "--out", str(tmp_path / "run")])
    config = command_line.Train.load(tmp_path / "run")
    untrained = config.untrained(*config.experiment.make())
    assert eqx.tree_equal(load_model(tmp_path / "run")[0], untrained, atol=1e-20, rtol=0)


def test_replicates_are_trained_judged_and_drawn(tmp_path, capsys):
    folder = tmp_path / "five"
    command_line.main(["train", *QUICK, "--n-replicates", "3", "--out", str(folder)])
    printed = capsys.readouterr().out
    assert "mean training loss" in printed
    assert "Means of 3 replicates" in printed
    assert count_replicates(load_model(folder)[0]) == 3
    assert History.load(folder / "history.csv").n_replicates == 3
    metrics = json.loads((folder / "metrics.json").read_text())
    assert len(metrics["replicates"]) == 3
    command_line.main(["evaluate", str(folder)])
    again = json.loads((folder / "evaluation.json").read_text())
    assert again["replicates"][2]["losses"] == pytest.approx(metrics["replicates"][2]["losses"])
    command_line.main(["plot", str(folder), "--replicate", "2"])
    with pytest.raises(SystemExit):
        command_line.main(["plot", str(folder), "--replicate", "3"])
    assert "replicate must be at most 2, got 3" in capsys.readouterr().err


def test_a_saved_model_is_judged_and_drawn_without_its_training(tmp_path, key, capsys):
    _, params = make(max_steps_in_episode=40)
    save_model(tmp_path, GRUPolicy(8, 2, 5, key=key), params)
    command_line.main(["evaluate", str(tmp_path)])
    assert "Endpoint error" in capsys.readouterr().out
    command_line.main(["plot", str(tmp_path)])
    drawn = {path.name for path in tmp_path.iterdir()} & set(PICTURES)
    unknown = {"loss_history.png", "training_and_validation.png", "reaches_untrained.png"}
    assert drawn == set(PICTURES) - unknown


def test_a_policy_without_recurrent_units_is_drawn_without_their_pictures(tmp_path, key):
    _, params = make(max_steps_in_episode=40)
    save_model(tmp_path, ActorPolicy(8, 2, (4,), key=key), params)
    command_line.main(["plot", str(tmp_path)])
    drawn = {path.name for path in tmp_path.iterdir()} & set(PICTURES)
    assert drawn == {"reaches.png", "speed_profiles.png", "reach_endpoints.png", "reaches.gif"}
