"""What the README and the examples show works as it is written."""

import re
import runpy
import shlex
import sys
from pathlib import Path

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pytest

from agents import OptimalPolicy, evaluate, load_model
from agents.__main__ import main, parse
from fbx_env import make

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted(path.name for path in (ROOT / "examples").glob("*.py"))


@pytest.fixture
def run_example(tmp_path, monkeypatch, capsys, unchecked):
    """A function that runs an example as a script, in an empty folder, for what it prints."""

    def run(name: str, *arguments: str) -> str:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        runpy.run_path(str(ROOT / "examples" / name), run_name="__main__")
        return capsys.readouterr().out

    yield run
    plt.close("all")


def test_there_are_examples():
    assert "tutorial.py" in EXAMPLES


@pytest.mark.filterwarnings("ignore:jax.core.pytype_aval_mappings")  # TensorFlow Probability.
@pytest.mark.parametrize("name", EXAMPLES)
def test_example_runs(name, run_example):
    assert run_example(name, "--quick")


def test_system_identification_finds_mass_and_damping_within_a_percent(run_example):
    printed = run_example("system_identification.py")
    errors = [float(number) for number in re.findall(r"([\d.]+) %", printed)]
    assert len(errors) == 2
    assert max(errors) < 1


def test_riccatis_recursion_by_hand_finds_the_optimum_and_its_gains(run_example):
    printed = run_example("lqr.py")
    losses = re.search(r"loss ([\d.e-]+), of optimal_loss ([\d.e-]+)", printed).groups()
    assert float(losses[0]) == pytest.approx(float(losses[1]), rel=1e-9)
    assert float(re.search(r"to ([\d.e-]+) of the largest", printed)[1]) < 1e-6


def test_the_pendulum_that_is_shown_swings_with_the_period_of_one():
    plant = runpy.run_path(str(ROOT / "examples" / "pendulum.py"))["Pendulum"](damping=0.0)
    dt = 2 * jnp.pi * jnp.sqrt(plant.length / 9.81) / 40
    state, angles = plant.init(plant.tip(jnp.asarray(0.01))), []
    for _ in range(40):
        state = plant.step(state, jnp.zeros(1), lambda effector: jnp.zeros(2), dt)
        angles.append(float(state.angle))
    np.testing.assert_allclose(angles[9::10], [0, -0.01, 0, 0.01], atol=1e-5)


@pytest.mark.slow
def test_gradients_find_the_exact_optimum(run_example):
    printed = run_example("trajectory_optimisation.py")
    ratio = float(re.search(r"L-BFGS: ([\d.]+) times the optimum", printed)[1])
    assert 1 - 1e-4 < ratio < 1.001


@pytest.mark.slow
def test_the_posterior_contains_the_truth_as_often_as_it_says(run_example):
    printed = run_example("inference.py")
    intervals = re.findall(r"interval ([\d.]+) to ([\d.]+) .*, truth ([\d.]+)", printed)
    assert len(intervals) == 2
    for low, high, truth in intervals:
        assert float(low) < float(truth) < float(high)
        assert float(high) - float(low) < 0.1
    coverage = [int(share) for share in re.findall(r"contain it in (\d+)%", printed)]
    assert len(coverage) == 2
    # Of 200 recordings; 90 % within three standard deviations.
    assert all(84 <= share <= 96 for share in coverage)


def test_a_plan_made_anew_at_every_step_is_the_optimal_feedback(run_example):
    printed = run_example("model_predictive_control.py", "--quick")
    once, replanned, optimal = (float(loss) for loss in re.findall(r"loss ([\d.e+-]+)", printed))
    assert replanned == optimal
    assert once > 1000 * optimal


def test_readme_code_runs_from_top_to_bottom(tmp_path, monkeypatch):
    """As it is written, but for the number and size of batches and phases."""
    text = (ROOT / "README.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 7
    monkeypatch.chdir(tmp_path)
    namespace: dict = {}
    for block in blocks:
        short = re.sub(r"n_batches=\d+(, batch_size=\d+)?", "n_batches=3, batch_size=4", block)
        short = re.sub(r"n_field=\d+", "n_baseline=1, n_field=1, n_washout=1", short)
        exec(short, namespace)
    plt.close("all")
    assert (tmp_path / "runs" / "tutorial" / "history.csv").exists()
    assert namespace["smooth"].readout.bias.shape == (2,)
    assert (tmp_path / "runs" / "mine" / "policy.model").exists()


def test_readme_is_short_and_shows_the_pictures_that_are_there():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 250
    pictures = re.findall(r"examples/images/[\w.]+", text)
    there = {f"examples/images/{path.name}" for path in (ROOT / "examples" / "images").iterdir()}
    assert set(pictures) == there
    for picture in pictures:
        assert (ROOT / picture).stat().st_size < 250_000


def test_readme_names_files_that_are_there():
    text = (ROOT / "README.md").read_text()
    named = {*re.findall(r"examples/\w+\.\w+", text), *re.findall(r"tests/\w+\.txt", text)}
    named |= {f"examples/{name}" for name in re.findall(r"`(\w+\.ipynb)`", text)}
    assert len(named) >= 6
    assert not [name for name in named if not (ROOT / name).exists()]


def test_readme_commands_can_be_read():
    text = (ROOT / "README.md").read_text()
    lines = re.findall(r"^\.venv/bin/python -m agents ([^`\n]*)", text, re.MULTILINE)
    assert len(lines) >= 4
    for line in lines:
        parse(shlex.split(line, comments=True))


def test_float64_is_switched_on_as_the_readme_says(tmp_path, double_precision, key):
    """Then a controller reaches the optimum to ten digits, and whole runs are in float64."""
    text = (ROOT / "README.md").read_text()
    assert 'jax.config.update("jax_enable_x64", True)' in text
    assert "JAX_ENABLE_X64=1" in text
    env, params = make(motor_delay=1, max_steps_in_episode=30)
    trials = params.task.validation_trials()
    metrics, _ = evaluate(OptimalPolicy(params), env, params, trials, key=key)
    assert metrics["ratio_to_optimum"] == pytest.approx(1, abs=1e-10)
    size = ["--n-batches", "2", "--batch-size", "2", "--hidden-size", "2"]
    main(["train", *size, "--max-steps-in-episode", "3", "--out", str(tmp_path / "run")])
    policy, params = load_model(tmp_path / "run")
    assert policy.readout.weight.dtype == params.plant.mass.dtype == jnp.float64
