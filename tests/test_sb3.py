"""Stable-Baselines3's learners: the same trials, the same evaluation, the same folders."""

import dataclasses
import importlib.util
import io
import json
import pickle
import signal
import sys
import tempfile

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from stable_baselines3 import A2C, PPO, SAC, TD3
from stable_baselines3.common.vec_env import VecFrameStack, VecMonitor, VecNormalize

import agents.__main__ as command_line
from agents import History, TrainingError, evaluate, load_model
from agents.evaluation import random_trials
from agents.learners.ppo import PPORecipe
from agents.learners.recurrent_ppo import RecurrentPPORecipe
from agents.learners.sac import SACRecipe
from agents.sb3 import training
from agents.sb3.actor import actor_policy
from agents.sb3.environments import make_learning_env
from agents.sb3.files import BEST, LAST, load_last_or_best, load_learner, make_learner
from agents.sb3.training import train_sb3
from agents.sb3_vec_env import ReachVecEnv
from fbx_env import ReachEnv, make

FEW = {"n_envs": 4, "n_evaluations": 2, "batch_size": 40, "hidden_sizes": (8, 8)}
ROLLOUTS = {**FEW, "total_steps": 160, "rollout_steps": 20, "n_epochs": 2}
TINY = {
    "ppo": PPORecipe(**ROLLOUTS),
    "recurrent-ppo": RecurrentPPORecipe(**ROLLOUTS, lstm_size=5),
    "sac": SACRecipe(**FEW, total_steps=80, warmup_steps=20, updates_per_step=1, memory=100),
}
"""Recipes that take seconds, for trials of 10 steps."""


@pytest.fixture
def params():
    return make(max_steps_in_episode=10, motor_delay=1, time_in_observation=True)[1]


def same_commands(model, policy, factor=1.0):
    """Check that a policy commands what a model predicts, over some steps."""
    normalizer = model.get_vec_normalize_env()
    memory, carry = None, policy.initial_carry()
    for step, obs in enumerate(np.random.default_rng(0).normal(size=(4, 1, 9)).astype(np.float32)):
        action, memory = model.predict(
            obs if normalizer is None else normalizer.normalize_obs(obs),
            state=memory,
            episode_start=np.array([step == 0]),
            deterministic=True,
        )
        command, carry = policy(jnp.asarray(obs[0]), carry)
        np.testing.assert_allclose(command, factor * action[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", TINY)
def test_a_learner_is_trained_evaluated_kept_and_resumed(name, params, tmp_path):
    recipe = TINY[name]
    history = train_sb3(recipe, params, tmp_path, seed=0, write=None)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *(BEST, "history.csv", LAST, "policy.model")
    ]
    saved = History.load(tmp_path / "history.csv")
    np.testing.assert_allclose(saved["training_total"], history["training_total"], rtol=1e-6)
    np.testing.assert_array_equal(saved["iteration"], [0, 1, 2])
    steps = [0, recipe.total_steps // 2, recipe.total_steps]
    np.testing.assert_array_equal(saved["environment_steps"], steps)

    # The best policy is kept, and evaluated like every agent.
    terms = [saved[f"training_{name}"] for name in params.loss.names]
    best = int(np.argmin(np.sum(terms, axis=0)))
    policy, its_params = load_model(tmp_path)
    assert its_params.motor.delay == 1
    for kind, trials in (
        ("training", random_trials(its_params)),
        ("validation", params.task.validation_trials()),
    ):
        metrics, _ = evaluate(policy, ReachEnv(), its_params, trials, key=jax.random.key(0))
        for term in (*params.loss.names, "hidden", "total"):
            recorded = saved[f"{kind}_{term}"][best]
            assert metrics["losses"][term] == pytest.approx(recorded, rel=1e-5, abs=1e-12)

    # The last learner comes back as it was, and acts as its policy does.
    learner = load_learner(tmp_path / LAST, recipe, params)
    assert learner.num_timesteps == recipe.total_steps
    same_commands(learner, actor_policy(learner), factor=2.0)

    longer = dataclasses.replace(recipe, total_steps=2 * recipe.total_steps)
    after = train_sb3(longer, params, tmp_path, seed=0, resume=True, write=None)
    np.testing.assert_allclose(after["training_total"][:3], history["training_total"], rtol=1e-6)
    assert after["environment_steps"][-1] == longer.total_steps
    for column in ("environment_steps", "seconds", "iteration"):
        assert np.all(np.diff(after[column]) > 0)
    # With all its steps made, there is nothing left to do.
    again = train_sb3(longer, params, tmp_path, seed=0, resume=True, write=None)
    np.testing.assert_array_equal(again["environment_steps"], after["environment_steps"])


def test_what_is_saved_of_a_learner_is_all_that_it_has_learned(params, tmp_path):
    """Weights, optimisers, temperature, statistics and memories, to the bit."""
    recipe = dataclasses.replace(TINY["sac"], warmup_steps=8)
    train_sb3(recipe, params, tmp_path, seed=0, write=None)
    one, other = (load_learner(tmp_path / LAST, recipe, params) for _ in range(2))
    saved = (tmp_path / LAST).read_bytes()
    training.save_learner(tmp_path / LAST, one, recipe, params)
    assert (tmp_path / LAST).read_bytes() == saved
    assert float(one.log_ent_coef.detach()) != 0
    assert one.replay_buffer.pos == 20
    assert np.all(one.replay_buffer.dones[:20] + one.replay_buffer.timeouts[:20] <= 1)
    assert np.all(one.replay_buffer.dones[19] + one.replay_buffer.timeouts[19] == 1)
    assert one.actor.optimizer.state_dict()["state"][0]["step"] == (80 - 8) / 4
    for name, learned in other.policy.state_dict().items():
        np.testing.assert_array_equal(one.policy.state_dict()[name], learned)


def test_no_file_of_a_run_is_a_pickle(params, tmp_path):
    """What Stable-Baselines3 itself would write can run any code when it is read."""
    train_sb3(
        dataclasses.replace(TINY["sac"], total_steps=20), params, tmp_path, seed=0, write=None
    )
    for path in tmp_path.iterdir():
        content = path.read_bytes()
        assert b"\x80\x04\x95" not in content
        assert b"cloudpickle" not in content
        assert not content.startswith(b"PK")
        with pytest.raises((pickle.UnpicklingError, ValueError, EOFError, IndexError, KeyError)):
            pickle.load(io.BytesIO(content))


def test_damaged_files_are_named_and_the_best_learner_is_resumed(params, tmp_path):
    recipe = dataclasses.replace(TINY["sac"], total_steps=40)
    train_sb3(recipe, params, tmp_path, seed=0, write=None)
    best = load_learner(tmp_path / BEST, recipe, params).num_timesteps
    whole = (tmp_path / LAST).read_bytes()
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    for damaged in (
        b"",
        whole[:-9],
        flipped,
        b"nonsense",
        (tmp_path / "policy.model").read_bytes(),
    ):
        (tmp_path / LAST).write_bytes(damaged)
        reported = []
        learner = load_last_or_best(tmp_path, recipe, params, 0, reported.append)
        assert learner.num_timesteps == best
        assert reported[0].startswith(f"{tmp_path / LAST} cannot be resumed from: ")
        assert reported[0].endswith(f"Resuming from {BEST}, after {best} steps.")
    history = train_sb3(
        dataclasses.replace(recipe, total_steps=80),
        params,
        tmp_path,
        seed=0,
        resume=True,
        write=None,
    )
    assert np.all(np.diff(history["environment_steps"]) > 0)
    lines = (tmp_path / "history.csv").read_text().splitlines()
    (tmp_path / "history.csv").write_text(lines[0])
    with pytest.raises(ValueError, match="history.csv cannot be resumed from: it lacks the eval"):
        train_sb3(recipe, params, tmp_path, seed=0, resume=True, write=None)
    for name in (BEST, LAST):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(ValueError, match=f"{BEST} cannot be resumed from"):
        train_sb3(recipe, params, tmp_path, seed=0, resume=True, write=None)


@pytest.mark.parametrize(
    ("changes", "overrides", "message"),
    [
        ({"learning_rate": 0.5, "gae_lambda": 0.9}, {}, "another recipe: .*gae_lambda differ"),
        ({"hidden_sizes": (3,)}, {}, "another recipe: hidden_sizes differ"),
        ({}, {"mass": 2.0}, r"another experiment: plant\.mass differ"),
    ],
)
def test_another_training_is_not_resumed(changes, overrides, message, params, tmp_path):
    recipe = dataclasses.replace(TINY["ppo"], total_steps=80)
    learner = make_learner(recipe, params, 0)
    training.save_learner(tmp_path / LAST, learner, recipe, params)
    _, other = make(max_steps_in_episode=10, motor_delay=1, time_in_observation=True, **overrides)
    with pytest.raises(ValueError, match=message):
        load_learner(tmp_path / LAST, dataclasses.replace(recipe, **changes), other)


@pytest.mark.parametrize("name", ["ppo", "recurrent-ppo"])
def test_exploration_falls_as_the_recipe_says(name, params, tmp_path):
    recipe = dataclasses.replace(TINY[name], initial_log_std=-1.0, final_log_std=-3.0)
    train_sb3(recipe, params, tmp_path, seed=0, write=None)
    learner = load_learner(tmp_path / LAST, recipe, params)
    assert learner.get_env().obs_rms.count > recipe.total_steps
    # The second of two rollouts began at half of the training, and nothing else moved it.
    np.testing.assert_array_equal(learner.policy.log_std.detach(), [-2.0, -2.0])
    recipe.before_rollout(learner)
    np.testing.assert_array_equal(learner.policy.log_std.detach(), [-3.0, -3.0])


def test_the_entropy_of_sac_falls_to_that_of_a_small_spread(params):
    recipe = dataclasses.replace(TINY["sac"], initial_log_std=-1.0, final_log_std=-3.0)
    learner = make_learner(recipe, params, 0)
    for steps, log_std in ((0, -1.0), (40, -2.0), (80, -3.0)):
        learner.num_timesteps = steps
        recipe.before_rollout(learner)
        spread = torch.distributions.Normal(0.0, np.exp(log_std))
        assert learner.target_entropy == pytest.approx(2 * float(spread.entropy()), rel=1e-5)


def test_sac_normalises_by_the_starts_of_trials_and_nothing_later(params):
    sac = make_learning_env(TINY["sac"], params, seed=0)
    layout = ReachEnv().observation_layout(params)
    mean, var = sac.obs_rms.mean.copy(), sac.obs_rms.var.copy()
    # Uniform in a square of 2 m; at rest, velocity is taken as it is.
    np.testing.assert_allclose(var[layout["vision_position"]], 4 / 12, rtol=0.1)
    np.testing.assert_array_equal(var[layout["vision_velocity"]], 1.0)
    sac.reset()
    for _ in range(5):
        sac.step(np.ones((4, 2), np.float32))
    np.testing.assert_array_equal(sac.obs_rms.mean, mean)
    np.testing.assert_array_equal(sac.obs_rms.var, var)


def test_actions_are_scaled_and_limited_to_commands(params):
    ppo = make_learning_env(TINY["ppo"], params, seed=0)
    np.testing.assert_allclose(ppo.action_space.high, 10 / 2)
    ppo.reset()
    action = np.full((4, 2), 0.5, np.float32)
    for _ in range(2):
        ppo.step(action)
    # One step of motor delay: the first force acts in the second step, 0.5 times 2 N for 0.05 s.
    velocity = ReachEnv().observation_layout(params)["vision_velocity"]
    np.testing.assert_allclose(ppo.get_original_obs()[:, velocity], 0.05, rtol=1e-6)
    sac = make_learning_env(TINY["sac"], params, seed=0)
    np.testing.assert_allclose(sac.action_space.high, 1)


@pytest.mark.parametrize(
    ("algorithm", "options"),
    [
        (PPO, {"n_steps": 8, "batch_size": 16, "policy_kwargs": {"net_arch": [5]}}),
        (A2C, {"policy_kwargs": {"net_arch": []}}),
        (SAC, {"policy_kwargs": {"net_arch": [5, 4]}}),
        (TD3, {"policy_kwargs": {"net_arch": [5]}}),
    ],
)
@pytest.mark.parametrize("normalised", [False, True])
def test_a_model_of_ones_own_is_a_policy_too(algorithm, options, normalised, params):
    """In plain environments, whose actions are commands [N]."""
    envs = VecMonitor(
        ReachVecEnv(2, max_steps_in_episode=10, motor_delay=1, time_in_observation=True)
    )
    if normalised:
        envs = VecNormalize(envs, clip_obs=2.0)
    model = algorithm("MlpPolicy", envs, seed=1, device="cpu", **options)
    envs.reset()
    for _ in range(4):
        envs.step(np.ones((2, 2), np.float32))
    policy = actor_policy(model)
    same_commands(model, policy)
    metrics, _ = evaluate(
        policy, ReachEnv(), params, params.task.validation_trials(), key=jax.random.key(0)
    )
    assert np.isfinite(metrics["losses"]["environment"])


def test_models_that_are_no_policy_are_refused_by_name():
    def model(envs, **policy):
        return PPO("MlpPolicy", envs, device="cpu", n_steps=8, batch_size=8, policy_kwargs=policy)

    plain = ReachVecEnv(1)
    for made, message in (
        (model(VecFrameStack(plain, 2)), "learn in a ReachVecEnv, got VecFrameStack"),
        (model(plain, activation_fn=torch.nn.ELU), "Tanh or all of ReLU, got ELU"),
    ):
        with pytest.raises(TypeError, match=message):
            actor_policy(made)


@pytest.mark.parametrize("name", TINY)
def test_weights_that_explode_are_reported_and_the_best_policy_is_kept(name, params, tmp_path):
    recipe = dataclasses.replace(TINY[name], learning_rate=1e30)
    with pytest.raises(TrainingError, match="no finite mean and spread; the best policy") as e:
        train_sb3(recipe, params, tmp_path, seed=0, write=None)
    assert len(e.value.history) == 1
    policy, _ = load_model(tmp_path)
    assert all(
        np.isfinite(leaf).all()
        for leaf in jax.tree.leaves(eqx.filter((policy.layers, policy.readout), eqx.is_array))
    )


def test_a_loss_that_is_not_finite_is_reported(tmp_path):
    _, exploding = make(max_steps_in_episode=10, dt=1e30)
    message = "stopped after 0 steps: the loss is not finite; no policy was good, none is kept"
    with pytest.raises(TrainingError, match=message):
        train_sb3(TINY["ppo"], exploding, tmp_path, seed=0, write=None)
    assert [path.name for path in tmp_path.iterdir()] == ["history.csv"]


def test_evaluations_after_the_checkpoint_are_not_counted_twice(params, tmp_path):
    """Killed after its history was written, and before its checkpoint."""
    recipe = dataclasses.replace(TINY["ppo"], total_steps=80)
    history = train_sb3(recipe, params, tmp_path, seed=0, write=None)
    later = {name: np.append(values, values[-1]) for name, values in history.columns.items()}
    later["environment_steps"][-1] += 60
    History(later).save(tmp_path / "history.csv")
    longer = dataclasses.replace(recipe, total_steps=160)
    after = train_sb3(longer, params, tmp_path, seed=0, resume=True, write=None)
    assert np.all(np.diff(after["environment_steps"]) > 0)
    assert 140 not in after["environment_steps"]


def test_nothing_is_left_among_temporary_files(params, tmp_path, monkeypatch):
    folder, temporary = tmp_path / "run", tmp_path / "temporary"
    folder.mkdir()
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    recipe = dataclasses.replace(TINY["ppo"], total_steps=80)
    train_sb3(recipe, params, folder, seed=0, write=None)
    longer = dataclasses.replace(recipe, total_steps=160)
    train_sb3(longer, params, folder, seed=0, resume=True, write=None)
    assert not list(temporary.iterdir())


RUN = ["sb3", "ppo", "--max-steps-in-episode", "10", "--dt", "0.2", "--n-envs", "4"]
RUN += ["--rollout-steps", "20", "--batch-size", "40", "--n-epochs", "2", "--n-evaluations", "2"]


def refused(capsys, *words, status=2):
    """What a command that is refused prints on standard error."""
    with pytest.raises(SystemExit) as stop:
        command_line.main([str(word) for word in words])
    assert stop.value.code == status
    return capsys.readouterr().err


def test_the_command_makes_a_run_like_the_others(tmp_path, capsys):
    folder = tmp_path / "run"
    command = [*RUN, "--out", str(folder)]
    command_line.main([*command, "--total-steps", "150", "--tensorboard"])
    printed = capsys.readouterr().out
    assert "160 steps will be made instead of 150: ppo makes 80 at once" in printed
    assert "times the optimum" in printed
    assert "On 1,024 random trials" in printed
    names = {"config.json", "history.csv", "metrics.json", "policy.model", BEST, LAST}
    names |= {"loss_history.png", "reaches.png", "tensorboard"}
    assert {path.name for path in folder.iterdir()} == names
    assert list((folder / "tensorboard").rglob("events*"))
    config = json.loads((folder / "config.json").read_text())
    assert config["learner"] == "ppo"
    assert config["recipe"]["total_steps"] == 150
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["environment_steps"] == 160
    assert metrics["random_trials"]["losses"]["environment"] > 0
    assert {"torch", "stable-baselines3", "jax"} <= set(metrics["versions"])

    assert "is not empty; give another --out, or --overwrite" in refused(capsys, *command)
    # Killed after its last evaluation, before its metrics: it is finished without training.
    (folder / "metrics.json").unlink()
    command_line.main(["sb3", "ppo", "--resume", str(folder)])
    again = json.loads((folder / "metrics.json").read_text())
    assert again["losses"] == metrics["losses"]
    capsys.readouterr()
    command_line.main(["sb3", "ppo", "--resume", str(folder)])
    assert "is finished; there is nothing to resume" in capsys.readouterr().out
    command_line.main(["plot", str(folder)])
    command_line.main([*command, "--total-steps", "80", "--seed", "1", "--overwrite"])
    assert json.loads((folder / "config.json").read_text())["seed"] == 1


def test_a_run_that_is_stopped_says_how_to_resume_it(tmp_path, capsys, monkeypatch):
    folder = tmp_path / "a run"
    on_step = training.Evaluation._on_step

    def stop_at_100(evaluation):
        if evaluation.num_timesteps == 100:
            signal.raise_signal(signal.SIGTERM)
        return on_step(evaluation)

    monkeypatch.setattr(training.Evaluation, "_on_step", stop_at_100)
    command = [*RUN, "--out", folder, "--total-steps", "240", "--seed", "7"]
    message = refused(capsys, *command, status=128 + signal.SIGTERM)
    assert "stopped: after 100 steps; what was learned is kept; resume it with: " in message
    assert f"python -m agents sb3 ppo --resume '{folder}'" in message
    assert not (folder / "metrics.json").exists()
    assert History.load(folder / "history.csv")["environment_steps"][-1] == 100

    for wrong, message in (
        (["ppo", "--resume", folder, "--seed", "3"], "leave out what is given beside --resume"),
        (["sac", "--resume", folder], "its learner is ppo"),
        (["ppo", "--resume", tmp_path], "config.json cannot be read"),
    ):
        assert message in refused(capsys, "sb3", *wrong)
    command_line.main(["sb3", "ppo", "--resume", str(folder)])
    steps = History.load(folder / "history.csv")["environment_steps"]
    assert 100 in steps
    assert steps[-1] >= 240
    assert json.loads((folder / "config.json").read_text())["seed"] == 7
    assert (folder / "metrics.json").exists()


@pytest.mark.parametrize(
    ("missing", "options", "advice"),
    [
        ("stable_baselines3", [], 'stable_baselines3 is not installed: pip install "fbx-env[sb3]"'),
        ("tensorboard", ["--tensorboard"], "needs TensorBoard: pip install tensorboard"),
    ],
)
def test_what_to_install_is_said_in_one_line(
    missing, options, advice, tmp_path, capsys, monkeypatch
):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == missing else find(name)
    )
    message = refused(capsys, "sb3", "ppo", *options, "--out", tmp_path / "run")
    assert advice in message
    assert len(message.splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["ppo", "--rollout-steps", "1", "--n-envs", "1"], "rollout_steps times n_envs must"),
        (["ppo", "--hidden-sizes"], "hidden_sizes must have at least one layer, got none"),
        (["recurrent-ppo", "--resume", "nowhere"], "nowhere is not a run"),
        (["dqn"], "Available subcommands: ppo, recurrent-ppo, sac"),
        (["ppo", "--total-steps", "0"], "total_steps must be at least 1, got 0"),
        (["sac", "--total-steps", "-5"], "total_steps must be at least 1, got -5"),
        (["ppo", "--n-envs", "0"], "n_envs must be at least 1, got 0"),
        (["ppo", "--gae-lambda", "1.5"], "gae_lambda must be finite and greater than 0 and at"),
        (["ppo", "--smallest-cost", "0"], "smallest_cost must be finite and greater than 0"),
        (["sac", "--return-steps", "1"], "return_steps must be at least 2, got 1"),
        (["sac", "--memory", "95"], "memory must be at least 96, got 95"),
        (["ppo", "--command-scale", "0"], "command_scale must be finite and greater than 0"),
        (["sac", "--hidden-sizes", "0"], "each of hidden_sizes must be at least 1, got 0"),
        (["recurrent-ppo", "--lstm-size", "0"], "lstm_size must be at least 1, got 0"),
        (["ppo", "--mass", "-1"], "mass must be finite and greater than 0, got -1.0"),
        (["ppo", "--seed", "-1"], "seed must be at least 0, got -1"),
    ],
)  # fmt: skip
def test_mistakes_are_reported_briefly_and_write_nothing(
    words, message, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    printed = refused(capsys, "sb3", *words)
    assert message in " ".join(printed.replace("│", " ").split())
    assert len(printed.splitlines()) <= 8
    assert not list(tmp_path.iterdir())


def test_training_does_not_read_what_runs_code(params, tmp_path, monkeypatch):
    """Poisoned: whatever unpickles fails."""

    def poisoned(*_, **__):
        raise AssertionError("something was unpickled")

    recipe = dataclasses.replace(TINY["ppo"], total_steps=80)
    train_sb3(recipe, params, tmp_path, seed=0, write=None)
    for module, name in ((pickle, "load"), (pickle, "loads"), (pickle, "Unpickler")):
        monkeypatch.setattr(module, name, poisoned)
    monkeypatch.setattr(sys.modules["torch"], "load", poisoned)
    longer = dataclasses.replace(recipe, total_steps=160)
    train_sb3(longer, params, tmp_path, seed=0, resume=True, write=None)
    load_model(tmp_path)
