"""A training run: chunks of updates in turn with validation, reports and checkpoints."""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import equinox as eqx
import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Float, PRNGKeyArray
from tqdm.auto import tqdm

from agents.bptt.algorithm import BPTTConfig, Rates, Setup, TrainState, update
from agents.bptt.compilation import MAX_CHUNK, compile_for, compile_updates
from agents.bptt.devices import on_first_device, replicated, synchronise
from agents.bptt.faults import describe_fault, first_failure, until_fault
from agents.objective import Keys, Objective, Terms, mean_loss
from agents.storage.checkpoints import CheckpointManager
from agents.storage.history import History
from agents.storage.interrupts import Interrupted, requests_to_stop
from agents.storage.output import TolerantStream
from agents.training_error import TrainingError
from fbx_env import Trial, tree_take

CHUNK_SECONDS = 1.0
"""A chunk takes about as long at most, so that who interrupts the training need not wait. How
updates are cut into chunks does not change what they compute."""


@dataclass
class Run:
    """A training from its state to its end; the state and the history are brought forward."""

    state: TrainState
    history: History
    setup: Setup
    config: BPTTConfig
    trials: Trial
    key_validation: Keys
    mesh: Mesh | None
    checkpoints: CheckpointManager
    report: Callable[[str], None]

    def __post_init__(self) -> None:
        self.are_replicates = self.state.iteration.ndim > 0
        self.names = (*self.setup.objective.names, "total")
        self.find_operation = jax.config.jax_debug_nans  # type: ignore[attr-defined]

    def complete(self, show_progress: bool) -> None:
        """Make all updates that are left."""
        with contextlib.ExitStack() as stack:
            # JAX's own check would stop at the reports of updates that are not due.
            stack.enter_context(jax.debug_nans(False))
            request = stack.enter_context(requests_to_stop())
            self.compile()
            bar = stack.enter_context(self.progress_bar(show_progress))
            self.started = time.perf_counter() - self.history.train_seconds
            self.chunk = 1
            while (done := len(self.history)) < self.config.n_batches:
                due = self.next_validation()
                n_updates = self.checkpoints.until_due(done, min(due - done, self.chunk, MAX_CHUNK))
                n_updates, signal = synchronise(self.mesh, n_updates, request.signal)
                if signal is not None:
                    self.stop(signal)
                self.advance(n_updates)
                loss = np.mean(self.history.since(done)["training_total"][-1])
                bar.set_postfix_str(f"loss {loss:.2e}", refresh=False)
                bar.update(n_updates)
                if done + n_updates == due:
                    self.validate()
                self.checkpoints.save_if_due(self.state, self.history)
            self.checkpoints.save(self.state, self.history)
        n_trials = f"{self.config.n_batches * self.config.batch_size:,} trials"
        per_model = " per model" if self.are_replicates else ""
        self.report(f"Completed training run on a total of {n_trials}{per_model}.")

    def progress_bar(self, show: bool) -> tqdm[NoReturn]:
        """Return the bar on standard error, closed by its context."""
        return tqdm(
            initial=len(self.history),
            total=self.config.n_batches,
            desc="Training iteration",
            disable=not show,
            file=TolerantStream(sys.stderr),
        )

    def next_validation(self) -> int:
        """Return after how many updates it is: the first, every ``log_step``, the last."""
        log_step, n_batches = self.config.log_step, self.config.n_batches
        return min(1 + log_step * math.ceil(len(self.history) / log_step), n_batches)

    def compile(self) -> None:
        """Compile a chunk of updates, and the validation."""
        begun = time.perf_counter()
        self.make_updates = compile_updates(self.state, self.setup, self.mesh)
        compiled = time.perf_counter()
        self.report(f"Training step compiled in {compiled - begun:.2f} seconds.")
        arguments = (self.setup.objective, self.trials, self.key_validation)
        self.validation_arguments = on_first_device(replicated(arguments, self.mesh), self.mesh)
        self.losses = compile_for(
            self.validation_function, self.state.policy, *self.validation_arguments
        )
        ended = time.perf_counter()
        self.report(f"Validation step compiled in {ended - compiled:.2f} seconds.\n")
        self.history.compile_seconds += ended - begun

    def advance(self, n_updates: int) -> None:
        """Make a chunk of updates."""
        done, begun = len(self.history), time.perf_counter()
        self.state, reports = self.make_updates(self.state, n_updates)
        columns = (*self.names, "gradient_norm")
        rows = {name: np.asarray(reports[name])[:n_updates] for name in columns}
        rows["learning_rate"] = self.learning_rates(done)[:n_updates]
        now = time.perf_counter()
        # A clock may stand still, or jump.
        self.chunk = max(1, int(CHUNK_SECONDS * n_updates / max(now - begun, 1e-6)))
        self.history.train_seconds = now - self.started
        if np.any(self.state.halted):
            self.record(until_fault(rows))
            arguments = (_halted_replicate(self.state), self.setup)
            raise self.fault(describe_fault(rows, done), update, *arguments)
        self.record(rows)

    def record(self, rows: dict[str, np.ndarray]) -> None:
        """Append updates to the history, with the environment steps made until each of them."""
        params = self.setup.objective.params
        n_made = len(self.history) + 1 + np.arange(len(rows["total"]))
        steps = n_made * self.config.batch_size * params.max_steps_in_episode
        self.history.extend({**rows, "environment_steps": steps}, self.history.train_seconds)

    def learning_rates(self, done: int) -> Float[np.ndarray, " updates"]:
        """Return those of the updates that a chunk may have."""
        iterations = done + np.arange(MAX_CHUNK)
        optimizer = self.setup.optimizer
        if isinstance(optimizer, Rates):
            return np.asarray(jax.jit(Rates.schedule)(optimizer, iterations))
        return np.full(MAX_CHUNK, np.nan)

    def validate(self) -> None:
        """Report the losses on the validation trials."""
        done = len(self.history)
        losses = self.losses(self.state.policy, *self.validation_arguments)
        self.history.add_validation({name: losses[name] for name in self.names})
        self.history.train_seconds = time.perf_counter() - self.started
        if not np.all(np.isfinite(losses["total"])):
            rows = {name: np.asarray(loss)[None] for name, loss in losses.items()}
            message = describe_fault(rows, done - 1, kind="validation ")
            raise self.fault(
                message, self.validation_function, self.state.policy, *self.validation_arguments
            )
        is_last = done == self.config.n_batches
        label = "Final training iteration ({})" if is_last else "Training iteration {}"
        mean = "mean " if self.are_replicates else ""
        last = self.history.since(done - 1)["training_total"][-1]
        self.report(
            f"{label.format(done - 1)}:\n"
            f"    {mean}training loss: {_mean_and_range(np.asarray(last))}\n"
            f"    {mean}validation loss: {_mean_and_range(np.asarray(losses['total']))}\n"
        )

    @property
    def validation_function(self) -> Callable[..., Terms]:
        """The losses on the validation trials, of one policy or of replicates."""
        return _replicate_validation_losses if self.are_replicates else _validation_losses

    def fault(self, message: str, function: Callable[..., Any], *arguments: Any) -> TrainingError:
        """Return the error to raise; if asked for, with the operation that failed."""
        if self.find_operation:
            message += f"; {first_failure(function, *arguments)}"
        return TrainingError(message, self.state.last_good, self.history)

    def stop(self, signal: int) -> NoReturn:
        """Keep what there is, and raise ``Interrupted``."""
        message = f"training was stopped after {len(self.history)} updates"
        checkpoints = self.checkpoints.checkpoints
        if checkpoints is None:
            advice = (
                "To be able to resume, give train checkpoints=Checkpoints(folder); without them, "
                "begin another training with this policy."
            )
        else:
            message += f"; {self.checkpoints.save(self.state, self.history)}"
            folder = str(checkpoints.folder)
            advice = f"To resume, call it again with Checkpoints({folder!r}, resume=True)."
        raise Interrupted(message, signal, self.state.policy, self.history, advice)


def _validation_losses(
    policy: Any, objective: Objective, trials: Trial, key: PRNGKeyArray
) -> Terms:
    total, terms = mean_loss(policy, objective, trials, jax.random.split(key, len(trials.start)))
    return {**terms, "total": total}


def _replicate_validation_losses(
    policies: Any, objective: Objective, trials: Trial, keys: Keys
) -> Terms:
    of_each = eqx.filter_vmap(_validation_losses, in_axes=(eqx.if_array(0), None, None, 0))
    losses: Terms = of_each(policies, objective, trials, keys)
    return losses


def _halted_replicate(state: TrainState) -> TrainState:
    """The state of the first replicate that halted; the state itself if there is only one."""
    if not state.halted.ndim:
        return state
    first: TrainState = tree_take(state, int(np.argmax(state.halted)))
    return first


def _mean_and_range(losses: Float[np.ndarray, "*replicates"]) -> str:
    if not losses.ndim:
        return f"{losses:.2e}"
    return f"{losses.mean():.2e} (from {losses.min():.2e} to {losses.max():.2e})"
