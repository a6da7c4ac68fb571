"""A model with the task that it is trained for and evaluated by."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray
from tqdm.auto import tqdm

from agents.bptt import BPTTConfig, train, train_replicates
from agents.bptt.algorithm import OPTIMIZER_SETTINGS
from agents.evaluation import evaluate, evaluate_replicates
from agents.objective import ActivityCost, PolicyCost, Terms, checked_costs, losses_by_term
from agents.storage.checkpoints import Checkpoints
from agents.storage.history import History
from agents.storage.models import save_model
from agents.storage.runs import HISTORY
from fbx_env import Loss, ReachEnv, ReachParams, Trajectory, Trial, checks, rollout, tree_take


@dataclass(frozen=True)
class TrainingTask:
    """The experiment in which a model is trained, and the trials on which it is evaluated.

    Attributes:
        env: the environment.
        params: the experiment, with the loss of the environment.
        validation_trials: on which models are evaluated, along a leading axis.
        policy_costs: costs of the model itself, which come on top of the environment's loss.

    Raises:
        TypeError, ValueError: for a part of the wrong kind, or two terms of one name.
    """

    env: ReachEnv
    params: ReachParams
    validation_trials: Trial
    policy_costs: tuple[PolicyCost, ...] = (ActivityCost(),)

    def __post_init__(self) -> None:
        checks.instance("env", self.env, ReachEnv)
        checks.instance("params", self.params, ReachParams)
        checks.instance("validation_trials", self.validation_trials, Trial)
        checked_costs(self.policy_costs, self.params.loss)

    @property
    def loss(self) -> Loss:
        """The environment's loss; the costs of the policy come on top of it."""
        return self.params.loss

    @property
    def weights(self) -> dict[str, float]:
        """The weight of every term by its name, ``hidden`` for the activity of hidden units."""
        costs = {cost.name: float(f"{float(cost.weight):.7g}") for cost in self.policy_costs}
        return {**self.loss.weights, **costs}

    def replace(self, **changes: Any) -> TrainingTask:
        """Return a copy with some attributes changed."""
        return dataclasses.replace(self, **changes)

    def with_loss(self, loss: Loss) -> TrainingTask:
        """The same task with another loss of the environment.

        Example:
            >>> task = task.with_loss(task.loss.without("final_velocity") + 1e-7 * Jerk())
        """
        return self.replace(params=self.params.replace(loss=loss))

    def with_weights(self, **weights: float) -> TrainingTask:
        """The same task with other weights of its loss terms, given by name.

        Raises:
            ValueError: for a name no term has.

        Example:
            >>> task.with_weights(command=1e-4, hidden=0.0).weights["command"]
            0.0001
        """
        for name in weights:
            checks.known("loss term", name, self.weights)
        costs = tuple(
            cost.replace(weight=weights.pop(cost.name, cost.weight)) for cost in self.policy_costs
        )
        return self.replace(policy_costs=costs).with_loss(self.loss.with_weights(**weights))

    def eval(self, model: Any, *, key: PRNGKeyArray, trials: Trial | None = None) -> Trajectory:
        """Let a model do the validation trials, or others.

        Args:
            model: one model; take one out of replicates with ``tree_take``.
            key: for noise.
            trials: instead of the validation trials.

        Returns:
            Everything that happened, with a leading axis over the trials.
        """
        trials = self.validation_trials if trials is None else trials
        return rollout(self.env, self.params, model, trials, key)

    def eval_with_loss(
        self, model: Any, *, key: PRNGKeyArray, trials: Trial | None = None
    ) -> tuple[Trajectory, Terms]:
        """``eval``, and the mean loss over the trials by term and in ``total``."""
        trajectory = self.eval(model, key=key, trials=trials)
        terms = losses_by_term(model, trajectory, self.policy_costs)
        losses = {name: terms[name] for name in self.weights}
        return trajectory, {**losses, "total": sum(losses.values(), start=jnp.zeros(()))}

    def eval_replicates(
        self, models: Any, *, key: PRNGKeyArray, trials: Trial | None = None
    ) -> Trajectory:
        """``eval`` of every replicate: the trajectory has replicates first, then trials.

        Raises:
            ValueError: if the arrays of the models share no leading axis.
        """
        tree_take(models, 0)
        of_each = eqx.filter_vmap(lambda model: self.eval(model, key=key, trials=trials))
        trajectory: Trajectory = of_each(models)
        return trajectory

    def evaluate(
        self, model: Any, *, key: PRNGKeyArray, trials: Trial | None = None
    ) -> tuple[dict[str, Any], Trajectory]:
        """Evaluate a model beside the exact optimum; see ``agents.evaluate``."""
        trials = self.validation_trials if trials is None else trials
        return evaluate(
            model, self.env, self.params, trials, policy_costs=self.policy_costs, key=key
        )

    def evaluate_replicates(
        self, models: Any, *, key: PRNGKeyArray, trials: Trial | None = None
    ) -> dict[str, Any]:
        """Evaluate every replicate; see ``agents.evaluate_replicates``."""
        trials = self.validation_trials if trials is None else trials
        return evaluate_replicates(
            models, self.env, self.params, trials, policy_costs=self.policy_costs, key=key
        )


@dataclass(frozen=True)
class TrainingContext:
    """A model, the task it is to learn, and the part of it that learns.

    Attributes:
        model: the untrained model, or replicates of it in one pytree.
        task: what it is trained for and evaluated by.
        where_train: from the model to the part of it that learns; ``None`` for all of it.
        n_replicates: how many models there are.
        settings: fields of ``BPTTConfig`` that ``train`` uses where it is given no others.
    """

    model: Any
    task: TrainingTask
    where_train: Callable[[Any], Any] | None = None
    n_replicates: int = 1
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        checks.instance("task", self.task, TrainingTask)
        checks.whole("n_replicates", self.n_replicates, at_least=1)
        if self.n_replicates > 1:
            arrays = jax.tree.leaves(eqx.filter(self.model, eqx.is_array))
            if not arrays or {array.shape[:1] for array in arrays} != {(self.n_replicates,)}:
                raise ValueError(
                    f"model must hold {self.n_replicates} replicates, each array with a leading "
                    "axis over them; for a single model say n_replicates=1"
                )

    def replace(self, **changes: Any) -> TrainingContext:
        """Return a copy with some attributes changed.

        Example:
            >>> context = context.replace(task=context.task.with_weights(command=1e-4))
        """
        return dataclasses.replace(self, **changes)

    def train(
        self,
        *,
        key: PRNGKeyArray,
        optimizer: Any = None,
        shared_trials: bool = False,
        devices: Sequence[jax.Device] | None = None,
        checkpoints: Checkpoints | None = None,
        write: Callable[[str], None] | None = tqdm.write,
        **settings: Any,
    ) -> tuple[Any, History]:
        """Train the model on the task; ``model`` itself stays untrained.

        Args:
            key: for trials and noise. Replicate i is trained as ``train`` would train it alone
                with ``jax.random.split(key, n_replicates)[i]``.
            optimizer: of optax, instead of clipping by global norm and Muon with a falling rate;
                for clipping, ``optax.chain(optax.clip_by_global_norm(1.0), ...)``.
            shared_trials: whether all replicates see the same trials and noise, those of
                ``train`` with ``key``.
            devices: over which trials or replicates are sharded, as of ``agents.train``.
            checkpoints: where to keep what is needed to resume after being stopped.
            write: what prints a line of text; ``None`` for silence.
            **settings: fields of ``BPTTConfig``, such as ``n_batches``, ``batch_size``,
                ``learning_rate`` and ``log_step``, instead of the context's ``settings``.

        Returns:
            The trained model, or replicates in one pytree, and the history.

        Raises:
            TypeError: for an unknown setting.
            ValueError: for a value that is not allowed, or a learning rate beside an optimiser.
            TrainingError: if a loss or gradient is not finite.
            Interrupted: after SIGINT or SIGTERM; it holds the model and the history until then.

        Example:
            >>> model, history = context.train(n_batches=2000, batch_size=250, key=key)
        """
        allowed = [field.name for field in dataclasses.fields(BPTTConfig)]
        allowed.remove("policy_costs")
        unknown = sorted(set(settings) - set(allowed))
        if unknown:
            raise TypeError(
                f"no training setting {', '.join(map(repr, unknown))}; there are "
                f"{', '.join(allowed)}; weights are set by task.with_weights(hidden=...), costs of "
                "the policy by task.replace(policy_costs=...)"
            )
        checks.key("key", key)
        replaced = () if optimizer is None else OPTIMIZER_SETTINGS
        own = {name: value for name, value in self.settings.items() if name not in replaced}
        config = BPTTConfig(**{**own, **settings}, policy_costs=self.task.policy_costs)
        shared: dict[str, Any] = {
            "where_train": self.where_train,
            "validation_trials": self.task.validation_trials,
            "optimizer": optimizer,
            "devices": devices,
            "checkpoints": checkpoints,
            "write": write,
        }
        problem = (self.task.env, self.task.params, config)
        if self.n_replicates == 1:
            return train(self.model, *problem, key=key, **shared)
        if checks.flag("shared_trials", shared_trials):
            keys = jnp.stack([key] * self.n_replicates)
        else:
            keys = jax.random.split(key, self.n_replicates)
        return train_replicates(self.model, *problem, keys=keys, **shared)

    def save(self, folder: Path | str, model: Any, history: History | None = None) -> None:
        """Save a trained model with the task's experiment, for ``load_model`` and the command line.

        Args:
            folder: it is made if it is not there.
            model: as returned by ``train``.
            history: of its training, saved as ``history.csv``.

        Raises:
            TypeError, ValueError: as of ``save_model``.

        Example:
            >>> context.save("models/mine", model, history)
        """
        save_model(folder, model, self.task.params)
        if history is not None:
            checks.instance("history", history, History).save(Path(folder) / HISTORY)
