"""Ready-made pairings of a model with a task, each a function that returns a TrainingContext."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray
from tqdm import tqdm

from agents.bptt import BPTTConfig, losses_by_term, select_trainable, train, train_replicates
from agents.evaluation import evaluate, evaluate_replicates
from agents.policies import make_policy
from agents.storage.checkpoints import Checkpoints
from agents.storage.history import History
from fbx_env import (
    Loss,
    PointMass,
    ReachEnv,
    ReachParams,
    SensoryChannel,
    SimpleReaches,
    Trajectory,
    Trial,
    checks,
    rollout,
    tree_take,
)


@dataclass(frozen=True)
class TrainingTask:
    """What a model is trained for and judged by.

    Attributes:
        env: the environment.
        params: the experiment, with the loss of the environment.
        validation_trials: on which models are judged, along a leading axis.
        hidden_weight: weight of the squared activity of the model's hidden units in the loss.

    Raises:
        TypeError, ValueError: for a part of the wrong kind, or a negative weight.
    """

    env: ReachEnv
    params: ReachParams
    validation_trials: Trial
    hidden_weight: float = 1e-5

    def __post_init__(self) -> None:
        checks.instance("env", self.env, ReachEnv)
        checks.instance("params", self.params, ReachParams)
        checks.instance("validation_trials", self.validation_trials, Trial)
        checks.number("hidden_weight", self.hidden_weight, at_least=0)

    @property
    def loss(self) -> Loss:
        """The environment's loss; the activity of the hidden units comes on top of it."""
        return self.params.loss

    @property
    def weights(self) -> dict[str, float]:
        """The weight of every term by its name, with ``hidden`` for the activity."""
        return {**self.loss.weights, "hidden": self.hidden_weight}

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
        known = (*self.loss.names, "hidden")
        unknown = sorted(set(weights) - set(known))
        if unknown:
            raise ValueError(
                f"no loss term {', '.join(map(repr, unknown))}; there are {', '.join(known)}"
            )
        hidden_weight = weights.pop("hidden", self.hidden_weight)
        task = self.with_loss(self.loss.with_weights(**weights))
        return task.replace(hidden_weight=hidden_weight)

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
    ) -> tuple[Trajectory, dict[str, Float[Array, ""]]]:
        """``eval``, and the mean loss over the trials by term and in ``total``."""
        trajectory = self.eval(model, key=key, trials=trials)
        terms = losses_by_term(trajectory, self.hidden_weight)
        losses = {name: terms[name] for name in (*self.loss.names, "hidden")}
        return trajectory, {**losses, "total": sum(losses.values(), start=jnp.zeros(()))}

    def eval_replicates(
        self, models: Any, *, key: PRNGKeyArray, trials: Trial | None = None
    ) -> Trajectory:
        """``eval`` of every replicate: the trajectory has replicates first, then trials.

        Raises:
            ValueError: if the arrays of the models share no leading axis.
        """
        tree_take(models, 0)
        return eqx.filter_vmap(lambda model: self.eval(model, key=key, trials=trials))(models)

    def evaluate(
        self, model: Any, *, key: PRNGKeyArray, trials: Trial | None = None
    ) -> tuple[dict[str, Any], Trajectory]:
        """Judge a model beside the exact optimum; see ``agents.evaluate``."""
        trials = self.validation_trials if trials is None else trials
        return evaluate(
            model, self.env, self.params, trials, hidden_weight=self.hidden_weight, key=key
        )

    def evaluate_replicates(
        self, models: Any, *, key: PRNGKeyArray, trials: Trial | None = None
    ) -> dict[str, Any]:
        """Judge every replicate; see ``agents.evaluate_replicates``."""
        trials = self.validation_trials if trials is None else trials
        return evaluate_replicates(
            models, self.env, self.params, trials, hidden_weight=self.hidden_weight, key=key
        )


@dataclass(frozen=True)
class TrainingContext:
    """A model, the task it is to learn, and the part of it that learns.

    Attributes:
        model: the untrained model, or replicates of it in one pytree.
        task: what it is trained for and judged by.
        where_train: from the model to the part of it that learns; ``None`` for all of it.
        n_replicates: how many models there are.
    """

    model: Any
    task: TrainingTask
    where_train: Callable[[Any], Any] | None = None
    n_replicates: int = 1

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
            optimizer: of optax, instead of clipping by global norm and Muon with cosine decay; for
                clipping, ``optax.chain(optax.clip_by_global_norm(1.0), ...)``.
            shared_trials: whether all replicates see the same trials and noise, those of
                ``train`` with ``key``.
            devices: over which trials or replicates are shared out, as of ``agents.train``.
            checkpoints: where to keep what is needed to go on after being stopped.
            write: what prints a line of text; ``None`` for silence.
            **settings: fields of ``BPTTConfig``, such as ``n_batches``, ``batch_size``,
                ``learning_rate`` and ``log_step``.

        Returns:
            The trained model, or replicates in one pytree, and the history.

        Raises:
            TypeError: for a setting there is not.
            ValueError: for a value that is not allowed, or a learning rate beside an optimiser.
            TrainingError: if a loss or gradient is not finite.
            Interrupted: with checkpoints, after SIGINT or SIGTERM.

        Example:
            >>> model, history = context.train(n_batches=2000, batch_size=250, key=key)
        """
        allowed = [field.name for field in dataclasses.fields(BPTTConfig)]
        allowed.remove("hidden_weight")
        unknown = sorted(set(settings) - set(allowed))
        if unknown:
            hint = "; set it with task.with_weights(hidden=...)" * ("hidden_weight" in unknown)
            raise TypeError(
                f"no training setting {', '.join(map(repr, unknown))}{hint}; there are "
                f"{', '.join(allowed)}"
            )
        checks.key("key", key)
        config = BPTTConfig(**settings, hidden_weight=self.task.hidden_weight)
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


def point_mass_nn_simple_reaches(
    n_replicates: int = 1,
    n_steps: int = 100,
    dt: float = 0.05,
    mass: float = 1.0,
    workspace: tuple[tuple[float, float], tuple[float, float]] = ((-1.0, -1.0), (1.0, 1.0)),
    encoding_size: int | None = None,
    hidden_size: int = 50,
    hidden_type: str | Callable[..., Any] = "gru",
    where_train: Callable[[Any], Any] | None = None,
    feedback_delay_steps: int = 0,
    eval_grid_n: int = 1,
    eval_n_directions: int = 7,
    *,
    key: PRNGKeyArray,
) -> TrainingContext:
    """Pair a neural network with simple reaches of a point mass.

    Args:
        n_replicates: models to train at once, with different initial weights.
        n_steps: states of a trial, the initial one included; there are ``n_steps - 1`` commands.
        dt: duration of a step [s].
        mass: of the point [kg].
        workspace: corners of the rectangle in which starts and goals lie [m].
        encoding_size: units of a tanh layer before the hidden one; ``None`` for no such layer.
        hidden_size: units of the hidden layer.
        hidden_type: ``"gru"``, ``"lstm"``, ``"rnn"`` or ``"mlp"``, or what makes a recurrent cell
            of your own, as in ``CustomCellPolicy``.
        where_train: from the model to the part of it that learns, as
            ``lambda model: model.readout``; ``None`` for all of it.
        feedback_delay_steps: steps from the plant to what the network senses.
        eval_grid_n: starts of the validation reaches along each axis of the workspace.
        eval_n_directions: validation reaches from each start.
        key: for the initial weights.

    Returns:
        The context: ``context.model``, ``context.task`` and ``context.train(...)``.

    Raises:
        TypeError, ValueError: for an argument that is not allowed.

    Example:
        >>> context = point_mass_nn_simple_reaches(key=jax.random.key(0))
        >>> model, history = context.train(n_batches=100, key=jax.random.key(1))
        >>> trajectory = context.task.eval(model, key=jax.random.key(2))
    """
    n_replicates = checks.whole("n_replicates", n_replicates, at_least=1)
    n_steps = checks.whole("n_steps", n_steps, at_least=2)
    checks.key("key", key)
    params = ReachParams(
        max_steps_in_episode=n_steps - 1,
        plant=PointMass(mass=mass),
        task=SimpleReaches(workspace=workspace),
        sensory=SensoryChannel(delay=feedback_delay_steps),
        dt=dt,
    )
    env = ReachEnv()
    obs_size = env.observation_space(params).shape[0]

    def make_model(key: PRNGKeyArray) -> Any:
        return make_policy(
            hidden_type, obs_size, params.plant.action_size, hidden_size, encoding_size, key=key
        )

    keys = jax.random.split(key, n_replicates)
    model = make_model(keys[0]) if n_replicates == 1 else eqx.filter_vmap(make_model)(keys)
    select_trainable(model, where_train)
    validation_trials = params.task.validation_trials(eval_grid_n, eval_n_directions)
    return TrainingContext(
        model, TrainingTask(env, params, validation_trials), where_train, n_replicates
    )
