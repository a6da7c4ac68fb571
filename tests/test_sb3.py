"""Stable-Baselines3's learners: the same trials, the same evaluation, the same folders."""

import dataclasses
import importlib.util
import json
import signal
import sys
import tempfile

import equinox as eqx
import jax
import numpy as np
import pytest

import agents.__main__ as command_line
from agents import History, TrainingError, evaluate, load_model, sb3
from agents.evaluation import random_trials
from agents.sb3_command import import_sb3
from agents.sb3_recipes import PPORecipe, RecurrentPPORecipe, SACRecipe
from fbx_env import ReachEnv, make

TINY = {
    "ppo": PPORecipe(
        total_steps=160, n_envs=4, rollout_steps=20, batch_size=40, n_epochs=2, n_evaluations=2
    ),
    "recurrent-ppo": RecurrentPPORecipe(
        total_steps=160,
        n_envs=4,
        rollout_steps=20,
        batch_size=40,
        n_epochs=2,
        n_evaluations=2,
        lstm_size=5,
    ),
    "sac": SACRecipe(
        total_steps=80, n_envs=4, warmup_steps=20, updates_per_step=1, n_evaluations=2
    ),
}
"""Recipes that take seconds, for trials of 10 steps."""


@pytest.fixture
def params():
    return make(max_steps_in_episode=10, motor_delay=1)[1]


@pytest.mark.parametrize("name", TINY)
def test_the_actor_does_what_the_learner_predicts(name, params, tmp_path):
    recipe = TINY[name]
    sb3.train_sb3(recipe, params, tmp_path, seed=1, write=None)
    env = sb3.make_learning_env(recipe, params.replace(time_in_observation=True), seed=1)
    learner = sb3.load_learner(recipe, env, tmp_path, sb3.LAST)
    normalizer = learner.get_env()
    policy = sb3.actor_policy(learner)
    rng = np.random.default_rng(0)
    memory, carry = None, policy.initial_carry()
    for step in range(4):
        obs = rng.normal(size=(1, 9)).astype(np.float32)
        action, memory = learner.predict(
            normalizer.normalize_obs(obs),
            state=memory,
            episode_start=np.array([step == 0]),
            deterministic=True,
        )
        command, carry = policy(obs[0], carry)
        np.testing.assert_allclose(command, recipe.force_scale * action[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", TINY)
def test_the_best_model_is_kept_and_judged_like_every_agent(name, params, tmp_path):
    history = sb3.train_sb3(TINY[name], params, tmp_path, seed=0, write=None)
    saved = History.load(tmp_path / "history.csv")
    np.testing.assert_allclose(saved["training_total"], history["training_total"], rtol=1e-6)
    np.testing.assert_array_equal(
        saved["iteration"], [0, TINY[name].total_steps // 2, TINY[name].total_steps]
    )
    terms = [saved[f"training_{name}"] for name in params.loss.names]
    best = int(np.argmin(np.sum(terms, axis=0)))
    policy, its_params = load_model(tmp_path)
    assert its_params.time_in_observation
    assert its_params.motor.delay == 1
    key = jax.random.key(0)
    for kind, trials in (
        ("training", random_trials(its_params)),
        ("validation", params.task.validation_trials()),
    ):
        metrics, _ = evaluate(policy, ReachEnv(), its_params, trials, key=key)
        for term in (*params.loss.names, "hidden", "total"):
            recorded = saved[f"{kind}_{term}"][best]
            assert metrics["losses"][term] == pytest.approx(recorded, rel=1e-5, abs=1e-12)


@pytest.mark.parametrize("name", TINY)
def test_an_interrupted_run_goes_on(name, params, tmp_path):
    before = sb3.train_sb3(TINY[name], params, tmp_path, seed=0, write=None)
    longer = dataclasses.replace(TINY[name], total_steps=2 * TINY[name].total_steps)
    after = sb3.train_sb3(longer, params, tmp_path, seed=0, resume=True, write=None)
    n_before = len(before)
    np.testing.assert_allclose(
        after["training_total"][:n_before], before["training_total"], rtol=1e-6
    )
    assert after["iteration"][-1] == longer.total_steps
    assert np.all(np.diff(after["iteration"]) > 0)
    assert np.all(np.diff(after["seconds"]) > 0)
    with pytest.raises(ValueError, match="the run has had .* steps; to go on, ask for more"):
        sb3.train_sb3(longer, params, tmp_path, seed=0, resume=True, write=None)


def test_rewards_are_scaled_by_what_was_seen_lately(params, tmp_path):
    recipe = dataclasses.replace(TINY["ppo"], reward_memory=50)
    sb3.train_sb3(recipe, params, tmp_path, seed=0, write=None)
    env = sb3.make_learning_env(recipe, params.replace(time_in_observation=True), seed=0)
    normalizer = sb3.VecNormalize.load(str(tmp_path / "checkpoint_normalization.pkl"), env.venv)
    # The memory, and the one rollout since it was last cut.
    assert normalizer.ret_rms.count <= 50 + 4 * 20
    assert normalizer.obs_rms.count > recipe.total_steps


def test_actions_are_scaled_and_limited_to_commands(params):
    params = params.replace(time_in_observation=True)
    ppo = sb3.make_learning_env(TINY["ppo"], params, seed=0)
    assert ppo.action_space.high == pytest.approx(10 / 2)
    ppo.reset()
    action = np.full((4, 2), 0.5, np.float32)
    _, _, _, _ = ppo.step(action)
    _, _, _, _ = ppo.step(action)
    # One step of motor delay: the first force acts in the second step, 0.5 times 2 N for 0.05 s.
    np.testing.assert_allclose(ppo.get_original_obs()[:, 6:8], 0.05, rtol=1e-6)
    sac = sb3.make_learning_env(TINY["sac"], params, seed=0)
    assert sac.action_space.high == pytest.approx(1)


def test_sac_sees_the_root_of_the_cost(params):
    params = params.replace(time_in_observation=True)
    sac = sb3.make_learning_env(TINY["sac"], params, seed=3)
    plain = sac.unwrapped
    seen, true = [], []
    step_wait = plain.step_wait

    def note():
        outcome = step_wait()
        true.append(outcome[1].copy())
        return outcome

    plain.step_wait = note
    sac.reset()
    for _ in range(3):
        seen.append(sac.step(np.ones((4, 2), np.float32))[1])
    np.testing.assert_allclose(np.square(seen), -np.array(true), rtol=1e-5)
    assert np.all(np.array(seen) < 0)


@pytest.mark.parametrize("seed", [0, 80])
@pytest.mark.parametrize("name", TINY)
def test_weights_that_explode_are_told_and_the_best_model_is_kept(name, seed, params, tmp_path):
    recipe = dataclasses.replace(TINY[name], learning_rate=1e30)
    with pytest.raises(TrainingError, match="no finite mean and spread; the best model") as e:
        sb3.train_sb3(recipe, params, tmp_path, seed=seed, write=None)
    assert len(e.value.history) == 1
    policy, _ = load_model(tmp_path)
    assert all(
        np.isfinite(leaf).all() for leaf in jax.tree.leaves(eqx.filter(policy, eqx.is_array))
    )


def test_a_loss_that_is_not_finite_is_told(tmp_path):
    _, exploding = make(max_steps_in_episode=10, dt=1e30)
    message = "stopped after 0 steps: the loss is not finite; no model was good, and none is kept"
    with pytest.raises(TrainingError, match=message):
        sb3.train_sb3(TINY["ppo"], exploding, tmp_path, seed=0, write=None)
    assert [path.name for path in tmp_path.iterdir()] == ["history.csv"]


def flipped(content):
    """The same with one bit in its middle turned over."""
    place = len(content) // 2
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def test_damaged_files_are_named_and_the_best_model_is_gone_on_with(params, tmp_path):
    recipe = dataclasses.replace(TINY["sac"], total_steps=40)
    sb3.train_sb3(recipe, params, tmp_path, seed=0, write=None)
    env = sb3.make_learning_env(recipe, params.replace(time_in_observation=True), seed=0)
    best = sb3.load_learner(recipe, env, tmp_path, sb3.BEST).num_timesteps
    for name in sb3.SB3_FILES[:4]:
        whole = (tmp_path / name).read_bytes()
        for damaged in (b"", whole[:-9], flipped(whole), b"nonsense"):
            (tmp_path / name).write_bytes(damaged)
            told = []
            learner = sb3.load_last_or_best(recipe, env, tmp_path, told.append)
            assert learner.num_timesteps == best
            assert told[0].startswith(f"{tmp_path} holds no run that can be resumed from checkpoi")
            assert name in told[0] or name == "checkpoint_checksums.json"
            assert told[0].endswith(f"Going on from best_sb3.zip, after {best} steps.")
        (tmp_path / name).write_bytes(whole)
    assert sb3.load_last_or_best(recipe, env, tmp_path, None).num_timesteps == 40

    (tmp_path / "checkpoint_replay.pkl").write_bytes(b"nonsense")
    longer = dataclasses.replace(recipe, total_steps=80)
    history = sb3.train_sb3(longer, params, tmp_path, seed=0, resume=True, write=None)
    assert np.all(np.diff(history["iteration"]) > 0)
    assert history["iteration"][-1] == 80
    for name in ("checkpoint.zip", "best_sb3.zip"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(ValueError, match=r"from best_sb3.zip: best_sb3.zip is damaged"):
        sb3.train_sb3(longer, params, tmp_path, seed=0, resume=True, write=None)


def test_evaluations_after_the_checkpoint_are_not_counted_twice(params, tmp_path):
    """Killed after its history was written, and before its checkpoint."""
    recipe = dataclasses.replace(TINY["ppo"], total_steps=80)
    history = sb3.train_sb3(recipe, params, tmp_path, seed=0, write=None)
    for name, values in history.columns.items():
        later = values[-1] + 60 if name == "iteration" else values[-1]
        history.columns[name] = np.append(values, later)
    history.save(tmp_path / sb3.HISTORY)
    longer = dataclasses.replace(recipe, total_steps=160)
    after = sb3.train_sb3(longer, params, tmp_path, seed=0, resume=True, write=None)
    assert np.all(np.diff(after["iteration"]) > 0)
    assert 140 not in after["iteration"]


def test_nothing_is_left_among_temporary_files(params, tmp_path, monkeypatch):
    folder, temporary = tmp_path / "run", tmp_path / "temporary"
    folder.mkdir()
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    recipe = TINY["ppo"]
    sb3.train_sb3(recipe, params, folder, seed=0, write=None)
    longer = dataclasses.replace(recipe, total_steps=2 * recipe.total_steps)
    sb3.train_sb3(longer, params, folder, seed=0, resume=True, write=None)
    assert not list(temporary.iterdir())


RUN = ["sb3", "ppo", "--n-steps", "10", "--dt", "0.2", "--n-envs", "4", "--rollout-steps", "20"]
RUN += ["--batch-size", "40", "--n-epochs", "2", "--n-evaluations", "2"]


def test_the_command_makes_a_run_like_the_others(tmp_path, capsys):
    folder = tmp_path / "run"
    command = [*RUN, "--out", str(folder)]
    command_line.main([*command, "--total-steps", "160", "--tensorboard"])
    printed = capsys.readouterr().out
    assert "times the optimum" in printed
    assert "On 1,024 random trials" in printed
    names = {"config.json", "history.csv", "metrics.json", "model.json", "model.npz"}
    names |= {"loss_history.png", "reaches.png", *sb3.SB3_FILES, "tensorboard"}
    assert {path.name for path in folder.iterdir()} == names - {"checkpoint_replay.pkl"}
    assert list((folder / "tensorboard").rglob("events*"))
    config = json.loads((folder / "config.json").read_text())
    assert config["learner"] == "ppo"
    assert config["recipe"]["total_steps"] == 160
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["environment_steps"] == 160
    assert metrics["random_trials"]["losses"]["environment"] > 0
    assert {"torch", "stable-baselines3", "jax"} <= set(metrics["versions"])

    with pytest.raises(SystemExit) as stop:
        command_line.main(command)
    assert stop.value.code == 2
    assert "is not empty; give another --out, or --overwrite" in capsys.readouterr().err
    command_line.main(["sb3", "ppo", "--resume", str(folder)])
    assert "is finished; there is nothing to resume" in capsys.readouterr().out
    command_line.main([*command, "--total-steps", "80", "--seed", "1", "--overwrite"])
    assert json.loads((folder / "config.json").read_text())["seed"] == 1


def test_a_run_that_is_told_to_stop_says_how_to_go_on_and_does(tmp_path, capsys, monkeypatch):
    folder = tmp_path / "a run"
    on_step = sb3.Evaluation._on_step

    def stop_at_100(evaluation):
        if evaluation.num_timesteps == 100:
            signal.raise_signal(signal.SIGTERM)
        return on_step(evaluation)

    monkeypatch.setattr(sb3.Evaluation, "_on_step", stop_at_100)
    with pytest.raises(SystemExit) as stop:
        command_line.main([*RUN, "--out", str(folder), "--total-steps", "240", "--seed", "7"])
    assert stop.value.code == 128 + signal.SIGTERM
    advice = "after 100 steps; what was learned is kept; go on with: python -m agents sb3 ppo"
    assert f"stopped: {advice} --resume '{folder}'" in capsys.readouterr().err
    assert not (folder / "metrics.json").exists()
    assert History.load(folder / "history.csv")["iteration"][-1] == 100

    for wrong, message in (
        (["ppo", "--resume", str(folder), "--seed", "3"], "keeps its own settings; leave out"),
        (["sac", "--resume", str(folder)], "no run that can be resumed: its learner is ppo"),
        (["ppo", "--resume", str(tmp_path)], "holds no run that can be resumed"),
    ):
        with pytest.raises(SystemExit) as stop:
            command_line.main(["sb3", *wrong])
        assert stop.value.code == 2
        assert message in capsys.readouterr().err
    command_line.main(["sb3", "ppo", "--resume", str(folder)])
    iterations = History.load(folder / "history.csv")["iteration"]
    assert 100 in iterations
    assert iterations[-1] >= 240
    assert json.loads((folder / "config.json").read_text())["seed"] == 7
    assert (folder / "metrics.json").exists()


def test_without_stable_baselines3_one_line_says_what_to_install(tmp_path, capsys, monkeypatch):
    monkeypatch.delitem(sys.modules, "agents.sb3", raising=False)
    monkeypatch.setitem(sys.modules, "stable_baselines3", None)
    with pytest.raises(SystemExit) as stop:
        command_line.main(["sb3", "ppo", "--out", str(tmp_path / "run")])
    assert stop.value.code == 2
    printed = capsys.readouterr().err
    expected = 'error: stable_baselines3 is not installed: pip install "fbx-env[sb3]"'
    assert printed.strip() == expected
    assert not list(tmp_path.iterdir())


def test_without_tensorboard_one_line_says_what_to_install(tmp_path, capsys, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "tensorboard" else find(name)
    )
    with pytest.raises(SystemExit) as stop:
        command_line.main(["sb3", "ppo", "--tensorboard", "--out", str(tmp_path / "run")])
    assert stop.value.code == 2
    expected = "error: --tensorboard needs TensorBoard: pip install tensorboard"
    assert capsys.readouterr().err.strip() == expected
    assert not list(tmp_path.iterdir())


def test_a_module_of_ours_that_is_missing_is_not_taken_for_an_extra(monkeypatch):
    monkeypatch.delitem(sys.modules, "agents.sb3", raising=False)
    monkeypatch.setitem(sys.modules, "agents.sb3_vec_env", None)
    with pytest.raises(ModuleNotFoundError, match=r"agents\.sb3_vec_env"):
        import_sb3()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["sb3", "ppo", "--rollout-steps", "1", "--n-envs", "1"],
            "rollout_steps times n_envs must",
        ),
        (["sb3", "ppo", "--hidden-sizes"], "hidden_sizes must have at least one layer, got none"),
        (["sb3", "recurrent-ppo", "--resume", "nowhere"], "nowhere holds no run that can be resu"),
        (["sb3", "dqn"], "Available subcommands: ppo, sac, recurrent-ppo"),
        (["sb3", "ppo", "--total-steps", "0"], "total_steps must be at least 1, got 0"),
        (["sb3", "sac", "--total-steps", "-5"], "total_steps must be at least 1, got -5"),
        (["sb3", "ppo", "--n-envs", "0"], "n_envs must be at least 1, got 0"),
        (["sb3", "ppo", "--gamma", "1.5"], "gamma must be greater than 0 and at most 1, got 1.5"),
        (["sb3", "ppo", "--force-scale", "0"], "force_scale must be finite and greater than 0"),
        (["sb3", "sac", "--hidden-sizes", "0"], "each of hidden_sizes must be at least 1, got 0"),
        (["sb3", "recurrent-ppo", "--lstm-size", "0"], "lstm_size must be at least 1, got 0"),
        (["sb3", "ppo", "--mass", "-1"], "mass must be finite and greater than 0, got -1.0"),
        (["sb3", "ppo", "--seed", "-1"], "seed must be at least 0, got -1"),
    ],
)
def test_mistakes_are_told_in_two_lines_and_write_nothing(
    arguments, message, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        command_line.main(arguments)
    assert stop.value.code == 2
    printed = capsys.readouterr().err.strip()
    assert message in printed
    assert len(printed.splitlines()) <= 2
    assert not list(tmp_path.iterdir())
