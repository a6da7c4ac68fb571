"""The command ``python -m agents analyse``."""

import jax
import numpy as np
import pandas as pd
import pytest
from conftest import load_reference

import agents.__main__ as command_line
from agents import LSTMPolicy, MLPPolicy, OptimalPolicy, RNNPolicy, save_model
from fbx_env import make

TABLES = {"tuning", "dimensionality", "subspace_angles", "fixed_points", "eigenvalues"}
TABLES |= {"units"}


def run(*arguments):
    """The exit status of a command."""
    try:
        command_line.main([str(argument) for argument in arguments])
    except SystemExit as stop:
        return stop.code
    return 0


@pytest.fixture
def trained_run(tmp_path):
    recording = load_reference("delay0_trained")
    save_model(tmp_path / "run", recording.policy(), recording.params()[1])
    return tmp_path / "run"


@pytest.fixture
def saved(tmp_path):
    def save(policy, id="PointMassReach-v0", **numbers):
        _, params = make(id, max_steps_in_episode=20, **numbers)
        save_model(tmp_path / "run", policy, params)
        return tmp_path / "run"

    return save


def test_a_run_is_analysed_into_tables_and_figures(trained_run, capsys):
    folder = trained_run
    assert run("analyse", folder, "--n-starts", 2) == 0
    names = {path.stem for path in (folder / "analysis").glob("*.csv")}
    assert names == TABLES
    pictures = {path.stem for path in (folder / "analysis").glob("*.png")}
    assert pictures == {"tuning", "subspaces", "fixed_points", "eigenvalues", "lesions"}
    units = pd.read_csv(folder / "analysis" / "units.csv")
    assert len(units) == 50
    assert units.loss_intact.nunique() == 1
    table = pd.read_csv(folder / "analysis" / "tuning.csv")
    assert len(table) == 2 * 50
    values = pd.read_csv(folder / "analysis" / "eigenvalues.csv")
    # All modes at the end of 7 trials, and the three slowest at the 98 steps before.
    n_modes = {system: 1 + rows["mode"].max() for system, rows in values.groupby("system")}
    assert n_modes["network"] == 50
    assert len(values) == 7 * (sum(n_modes.values()) + 2 * 3 * 98)
    printed = capsys.readouterr().out
    assert "slowest decay at the end, closed loop [1/s]" in printed
    assert (folder / "analysis" / "summary.md").read_text().strip() in printed
    assert "Left out" not in printed


def test_replicates_are_analysed_with_their_spread(saved, tmp_path, capsys, key):
    policies = jax.vmap(lambda key: RNNPolicy(8, 2, 4, key=key))(jax.random.split(key, 2))
    folder = saved(policies)
    out = tmp_path / "elsewhere"
    assert run("analyse", folder, "--out", out, "--n-starts", 1, "--format", "pdf") == 0
    assert set(pd.read_csv(out / "tuning.csv").replicate) == {0, 1}
    assert (out / "eigenvalues.pdf").exists()
    assert not (folder / "analysis").exists()
    printed = capsys.readouterr().out.splitlines()
    assert [cell.strip() for cell in printed[0].split("|")[2:4]] == ["mean", "SD"]
    units = pd.read_csv(out / "units.csv")
    median = (units.loss_without / units.loss_intact).groupby(units.replicate).median()
    (line,) = [line for line in printed if "without a unit, times intact" in line]
    shown = [float(cell) for cell in line.split("|")[2:4]]
    np.testing.assert_allclose(shown, [median.mean(), median.std()], rtol=0.01)


def test_what_a_network_lacks_is_left_out_and_what_it_has_is_not(saved, capsys, key):
    folder = saved(MLPPolicy(8, 2, 4, key=key))
    assert run("analyse", folder, "--n-starts", 1) == 0
    assert "Left out: fixed points (policy must remember something" in capsys.readouterr().out
    names = {path.name for path in (folder / "analysis").iterdir()}
    assert {"units.csv", "lesions.png", "tuning.csv"} < names
    assert not {"fixed_points.csv", "fixed_points.png"} & names


def test_what_the_trials_do_not_allow_is_left_out_and_said(saved, capsys, key):
    folder = saved(LSTMPolicy(8, 2, 3, key=key), "PointMassHold-v0")
    assert run("analyse", folder, "--n-starts", 1) == 0
    printed = capsys.readouterr().out
    assert "Left out: tuning (" in printed
    # Units without activity command nothing, which costs nothing where the body is to stay.
    assert "lesions (a trial costs nothing with all units" in printed
    assert not (folder / "analysis" / "lesions.png").exists()
    assert not (folder / "analysis" / "tuning.csv").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--epochs", "go"], "'go'"),
        (["--n-starts", "0"], "n_starts must be"),
    ],
)
def test_bad_requests_end_with_a_line(saved, capsys, key, words, message):
    folder = saved(LSTMPolicy(8, 2, 3, key=key))
    assert run("analyse", folder, *words) == 2
    assert message in capsys.readouterr().err
    assert not (folder / "analysis").exists()


def test_a_controller_without_units_is_refused(saved, capsys):
    _, params = make(max_steps_in_episode=20)
    folder = saved(OptimalPolicy(params))
    assert run("analyse", folder) == 2
    assert "policy must have units, OptimalPolicy has none" in capsys.readouterr().err


def test_what_is_no_analysis_is_not_replaced(trained_run, tmp_path, capsys):
    out = tmp_path / "mine"
    out.mkdir()
    (out / "units.csv").write_text("mine")
    assert run("analyse", trained_run, "--out", out) == 2
    assert "is not empty, and no analysis" in capsys.readouterr().err
    assert (out / "units.csv").read_text() == "mine"
    (out / "units.csv").unlink()
    for format in ("pdf", "png"):
        words = ["--out", out, "--n-starts", 1, "--format", format]
        assert run("analyse", trained_run, *words) == 0
        assert {path.suffix for path in out.iterdir()} == {".csv", ".json", ".md", f".{format}"}


def test_nothing_is_written_through_a_link_out_of_the_run(saved, tmp_path, capsys, key):
    folder, elsewhere = saved(LSTMPolicy(8, 2, 3, key=key)), tmp_path / "elsewhere"
    elsewhere.mkdir()
    (folder / "analysis").symlink_to(elsewhere)
    assert run("analyse", folder, "--n-starts", 1) == 2
    assert "symbolic link" in capsys.readouterr().err
    assert not list(elsewhere.iterdir())
