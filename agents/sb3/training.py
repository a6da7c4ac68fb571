"""Training a learner of Stable-Baselines3, with evaluations, and its best policy kept."""

from __future__ import annotations

import contextlib
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import torch
from jaxtyping import Float
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger
from tqdm.auto import tqdm

from agents.evaluation import random_trials
from agents.experiment import refuse_interventions
from agents.objective import ActivityCost, losses_by_term
from agents.policies.actor import ActorPolicy
from agents.sb3.actor import actor_policy
from agents.sb3.files import BEST, LAST, load_last_or_best, make_learner, save_learner
from agents.sb3.recipe import Recipe
from agents.storage.history import History
from agents.storage.interrupts import Interrupted, Request, requests_to_stop
from agents.storage.models import save_model
from agents.storage.output import TolerantStream, reporter
from agents.storage.runs import HISTORY
from agents.training_error import TrainingError
from fbx_env import ReachEnv, ReachParams, rollout

NOISE_SEED = 0
"""Of the noise in evaluations."""

POLICY_COSTS = (ActivityCost(),)


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

    Every evaluation writes ``history.csv`` and the last learner; the best policy by the
    environment's loss on ``random_trials`` is what ``load_model(folder)`` gives.

    Args:
        recipe: which learner, and its numbers.
        params: the experiment; the learner also observes the time, on which its cost depends.
        folder: an existing folder, with the files of an earlier call if it is to be resumed.
        seed: for initial weights, trials, exploration and noise; not for the trials of evaluations.
        resume: whether to resume where an earlier call was interrupted, up to the recipe's steps.
            Trials begin anew, so that the numbers are not those of an uninterrupted run. If it has
            had its steps, nothing is trained.
        tensorboard: whether to log for TensorBoard.
        write: what prints a line of text; ``None`` for silence, without progress bar.

    Returns:
        The history of the training, one row an evaluation.

    Raises:
        ValueError: if there is nothing to resume, or the params have interventions on a network.
        TrainingError: if the loss or the actions are not finite; the best policy is in the folder.
        Interrupted: if it was asked to stop by a signal; it can be resumed.

    Example:
        >>> history = train_sb3(PPORecipe(total_steps=100_000), params, folder, seed=0)
        >>> policy, params = load_model(folder)
    """
    refuse_interventions(params, recipe.name)
    params = params.replace(time_in_observation=True)
    report = reporter(write)
    logs = folder / "tensorboard" if tensorboard else None
    begin = resumed if resume else begun
    learner, history = begin(recipe, params, folder, seed, report, logs)
    if not tensorboard:
        # The logger that Stable-Baselines3 would make leaves an empty folder among temporary files.
        learner.set_logger(Logger(folder=None, output_formats=[]))
    steps_left = recipe.steps_made - learner.num_timesteps
    env: Any = learner.get_env()
    with contextlib.closing(env), one_thread(), requests_to_stop() as request:
        evaluation = Evaluation(recipe, params, folder, history, report, request)
        with progress_bar(recipe.steps_made, show=write is not None) as evaluation.bar:
            if steps_left > 0:
                with exploding_weights_as_fault(evaluation):
                    learner.learn(steps_left, callback=evaluation, reset_num_timesteps=not resume)
    if request.signal is not None:
        message = f"after {learner.num_timesteps:,} steps; what was learned is kept"
        raise Interrupted(message, request.signal, actor_policy(learner), history)
    return history


def begun(
    recipe: Recipe,
    params: ReachParams,
    folder: Path,
    seed: int,
    report: Callable[[str], None],
    tensorboard: Path | None,
) -> tuple[BaseAlgorithm, History]:
    """Return an untrained learner, and an empty history."""
    if recipe.steps_made != recipe.total_steps:
        report(
            f"{recipe.steps_made:,} steps will be made instead of {recipe.total_steps:,}: "
            f"{recipe.name} makes {recipe.steps_at_once:,} at once."
        )
    return make_learner(recipe, params, seed, tensorboard), History()


def resumed(
    recipe: Recipe,
    params: ReachParams,
    folder: Path,
    seed: int,
    report: Callable[[str], None],
    tensorboard: Path | None,
) -> tuple[BaseAlgorithm, History]:
    """Return the last learner of a folder, or the best, and the history until then."""
    learner = load_last_or_best(folder, recipe, params, seed, report, tensorboard)
    learner.set_random_seed((seed + learner.num_timesteps) % 2**32)
    history = until(learner.num_timesteps, History.load(folder / HISTORY))
    if not len(history):
        raise ValueError(
            f"{folder / HISTORY} cannot be resumed from: it lacks the evaluations in the "
            f"{learner.num_timesteps:,} steps that the learner has had"
        )
    return learner, history


class Evaluation(BaseCallback):
    """Evaluates a learner in the course of its training, and keeps the best and the last.

    Attributes:
        history: one row an evaluation; its training losses are those on ``random_trials``.
    """

    bar: Any

    def __init__(
        self,
        recipe: Recipe,
        params: ReachParams,
        folder: Path,
        history: History,
        report: Callable[[str], None],
        request: Request,
    ) -> None:
        super().__init__()
        self.recipe, self.params, self.folder, self.history = recipe, params, folder, history
        self.report, self.request = report, request
        self.trials = {
            "training": random_trials(params),
            "validation": params.task.validation_trials(),
        }
        self.seconds_before = history.train_seconds
        self.started = 0.0

    def _on_training_start(self) -> None:
        begun = time.perf_counter()
        policy = actor_policy(self.model)
        for kind in self.trials:
            self.losses(policy, kind)
        self.started = time.perf_counter()
        self.history.compile_seconds += self.started - begun
        self.report(f"Evaluation compiled in {self.started - begun:.2f} seconds.")
        self.bar.update(self.model.num_timesteps)

    def _on_rollout_start(self) -> None:
        self.recipe.before_rollout(self.model)
        done = self.history["environment_steps"][-1] if len(self.history) else -np.inf
        if self.model.num_timesteps - done >= self.recipe.steps_made / self.recipe.n_evaluations:
            self.evaluate()

    def _on_step(self) -> bool:
        self.bar.update(self.recipe.n_envs)
        return self.request.signal is None

    def _on_training_end(self) -> None:
        self.evaluate()

    def losses(self, policy: ActorPolicy, kind: str) -> dict[str, float]:
        """Return mean losses by term and in total on one kind of trials."""
        key = jax.random.key(NOISE_SEED)
        trajectory = rollout(ReachEnv(), self.params, policy, self.trials[kind], key)
        terms = losses_by_term(policy, trajectory, POLICY_COSTS)
        names = (*self.params.loss.names, *(cost.name for cost in POLICY_COSTS))
        losses = {name: float(terms[name]) for name in names}
        return {**losses, "total": sum(losses.values())}

    def evaluate(self) -> None:
        """Evaluate the learner as it is, and save what there is to keep."""
        policy, steps = actor_policy(self.model), self.model.num_timesteps
        best = self.environment_loss().min(initial=np.inf)
        progress: Any = self.model._current_progress_remaining
        row = {
            **self.losses(policy, "training"),
            "learning_rate": float(self.model.lr_schedule(progress)),
            "environment_steps": steps,
        }
        validation = self.losses(policy, "validation")
        seconds = self.seconds_before + time.perf_counter() - self.started
        self.history.extend({name: np.array([value]) for name, value in row.items()}, seconds)
        self.history.add_validation(validation)
        self.history.train_seconds = seconds
        self.history.save(self.folder / HISTORY)
        loss = self.environment_loss()[-1]
        self.logger.record("evaluation/environment_loss", loss)
        self.report(f"{steps:,} steps:\n    loss on random trials: {loss:.2e}\n")
        self.bar.set_postfix_str(f"loss {loss:.2e}", refresh=False)
        if not np.isfinite(loss):
            raise self.fault("the loss is not finite")
        if loss < best:
            save_model(self.folder, policy, self.params)
            save_learner(self.folder / BEST, self.model, self.recipe, self.params)
        save_learner(self.folder / LAST, self.model, self.recipe, self.params)

    def fault(self, reason: str) -> TrainingError:
        """Return the error to raise when numbers have exploded."""
        is_kept = np.isfinite(self.environment_loss()).any()
        kept = "the best policy before is kept" if is_kept else "no policy was good, none is kept"
        return TrainingError(
            f"training stopped after {self.model.num_timesteps:,} steps: {reason}; {kept}",
            actor_policy(self.model),
            self.history,
        )

    def environment_loss(self) -> Float[np.ndarray, " evaluations"]:
        """Return the environment's terms on random trials, at each evaluation so far."""
        if not len(self.history):
            return np.zeros(0)
        terms = [self.history[f"training_{name}"] for name in self.params.loss.names]
        loss: Float[np.ndarray, " evaluations"] = np.sum(terms, axis=0)
        return loss


def progress_bar(total_steps: int, show: bool) -> tqdm[Any]:
    """Return a bar on standard error, closed by its context."""
    return tqdm(
        total=total_steps,
        desc="Environment steps",
        unit_scale=True,
        disable=not show,
        file=TolerantStream(sys.stderr),
    )


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread: small networks gain nothing from more, and a busy machine loses."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)


@contextlib.contextmanager
def exploding_weights_as_fault(evaluation: Evaluation) -> Iterator[None]:
    """Raise ``TrainingError`` where torch refuses what exploded weights propose."""
    try:
        yield
    except ValueError as error:
        *_, (frame, _) = traceback.walk_tb(error.__traceback__)
        if not frame.f_globals["__name__"].startswith("torch.distributions"):
            raise
        raise evaluation.fault("the learner's actions have no finite mean and spread") from error


def until(steps: int, history: History) -> History:
    """Return the evaluations after up to this many environment steps."""
    kept = history["environment_steps"] <= steps
    columns = {name: values[kept] for name, values in history.columns.items()}
    seconds = float(columns["seconds"][-1]) if kept.any() else 0.0
    return History(columns, history.compile_seconds, seconds)
