"""Learners register themselves, and everything finds them in one place."""

import dataclasses
import importlib.metadata
import json
import types

import jax
import pytest

import agents.__main__ as command_line
from agents import GRUPolicy, History, load_model, save_model
from agents.commands import compare
from agents.commands.shared import TrainingCommand, write_metrics
from agents.learners import Budget, Learner, learners, register, registry
from agents.storage.runs import key_from


@dataclasses.dataclass(frozen=True)
class Guess(TrainingCommand):
    """Guess weights, and keep the last."""

    name = "guess"
    command = "guess"
    policy_costs = ()
    default_folder = "guess"

    guesses: int = 3

    def untrained(self, env, params):
        return GRUPolicy(8, len(params.plant.controls), 2, key=key_from(self.seed))

    def prepare(self):
        return self.experiment.make()

    def complete(self, folder, prepared):
        _, params = prepared
        history = History()
        for index in range(self.guesses):
            policy = GRUPolicy(8, 2, 2, key=jax.random.key(index))
            losses = {"position": [1.0], "total": [1.0], "environment_steps": [10 * (index + 1)]}
            history.extend(losses, seconds=index + 0.1)
            history.add_validation(dict.fromkeys((*params.loss.names, "total"), 1.0))
        history.save(folder / "history.csv")
        save_model(folder, policy, params)
        metrics = self.finish(folder, policy, params, history, key_from(self.seed))
        write_metrics(folder, metrics, 0.0)

    def tidy(self, folder):
        pass


@pytest.fixture
def guess(monkeypatch):
    """A learner of another package."""
    budget = Budget("guesses", "guesses", 3, "Guesses of it.")
    monkeypatch.setattr(registry, "_registered", dict(learners()))
    return register(Learner("guess", "Guessing", "guess", Guess, budget))


def test_a_learner_of_ones_own_is_trained_compared_and_drawn(guess, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = ["--max-steps-in-episode", "4", "--mass", "2"]
    command_line.main(["guess", "--guesses", "2", *small, "--out", "run"])
    assert json.loads((tmp_path / "run" / "config.json").read_text())["learner"] == "guess"
    assert load_model("run")[1].plant.mass == 2
    for command in ("evaluate", "plot"):
        command_line.main([command, "run"])
    capsys.readouterr()

    monkeypatch.setattr(compare, "run_apart", lambda words, request: command_line.main(words) or 0)
    command = ["compare", "--learners", "guess", "--seeds", "0", "--guess-guesses", "2", *small]
    command_line.main([*command, "--out", "all"])
    assert "Guessing" in (tmp_path / "all" / "table.md").read_text()
    assert History.load("all/guess-seed0/history.csv")["environment_steps"].tolist() == [10, 20]
    with pytest.raises(SystemExit):
        command_line.main(["fly"])
    assert "guess" in capsys.readouterr().err


def test_names_and_commands_are_taken_once(guess):
    for changes in ({"name": "guess", "command": "other"}, {"name": "other", "command": "guess"}):
        learner = Learner("", "", "", TrainingCommand, guess.budget)
        with pytest.raises(ValueError, match="guess"):
            register(types.SimpleNamespace(**{**vars(learner), **changes}))
    assert register(guess) is guess


def test_other_packages_name_theirs_as_entry_points(monkeypatch):
    loaded = []
    entry = types.SimpleNamespace(load=lambda: loaded.append("mine"))
    monkeypatch.setattr(
        importlib.metadata,
        "entry_points",
        lambda group: [entry] if group == "fbx_env.learners" else [],
    )
    registry._import_all.cache_clear()
    learners()
    assert loaded == ["mine"]


def test_the_shipped_learners_are_known():
    assert list(learners()) == ["bptt", "ppo", "recurrent-ppo", "sac"]
    labels = [learner.label for learner in learners().values()]
    assert labels == ["BPTT", "PPO", "RecurrentPPO", "SAC"]
    for learner in learners().values():
        assert learner.budget.default > 0
        assert hasattr(learner.options, "run")
