"""Stable-Baselines3's learners on the reaching task, judged like every other agent.

Read from top to bottom: the environment as they see it, each learner by its recipe, its actor as a
policy, and the training that evaluates, keeps the best and can go on after an interruption.
Importing this module imports torch.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import gymnasium as gym
import jax
import jax.numpy as jnp
import numpy as np
import torch
from jaxtyping import Array, Float
from sb3_contrib import RecurrentPPO
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper, VecNormalize
from tqdm import tqdm

from agents.bptt import BPTTConfig, TrainingError, losses_by_term
from agents.evaluation import random_trials
from agents.policies.actor import OBSERVATION_CLIP, ActorPolicy
from agents.sb3_recipes import PPORecipe, Recipe, RecurrentPPORecipe, SACRecipe
from agents.sb3_vec_env import ReachVecEnv
from agents.storage.files import replacing
from agents.storage.history import History
from agents.storage.interrupts import Interrupted, Request, requests_to_stop
from agents.storage.models import save_model
from agents.storage.runs import write_json
from fbx_env import ReachEnv, ReachParams, rollout

NOISE_SEED = 0
"""Of the noise in evaluations."""

ALGORITHMS: dict[type[Recipe], type[BaseAlgorithm]] = {
    PPORecipe: PPO,
    RecurrentPPORecipe: RecurrentPPO,
    SACRecipe: SAC,
}
"""Which learner a recipe is for."""

HISTORY = "history.csv"
BEST, LAST = "best_sb3", "checkpoint"
"""Stems of the files that hold the best and the last model in Stable-Baselines3's own format."""

SB3_FILES = (
    *(f"{LAST}.zip", f"{LAST}_normalization.pkl", f"{LAST}_replay.pkl", f"{LAST}_checksums.json"),
    *(f"{BEST}.zip", f"{BEST}_normalization.pkl", f"{BEST}_checksums.json"),
)
"""What a run's folder holds beside the files of every run."""


class ScaledCommands(VecEnvWrapper):
    """Lets a learner act in numbers around 1: an action is multiplied to be a command.

    Args:
        venv: whose actions are commands [N].
        force_scale: the command for an action of 1 [N].
        limit: of the command along each axis [N].
    """

    def __init__(self, venv: VecEnv, force_scale: float, limit: float) -> None:
        bound = limit / force_scale
        space = gym.spaces.Box(-bound, bound, venv.action_space.shape, np.float32)
        super().__init__(venv, action_space=space)
        self.force_scale = force_scale

    def step_async(self, actions: np.ndarray) -> None:
        self.venv.step_async(np.asarray(self.force_scale * actions, np.float32))

    def reset(self) -> Any:
        return self.venv.reset()

    def step_wait(self) -> Any:
        return self.venv.step_wait()


class RootCosts(VecEnvWrapper):
    """Lets a learner see the square root of each step's cost: see ``SACRecipe``."""

    def reset(self) -> Any:
        return self.venv.reset()

    def step_wait(self) -> Any:
        observations, rewards, dones, infos = self.venv.step_wait()
        return observations, -np.sqrt(np.maximum(-rewards, 0)), dones, infos


def make_learning_env(recipe: Recipe, params: ReachParams, seed: int) -> VecNormalize:
    """The environments that a learner sees: scaled actions, costs and observations."""
    settings: Any = recipe
    max_force = float(params.motor.max_force)
    parts = {field.name: getattr(params, field.name) for field in dataclasses.fields(params)}
    envs = ReachVecEnv(recipe.n_envs, **parts)
    envs.seed(seed)
    if isinstance(recipe, SACRecipe):
        limit = min(recipe.force_scale, max_force)
        scaled: VecEnv = RootCosts(ScaledCommands(envs, recipe.force_scale, limit))
    else:
        scaled = ScaledCommands(envs, settings.force_scale, max_force)
    return VecNormalize(
        scaled,
        norm_reward=isinstance(recipe, PPORecipe),
        gamma=settings.gamma,
        clip_obs=OBSERVATION_CLIP,
    )


def make_learner(
    recipe: Recipe, env: VecNormalize, seed: int, tensorboard: Path | None = None
) -> BaseAlgorithm:
    """An untrained learner, with the numbers of its recipe."""
    settings: Any = recipe
    shared: dict[str, Any] = {
        "batch_size": settings.batch_size,
        "gamma": settings.gamma,
        "seed": seed,
        "device": "cpu",
        "tensorboard_log": None if tensorboard is None else str(tensorboard),
    }
    if isinstance(recipe, SACRecipe):
        return SAC(
            "MlpPolicy",
            env,
            learning_rate=recipe.learning_rate,
            n_steps=recipe.return_steps,
            ent_coef=f"auto_{recipe.initial_entropy_weight}",
            learning_starts=recipe.warmup_steps,
            gradient_steps=recipe.updates_per_step,
            tau=recipe.tau,
            policy_kwargs={"net_arch": list(recipe.hidden_sizes)},
            **shared,
        )
    assert isinstance(recipe, PPORecipe)
    policy: dict[str, Any] = {
        "net_arch": list(recipe.hidden_sizes),
        "log_std_init": recipe.initial_log_std,
    }
    shared |= {
        "learning_rate": _falling(recipe.learning_rate),
        "n_steps": recipe.rollout_steps,
        "n_epochs": recipe.n_epochs,
        "gae_lambda": recipe.gae_lambda,
    }
    if isinstance(recipe, RecurrentPPORecipe):
        # With the time in the observation the critic needs no memory, and costs half as much.
        policy |= {"lstm_hidden_size": recipe.lstm_size, "enable_critic_lstm": False}
        return RecurrentPPO("MlpLstmPolicy", env, policy_kwargs=policy, **shared)
    return PPO("MlpPolicy", env, policy_kwargs=policy, **shared)


def actor_policy(learner: BaseAlgorithm) -> ActorPolicy:
    """What a learner would do without exploring, as a policy for ``rollout``.

    Args:
        learner: PPO, RecurrentPPO or SAC in environments of ``make_learning_env``.
    """
    network: Any = learner.policy
    env: Any = learner.get_env()
    if isinstance(learner, SAC):
        hidden, readout = network.actor.latent_pi, network.actor.mu
    else:
        hidden, readout = network.mlp_extractor.policy_net, network.action_net
    layers = [layer for layer in hidden if isinstance(layer, torch.nn.Linear)]
    lstm = network.lstm_actor if isinstance(learner, RecurrentPPO) else None
    policy = ActorPolicy(
        env.observation_space.shape[0],
        env.action_space.shape[0],
        tuple(layer.out_features for layer in layers),
        None if lstm is None else lstm.hidden_size,
        "relu" if isinstance(learner, SAC) else "tanh",
        squashed=isinstance(learner, SAC),
        key=jax.random.key(0),
    )
    values = [
        *(env.obs_rms.mean, np.sqrt(env.obs_rms.var + env.epsilon)),
        *(env.action_space.high[0], env.venv.force_scale),
        *(array for layer in (*layers, readout) for array in (layer.weight, layer.bias)),
    ]
    if lstm is not None:
        values += [lstm.weight_ih_l0, lstm.weight_hh_l0, lstm.bias_ih_l0 + lstm.bias_hh_l0]
    return eqx.tree_at(_numbers, policy, [_array(value) for value in values])


def _numbers(policy: ActorPolicy) -> list[Any]:
    """The arrays of a policy, in the order in which ``actor_policy`` fills them."""
    numbers: list[Any] = [policy.obs_mean, policy.obs_std, policy.bound, policy.force_scale]
    for layer in (*policy.layers, policy.readout):
        numbers += [layer.weight, layer.bias]
    if policy.cell is not None:
        numbers += [policy.cell.weight_ih, policy.cell.weight_hh, policy.cell.bias]
    return numbers


def train_sb3(
    recipe: Recipe,
    params: ReachParams,
    folder: Path,
    *,
    seed: int,
    resume: bool = False,
    tensorboard: bool = False,
    write: Callable[[str], None] | None = tqdm.write,
) -> History:
    """Train a learner, and keep what it learns in a folder.

    Every evaluation writes ``history.csv`` and the last model; the best one by the environment's
    loss on ``random_trials`` is what ``load_model(folder)`` gives.

    Args:
        recipe: which learner, and its numbers.
        params: the experiment; the learner also sees the time, on which its cost depends.
        folder: an existing folder, with the files of an earlier call if it is to be resumed.
        seed: for initial weights, trials, exploration and noise; not for the trials of evaluations.
        resume: whether to go on where an earlier call was interrupted, up to the recipe's steps.
            Trials begin anew, so that the numbers are not those of an uninterrupted run.
        tensorboard: whether to log for TensorBoard.
        write: what prints a line of text; ``None`` for silence, without progress bar.

    Returns:
        The history of the training, one row an evaluation.

    Raises:
        ValueError: if there is nothing to resume, or the run has had its steps.
        TrainingError: if the loss or the actions are not finite; the best model is in the folder.
        Interrupted: if it was asked to stop by a signal; it can be resumed.

    Example:
        >>> history = train_sb3(PPORecipe(total_steps=100_000), params, folder, seed=0)
        >>> policy, params = load_model(folder)
    """
    params = params.replace(time_in_observation=True)
    env = make_learning_env(recipe, params, seed)
    logs = folder / "tensorboard" if tensorboard else None
    if resume:
        learner = load_last_or_best(recipe, env, folder, write)
        history = until(learner.num_timesteps, History.load(folder / HISTORY))
        learner.set_random_seed((seed + learner.num_timesteps) % 2**32)
    else:
        learner, history = make_learner(recipe, env, seed, logs), History()
    if not tensorboard:
        # The logger that Stable-Baselines3 would make leaves an empty folder among temporary files.
        learner.set_logger(Logger(folder=None, output_formats=[]))
    steps_left = recipe.total_steps - learner.num_timesteps
    if steps_left <= 0:
        raise ValueError(
            f"the run has had {learner.num_timesteps:,} steps; to go on, ask for more than these"
        )
    n_threads = torch.get_num_threads()
    # Networks this small gain nothing from further threads, and lose much on a busy machine.
    torch.set_num_threads(1)
    try:
        with requests_to_stop() as request:
            evaluation = Evaluation(recipe, params, folder, history, write, request)
            with evaluation.bar:
                learner.learn(steps_left, callback=evaluation, reset_num_timesteps=not resume)
    except ValueError as error:
        # The distributions of torch refuse what a learner proposes whose weights have exploded.
        *_, (frame, _) = traceback.walk_tb(error.__traceback__)
        if not frame.f_globals["__name__"].startswith("torch.distributions"):
            raise
        raise evaluation.fault("the learner's actions have no finite mean and spread") from error
    finally:
        torch.set_num_threads(n_threads)
        env.close()
    if request.signal is not None:
        steps = learner.num_timesteps
        raise Interrupted(f"after {steps:,} steps; what was learned is kept", request.signal)
    return evaluation.history


class Evaluation(BaseCallback):
    """Judges a learner in the course of its training, and keeps the best and the last model.

    Attributes:
        history: one row an evaluation. Its ``iteration`` is the number of environment steps so
            far; its training losses are those on ``random_trials``.
    """

    def __init__(
        self,
        recipe: Recipe,
        params: ReachParams,
        folder: Path,
        history: History,
        write: Callable[[str], None] | None,
        request: Request,
    ) -> None:
        super().__init__()
        self.recipe, self.params, self.folder, self.history = recipe, params, folder, history
        self.request = request
        self.trials = {
            "training": random_trials(params),
            "validation": params.task.validation_trials(),
        }
        self.say = (lambda _: None) if write is None else write
        self.bar = tqdm(
            total=recipe.total_steps,
            desc="Environment steps",
            unit_scale=True,
            disable=write is None,
        )
        self.seconds_before = history.train_seconds
        self.started = 0.0

    def _on_training_start(self) -> None:
        started = time.perf_counter()
        self.losses(actor_policy(self.model))
        self.started = time.perf_counter()
        self.history.compile_seconds = self.started - started
        self.say(f"Evaluation compiled in {self.history.compile_seconds:.2f} seconds.")
        self.bar.update(self.model.num_timesteps)

    def _on_rollout_start(self) -> None:
        if isinstance(self.recipe, PPORecipe):
            # What was seen longer ago counts no longer: see the recipe.
            scale: Any = self.model.get_env().ret_rms  # type: ignore[union-attr]
            scale.count = min(scale.count, self.recipe.reward_memory)
        done = self.history["iteration"][-1] if len(self.history) else -np.inf
        if self.model.num_timesteps - done >= self.recipe.total_steps / self.recipe.n_evaluations:
            self.evaluate()

    def _on_step(self) -> bool:
        self.bar.update(min(self.recipe.n_envs, self.recipe.total_steps - self.bar.n))
        return self.request.signal is None

    def _on_training_end(self) -> None:
        self.evaluate()

    def losses(self, policy: ActorPolicy) -> dict[str, float]:
        """Mean losses by term, named as in a history."""
        losses: dict[str, float] = {}
        for kind, trials in self.trials.items():
            trajectory = rollout(
                ReachEnv(), self.params, policy, trials, jax.random.key(NOISE_SEED)
            )
            terms = losses_by_term(trajectory, BPTTConfig.hidden_weight)
            losses |= {f"{kind}_{name}": float(loss) for name, loss in terms.items()}
            losses[f"{kind}_total"] = float(sum(terms.values()))
        return losses

    def evaluate(self) -> None:
        """Judge the learner as it is, and write down what there is to keep."""
        policy, steps = actor_policy(self.model), self.model.num_timesteps
        losses = self.losses(policy)
        best = self.environment_loss().min(initial=np.inf)
        progress: Any = self.model._current_progress_remaining
        row = {
            "iteration": steps,
            **losses,
            "learning_rate": float(self.model.lr_schedule(progress)),
            "seconds": self.seconds_before + time.perf_counter() - self.started,
        }
        self.history.columns = {
            name: np.append(self.history.columns.get(name, []), value)
            for name, value in row.items()
        }
        self.history.train_seconds = row["seconds"]
        self.history.save(self.folder / HISTORY)
        loss = self.environment_loss()[-1]
        self.logger.record("evaluation/environment_loss", loss)
        self.say(f"{steps:,} steps:\n    loss on random trials: {loss:.2e}\n")
        self.bar.set_postfix_str(f"loss {loss:.2e}", refresh=False)
        if not np.isfinite(loss):
            raise self.fault("the loss is not finite")
        if loss < best:
            save_model(self.folder, policy, self.params)
            _save(self.model, self.folder, BEST)
        _save(self.model, self.folder, LAST)

    def fault(self, what: str) -> TrainingError:
        """What to raise when numbers have exploded, as ``what`` says."""
        is_kept = np.isfinite(self.environment_loss()).any()
        kept = "the best model before is kept" if is_kept else "no model was good, and none is kept"
        return TrainingError(
            f"training stopped after {self.model.num_timesteps:,} steps: {what}; {kept}",
            actor_policy(self.model),
            self.history,
        )

    def environment_loss(self) -> np.ndarray:
        """The environment's terms on random trials, at each evaluation so far."""
        names = [f"training_{name}" for name in self.params.loss.names]
        return np.sum([self.history.columns.get(name, np.zeros(0)) for name in names], axis=0)


def _save(learner: BaseAlgorithm, folder: Path, stem: str) -> None:
    """Write a model in Stable-Baselines3's format, each file whole or not at all."""
    env: Any = learner.get_env()
    writers: dict[str, Callable[[str], None]] = {
        f"{stem}.zip": learner.save,
        f"{stem}_normalization.pkl": env.save,
    }
    if isinstance(learner, SAC) and stem == LAST:
        writers[f"{stem}_replay.pkl"] = learner.save_replay_buffer
    checksums = {}
    # The files get their names together, once the last one is written, and their checksums then.
    with contextlib.ExitStack() as stack:
        for name, save in writers.items():
            temporary = stack.enter_context(replacing(folder / name))
            save(str(temporary))
            checksums[name] = _checksum(temporary)
    write_json(folder / f"{stem}_checksums.json", checksums)


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_files(folder: Path, stem: str) -> None:
    """Raise ``ValueError`` if a file is not the one that was written with the others."""
    for name, checksum in json.loads((folder / f"{stem}_checksums.json").read_text()).items():
        if _checksum(folder / name) != checksum:
            raise ValueError(f"{name} is damaged, or not of the same evaluation as the others")


def load_learner(recipe: Recipe, env: VecNormalize, folder: Path, stem: str) -> BaseAlgorithm:
    """A learner from a run's folder, to learn or to look into.

    Args:
        recipe: by which it was trained.
        env: environments of ``make_learning_env``.
        folder: of the run.
        stem: ``BEST`` or ``LAST``; only the last has what SAC remembers.

    Raises:
        ValueError: if there is none that can be read.
    """
    try:
        _check_files(folder, stem)
        normalizer = VecNormalize.load(str(folder / f"{stem}_normalization.pkl"), env.venv)
        learner = ALGORITHMS[type(recipe)].load(
            folder / f"{stem}.zip",
            normalizer,
            device="cpu",
            # SAC chooses it by its n_steps; one that is given stops it from doing so.
            custom_objects={"replay_buffer_class": None},
        )
        if isinstance(learner, SAC) and stem == LAST:
            learner.load_replay_buffer(folder / f"{stem}_replay.pkl")
    except Exception as error:
        raise ValueError(
            f"{folder} holds no run that can be resumed from {stem}.zip: {error}"
        ) from error
    return learner


def load_last_or_best(
    recipe: Recipe, env: VecNormalize, folder: Path, write: Callable[[str], None] | None
) -> BaseAlgorithm:
    """The learner to go on with: the last, or if it is damaged the best, with empty memory.

    Raises:
        ValueError: if neither can be read.
    """
    try:
        return load_learner(recipe, env, folder, LAST)
    except ValueError as error:
        learner = load_learner(recipe, env, folder, BEST)
        if write is not None:
            write(f"{error}. Going on from {BEST}.zip, after {learner.num_timesteps:,} steps.")
        return learner


def until(steps: int, history: History) -> History:
    """The evaluations after up to this many steps."""
    kept = history["iteration"] <= steps
    columns = {name: values[kept] for name, values in history.columns.items()}
    seconds = float(columns["seconds"][-1]) if kept.any() else 0.0
    return History(columns, history.compile_seconds, seconds)


def _falling(learning_rate: float) -> Callable[[float], float]:
    """A schedule that falls linearly to zero with what remains of the training."""
    return lambda remaining: learning_rate * remaining


def _array(value: Any) -> Float[Array, "..."]:
    return jnp.asarray(value.detach().numpy() if torch.is_tensor(value) else value, float)
