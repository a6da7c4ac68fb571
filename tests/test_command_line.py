"""The commands a user types, and how mistakes are reported."""

import dataclasses
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys

import equinox as eqx
import jax.numpy as jnp
import pandas as pd
import pytest

import agents.__main__ as command_line
from agents import GRUPolicy, History, load_model, save_model
from agents.commands.train import Train
from agents.policies import ActorPolicy, count_replicates
from agents.reports.comparison import fingerprint
from agents.reports.figures import ANIMATION, FIGURES
from fbx_env import Control, PointMass, ReachParams, TwoLinkArm, make, registration

QUICK = ["--n-batches", "3", "--batch-size", "2", "--log-step", "2", "--hidden-size", "3"]
QUICK += ["--max-steps-in-episode", "8", "--dt", "0.2"]
DRAWN = {*(f"{stem}.png" for stem in FIGURES), ANIMATION}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A finished run of two replicates with a delay; tests only add to it."""
    folder = tmp_path_factory.mktemp("runs") / "a run"
    command = ["train", *QUICK, "--motor-delay", "1", "--n-replicates", "2", "--seed", "3"]
    command_line.main([*command, "--out", str(folder)])
    return folder


def refused(capsys, *words, status=2):
    """What a command that is refused prints on standard error."""
    with pytest.raises(SystemExit) as stop:
        command_line.main([str(word) for word in words])
    printed = capsys.readouterr()
    assert stop.value.code == status, printed
    assert "Traceback" not in printed.err
    return printed.err


def test_a_run_is_one_folder(trained):
    names = {"config.json", "history.csv", "metrics.json", "policy.model"}
    assert names | {"loss_history.png", "reaches.png"} <= {path.name for path in trained.iterdir()}
    config = json.loads((trained / "config.json").read_text())
    assert config["learner"] == "bptt"
    numbers = {"max_steps_in_episode": 8, "dt": 0.2, "motor_delay": 1}
    parts = {"loads": [], "interventions": []}
    assert config["experiment"] == {"id": "PointMassReach-v0", **parts, "numbers": numbers}
    assert config["bptt"]["n_batches"] == 3
    assert not {"out", "overwrite", "resume"} & set(config)
    history = pd.read_csv(trained / "history.csv")
    assert list(history["iteration"]) == [0, 1, 2]
    assert list(history["environment_steps"]) == [16, 32, 48]
    metrics = json.loads((trained / "metrics.json").read_text())
    _, params = make(**numbers)
    assert set(metrics["losses"]) == {*params.loss.names, "hidden", "total", "environment"}
    assert len(metrics["replicates"]) == 2
    assert metrics["compile_seconds"] > 0
    assert metrics["wall_clock_seconds"] > metrics["train_seconds"]
    assert {"jax", "gymnax", "python", "fbx-env"} <= set(metrics["versions"])
    for name in ("loss_history.png", "reaches.png"):
        assert (trained / name).read_bytes().startswith(b"\x89PNG")
    policy, params = load_model(trained)
    assert params.motor.delay == 1
    assert policy.cell.hidden_size == 3
    assert count_replicates(policy) == History.load(trained / "history.csv").n_replicates == 2


def test_evaluate_finds_the_metrics_of_training_again(trained, capsys):
    command_line.main(["evaluate", str(trained)])
    printed = capsys.readouterr().out
    assert "Means of 2 replicates" in printed
    assert "times the optimum" in printed
    before = json.loads((trained / "metrics.json").read_text())
    again = json.loads((trained / "evaluation.json").read_text())
    assert again["changes"] == {"loads": [], "interventions": [], "numbers": {}}
    for one, other in zip(before["replicates"], again["replicates"], strict=True):
        assert one["losses"] == pytest.approx(other["losses"], rel=1e-6)
    assert (trained / "evaluation.png").exists()


def test_a_training_goes_on_from_a_run_in_another_experiment(trained, tmp_path, capsys):
    going_on = ["train", "--from", str(trained), "--n-batches", "2", "--batch-size", "2"]
    field = ["--load", "curl", "--strength", "2"]
    command_line.main([*going_on, *field, "--out", str(tmp_path / "field")])
    (before, params), (after, in_field) = (
        load_model(folder) for folder in (trained, tmp_path / "field")
    )
    assert in_field.motor.delay == params.motor.delay == 1
    assert [float(load.strength) for load in in_field.loads] == [2.0]
    assert count_replicates(after) == 2
    assert not eqx.tree_equal(before, after)
    own = History.load(trained / "history.csv")
    joined = History.load(tmp_path / "field" / "history.csv")
    assert len(joined) == len(own) + 2
    shown = own["training_total"]
    assert joined["training_total"][: len(own)].tolist() == shown.tolist()
    config = json.loads((tmp_path / "field" / "config.json").read_text())
    assert config["start"] == str(trained)

    # With a step of no length the policy stays what it was.
    still = ["--learning-rate", "1e-30", "--overwrite", "--load", "none"]
    going_on[2] = str(tmp_path / "field")
    command_line.main([*going_on, *still, "--out", str(tmp_path / "null")])
    washed_out, without = load_model(tmp_path / "null")
    assert without.loads == ()
    assert eqx.tree_equal(washed_out, after)
    assert len(History.load(tmp_path / "null" / "history.csv")) == len(own) + 4

    # It is drawn without the run that it went on from, but for reaches before training.
    shutil.rmtree(tmp_path / "field")
    command_line.main(["plot", str(tmp_path / "null")])
    drawn = capsys.readouterr().out
    assert "loss_history.png" in drawn
    assert "reaches_untrained.png" not in drawn
    going_on[2] = str(trained)

    message = refused(capsys, *going_on, "--hidden-size", 3)
    assert f"--from {going_on[2]}" in message
    assert "leave out --hidden-size" in message
    assert "9 numbers" in refused(
        capsys, *going_on, "--time-in-observation", "--out", tmp_path / "x"
    )
    assert "--env" in refused(capsys, *going_on, "--env", "PointMassHold-v0")
    assert "nowhere" in refused(capsys, "train", "--from", tmp_path / "nowhere")


def test_several_runs_are_evaluated_in_another_experiment_and_tabled(trained, tmp_path, capsys):
    _, params = make(max_steps_in_episode=8)
    policy, _ = load_model(trained)
    save_model(tmp_path / "one", eqx.tree_at(lambda p: p.readout.bias, policy, 5.0), params)
    changes = ["--mass", "3", "--load", "curl", "--strength", "2", "--eval-n-directions", "4"]
    command_line.main(["evaluate", str(trained), str(tmp_path / "one"), *changes])
    printed = capsys.readouterr().out
    assert "4 policies of 2 runs" in printed
    metrics = [
        json.loads((folder / "evaluation.json").read_text())
        for folder in (trained, tmp_path / "one")
    ]
    numbers = {"mass": 3.0, "strength": 2.0, "eval_n_directions": 4}
    assert metrics[0]["changes"] == {"loads": ["curl"], "interventions": [], "numbers": numbers}
    totals = [each["losses"]["total"] for one in metrics for each in one["replicates"]]
    rows = {
        cells[1]: cells[2:6]
        for line in printed.splitlines()
        if len(cells := [cell.strip() for cell in line.split("|")]) == 7
    }
    frame = pd.Series(totals)
    expected = [frame.mean(), frame.std(), frame.min(), frame.max()]
    assert [float(cell) for cell in rows["total"]] == pytest.approx(expected, rel=1e-3)


def test_plot_draws_every_figure(trained, capsys):
    command_line.main(["plot", str(trained), "--replicate", "1", "--eval-n-directions", "4"])
    printed = capsys.readouterr().out
    for name in DRAWN:
        content = (trained / name).read_bytes()
        assert content.startswith(b"GIF8" if name.endswith(".gif") else b"\x89PNG")
        assert name in printed
    message = refused(capsys, "plot", trained, "--replicate", 2)
    assert "replicate must be at most 1, got 2" in message


def test_figures_are_drawn_in_other_formats(tmp_path, key):
    """A model alone, without recurrent units, has no history and no activity to draw."""
    _, params = make(max_steps_in_episode=8)
    save_model(tmp_path, ActorPolicy(8, 2, (4,), key=key), params)
    command_line.main(["plot", str(tmp_path), "--format", "pdf"])
    names = {path.name for path in tmp_path.iterdir()} - {"policy.model"}
    assert names == {"reaches.pdf", "speed_profiles.pdf", "reach_endpoints.pdf", "reaches.gif"}
    content = (tmp_path / "reaches.pdf").read_bytes()
    assert content.startswith(b"%PDF")
    assert b"/FontFile2" in content  # TrueType, which editors can edit.


def test_a_saved_model_is_evaluated_and_drawn_without_its_training(tmp_path, key, capsys):
    _, params = make(max_steps_in_episode=8)
    save_model(tmp_path, GRUPolicy(8, 2, 5, key=key), params)
    command_line.main(["evaluate", str(tmp_path)])
    assert "Endpoint error" in capsys.readouterr().out
    command_line.main(["plot", str(tmp_path)])
    unknown = {"loss_history.png", "training_and_validation.png", "reaches_untrained.png"}
    assert {path.name for path in tmp_path.iterdir()} & DRAWN == DRAWN - unknown


def test_a_run_is_not_overwritten_unasked(tmp_path, capsys):
    folder = tmp_path / "run"
    command = ["train", *QUICK, "--out", str(folder)]
    command_line.main(command)
    before = (folder / "policy.model").read_bytes()
    message = refused(capsys, *command, "--seed", "1")
    assert "is not empty; give another --out, or --overwrite" in message
    assert (folder / "policy.model").read_bytes() == before
    command_line.main([*command, "--seed", "1", "--overwrite"])
    assert (folder / "policy.model").read_bytes() != before


def test_a_run_that_fails_keeps_the_policy_and_reports_why(tmp_path, capsys):
    huge = ["--command-weight", "1e38", "--learning-rate", "1e6"]
    message = refused(capsys, "train", *QUICK, "--out", tmp_path / "run", *huge, status=1)
    assert "training stopped at iteration" in message
    load_model(tmp_path / "run")
    assert not (tmp_path / "run" / "metrics.json").exists()


def test_the_untrained_policy_of_a_run_is_the_one_it_began_with(tmp_path):
    """A run whose updates do nothing ends with it."""
    command = ["train", *QUICK, "--learning-rate", "1e-30", "--n-replicates", "2"]
    command_line.main([*command, "--out", str(tmp_path / "run")])
    command = Train.load(tmp_path / "run")
    untrained = command.untrained(*command.experiment.make())
    assert eqx.tree_equal(load_model(tmp_path / "run")[0], untrained, atol=1e-20, rtol=0)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "--mass", "-1"], "mass must be finite and greater than 0, got -1.0"),
        (["train", "--dt", "0"], "dt must be finite and greater than 0, got 0.0"),
        (["train", "--workspace", "1", "0", "0", "1"], "each low below its high"),
        (["train", "--workspace", "1", "0"], "--workspace"),
        (["train", "--sensory-delay", "0.5"], "--sensory-delay"),
        (["train", "--motor-delay", "-1"], "motor_delay must be at least 0, got -1"),
        (["train", "--sensory-noise"], "sensory_noise must have numbers"),
        (["train", "--load", "curly"], "'curly'"),
        (["train", "--strength", "13"], "Unrecognized options: --strength"),
        (["train", "--env", "PointMassFly-v0"], "'PointMassFly-v0'"),
        (["train", "--mas", "1"], "Unrecognized options: --mas"),
        (["train", "--hidden-type", "gro"], "'gro'"),
        (["train", "--n-batches", "0"], "n_batches must be at least 1, got 0"),
        (["train", "--seed", "-1"], "seed must be at least 0, got -1"),
        (["train", "--seed", "99999999999"], "seed must be at most 4294967295, got 99999999999"),
        (["train", "--max-steps-in-episode", "0"], "max_steps_in_episode must be at least 1"),
        (["train", "--n-replicates", "0"], "n_replicates must be at least 1, got 0"),
        (["train", "--encoding-size", str(10**18)], "encoding_size must be at most"),
        (["train", "--hidden-size", "1000000", "--encoding-size", "1000000"], "too much for the m"),
        (["train", "--n-replicates", "1000000", "--hidden-size", "9999"], "too much for the mac"),
        (["train", "--hidden-weight", str(2**63), "--n-batches", "0"], "n_batches must be"),
        (
            ["train", "--env", "TwoLinkArmReach-v0", "--workspace", "2", "2", "3", "3"],
            "start must be within the reach of TwoLinkArm",
        ),
        (["train", "--hidden-weight", "-1"], "hidden_weight must be finite and at least 0"),
        (["evaluate"], "RUN must be given"),
        (["evaluate", "nowhere"], "nowhere is not a run: it holds no policy.model"),
        (["plot", "nowhere"], "nowhere is not a run: it holds no policy.model"),
        (["plot"], "RUN"),
        (["fly"], "Available subcommands: train, sb3, evaluate, plot, analyse, compare, benchmark"),
        (["sb3"], "Expected one of {ppo, recurrent-ppo, sac}"),
        ([], "Expected one of {train, sb3, evaluate, plot, analyse, compare, benchmark}"),
    ],
)  # fmt: skip
def test_mistakes_are_reported_briefly_and_write_nothing(
    words, message, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    printed = refused(capsys, *words)
    assert message in " ".join(printed.replace("│", " ").split())
    assert len(printed.splitlines()) <= 14
    # What is suggested belongs to the command that was given.
    assert "benchmark" not in printed or not words or words[0] == "fly"
    assert not list(tmp_path.iterdir())


def test_help_explains_every_option(capsys):
    with pytest.raises(SystemExit) as stop:
        command_line.main(["train", "--load", "curl", "--help"])
    assert stop.value.code == 0
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    own = [each.name for each in dataclasses.fields(Train)]
    own = [name for name in own if name not in ("start", "experiment", "bptt", "computers")]
    own += ["from"]
    own += ["n_batches", "batch_size", "learning_rate", "clip_norm", "rematerialise", "log_step"]
    own += ["devices", "coordinator", "n_processes", "process", "env", "load"]
    declared = ["mass", "dt", "workspace", "eval_n_directions", "command_weight", "strength"]
    for name in own + declared:
        option = text.split(f"--{name.replace('_', '-')} ", 1)[1]
        explanation = option.split("(default:")[0]
        assert len(explanation.split()) > 2, name
    assert "Mass of the point [kg], greater than 0. (default: 1.0)" in text
    assert "--policy-costs" not in text


def test_the_version_and_the_list_of_commands_need_no_jax():
    """Importing JAX takes seconds, and torch and matplotlib some more."""
    script = (
        "import contextlib, sys\n"
        "from agents.__main__ import main\n"
        "for words in (['--version'], ['--help']):\n"
        "    with contextlib.suppress(SystemExit):\n"
        "        main(words)\n"
        "heavy = {'jax', 'torch', 'matplotlib', 'gymnax'} & set(sys.modules)\n"
        "from agents.learners import learners\n"
        "learners()\n"
        "assert 'torch' not in sys.modules\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"fbx-env {importlib.metadata.version('fbx-env')}\n")
    for name in command_line.COMMANDS:
        assert f"• {name}" in done.stdout
    assert "Union" not in done.stdout


def test_commands_import_seaborn_when_it_is_asked_for():
    """It takes half of gymnax's import."""
    script = (
        "import contextlib, sys\n"
        "from agents.__main__ import main\n"
        "with contextlib.suppress(SystemExit):\n"
        "    main(['train', '--help'])\n"
        "import importlib.util, inspect\n"
        "assert importlib.util.find_spec('seaborn').name == 'seaborn'\n"
        "inspect.getmodule(type('Nowhere', (), {'__module__': 'nowhere'}))\n"
        "assert 'gymnax' in sys.modules and 'seaborn.palettes' not in sys.modules\n"
        "import seaborn\n"
        "assert len(seaborn.color_palette('cubehelix', 3)) == 3\n"
        "import seaborn.palettes, seaborn as again\n"
        "assert again is sys.modules['seaborn'] and again.palettes is seaborn.palettes\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_program_is_kept_where_the_user_wants_programs_kept(tmp_path):
    own = command_line.KEEP_EVERY_PROGRAM
    environment = {name: value for name, value in os.environ.items() if name not in own}
    environment["JAX_COMPILATION_CACHE_DIR"] = str(tmp_path)
    script = (
        "import contextlib\n"
        "from agents.__main__ import main\n"
        "with contextlib.suppress(SystemExit):\n"
        "    main(['--version'])\n"
        "import jax\n"
        "jax.numpy.zeros(3) + jax.numpy.ones(3)\n"
    )
    subprocess.run([sys.executable, "-c", script], env=environment, check=True)
    assert list(tmp_path.iterdir())


@pytest.mark.optimised
@pytest.mark.slow
def test_the_main_job_ends_close_to_the_optimum(tmp_path):
    """The default command, as a user types it."""
    command = [sys.executable, "-m", "agents", "train", "--out", "run"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=300)
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["losses"]["total"] <= 2.1e-4
    assert metrics["optimum"]["environment"] == pytest.approx(1.374965e-4, rel=1e-6)
    assert 1.0 <= metrics["ratio_to_optimum"] <= 1.02


class Tugs(PointMass):
    """A mass that six ropes pull, each only towards itself."""

    @property
    def controls(self):
        return tuple(Control(f"rope {index}", "N", 0.0, 3.0) for index in range(6))

    def step(self, state, control, load, dt):
        angles = jnp.arange(6) * jnp.pi / 3
        force = control @ jnp.stack([jnp.cos(angles), jnp.sin(angles)], -1)
        return super().step(state, force, load, dt)


@pytest.mark.parametrize(
    "training",
    [
        ["train", *QUICK],
        [
            "sb3",
            "ppo",
            "--total-steps",
            "16",
            "--n-envs",
            "2",
            "--rollout-steps",
            "8",
            "--batch-size",
            "16",
        ],
    ],
)
def test_a_plant_with_six_commands_is_trained_evaluated_and_drawn(training, tmp_path, monkeypatch):
    """Its commands are no forces in the plane, and none is negative."""
    monkeypatch.setitem(registration.BODIES, "Tugs", lambda: ReachParams(plant=Tugs()))
    monkeypatch.setitem(registration.IDS, "TugsReach-v0", ("Tugs", "Reach"))
    folder = str(tmp_path / "run")
    options = ["--env", "TugsReach-v0", "--max-steps-in-episode", "8", "--mass", "2"]
    command_line.main([*training, *options, "--out", folder])
    for command in (["evaluate", "--damping", "1"], ["plot"]):
        command_line.main([*command, folder])
    policy, params = load_model(folder)
    assert params.plant.mass == 2
    assert policy.readout.bias.shape == (6,)
    assert set(fingerprint(params)) >= {"position", "random_command"}


def test_options_that_are_not_given_are_those_of_the_recipe():
    words = ["train", "--env", "MuscleArmReach-v0", "--batch-size", "2"]
    command = command_line.parse(words)
    assert (command.bptt.n_batches, command.bptt.batch_size) == (15_000, 2)
    assert command.hidden_weight == 0.0
    env, params = command.problem()
    network = command.untrained(env, params)
    assert (network.readout(jnp.zeros(50)) > 0).all()
    assert network.standardisation is not None
    # Replicates are made side by side, also of a plant whose torques go backwards.
    two = dataclasses.replace(command, n_replicates=2)
    assert count_replicates(two.untrained(env, params)) == 2
    other = two.untrained(env, params.replace(plant=TwoLinkArm()))
    assert type(other.readout) is eqx.nn.Linear
    assert command_line.parse(["train"]).bptt.n_batches == 1250
