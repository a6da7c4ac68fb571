"""The BPTT agent: training a policy by backpropagation through the environment itself.

Read from top to bottom: the configuration, the objective, one update, many updates in one compiled
scan, and the loop that runs them and reports.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree
from tqdm import tqdm

from agents.history import History
from fbx_env import ReachEnv, ReachParams, Trajectory, Trial, checks
from fbx_env.rollout import rollout_trial

Terms = dict[str, Float[Array, ""]]


@dataclass(frozen=True)
class BPTTConfig:
    """How to train by backpropagation through time.

    Raises:
        TypeError, ValueError: for a value that is not allowed.
    """

    n_batches: int = 3000
    """Number of updates."""
    batch_size: int = 16
    """Trials in each update."""
    learning_rate: float = 0.01
    """Learning rate of Adam at the start; it follows a cosine down to zero at the end."""
    second_moment_decay: float = 0.95
    """Decay of Adam's running mean of squared gradients. The first gradients are huge, and the
    usual 0.999 remembers them for too long: 1.11 times the optimum after training, not 1.04."""
    clip_norm: float = 1.0
    """Gradients are scaled down to this global norm where they exceed it."""
    hidden_weight: float = 1e-5
    """Weight of the squared activity of the hidden units in the objective."""
    log_step: int = 200
    """Updates between two evaluations on the validation trials, each with a line of output."""

    def __post_init__(self) -> None:
        checks.whole("n_batches", self.n_batches, at_least=1)
        checks.whole("batch_size", self.batch_size, at_least=1)
        checks.real("learning_rate", self.learning_rate, above=0)
        decay = checks.real("second_moment_decay", self.second_moment_decay, at_least=0)
        if decay >= 1:
            raise ValueError(f"second_moment_decay must be less than 1, got {decay}")
        checks.real("clip_norm", self.clip_norm, above=0)
        checks.real("hidden_weight", self.hidden_weight, at_least=0)
        checks.whole("log_step", self.log_step, at_least=1)


class Problem(NamedTuple):
    """What is trained for: the environment, its params and the weight of the activity."""

    env: ReachEnv
    params: ReachParams
    hidden_weight: float


class TrainState(NamedTuple):
    """Everything that changes during training.

    Attributes:
        policy: the policy after the last update.
        last_good: the last policy whose loss and gradient were found to be finite, which is the
            policy before the last update.
        opt_state: the optimiser's state.
        key: from which the trials and noise of every update are drawn.
        iteration: updates made so far.
        halted: whether a loss or gradient was not finite; no update is made from then on.
    """

    policy: Any
    last_good: Any
    opt_state: PyTree
    key: PRNGKeyArray
    iteration: Int[Array, ""]
    halted: Array


class TrainingError(ArithmeticError):
    """Training met a loss or gradient that is not finite.

    Attributes:
        policy: the last one whose loss and gradient were finite; the initial one if none was.
        history: up to the fault.
    """

    def __init__(self, message: str, policy: Any, history: History) -> None:
        super().__init__(message)
        self.policy = policy
        self.history = history


def cosine_schedule(config: BPTTConfig) -> Callable[[Any], Any]:
    """The default optimiser's learning rate as a function of the updates made."""
    return optax.cosine_decay_schedule(config.learning_rate, config.n_batches)


def adam_with_cosine_decay(config: BPTTConfig) -> optax.GradientTransformation:
    """The default optimiser: clipping by global norm, then Adam with a cosine schedule."""
    adam = optax.adam(cosine_schedule(config), b2=config.second_moment_decay)
    return optax.chain(optax.clip_by_global_norm(config.clip_norm), adam)


def losses_by_term(trajectory: Trajectory, hidden_weight: float) -> Terms:
    """Mean loss over trials, by term: those of the environment, and ``hidden``.

    Args:
        trajectory: one trial or a batch.
        hidden_weight: what the summed squared activity of the hidden units is multiplied with.
    """
    terms = {name: jnp.mean(cost.sum(-1)) for name, cost in trajectory.losses.items()}
    activity = jnp.sum(jnp.square(trajectory.activity), (-2, -1))
    return {**terms, "hidden": hidden_weight * jnp.mean(activity)}


def objective(
    policy: Any, problem: Problem, trials: Trial, key: PRNGKeyArray
) -> tuple[Float[Array, ""], Terms]:
    """Mean loss of a policy over trials, total and by term; differentiable in everything."""
    keys = jax.random.split(key, trials.start.shape[0])
    trajectories = jax.vmap(rollout_trial, in_axes=(None, None, None, 0, 0))(
        problem.env, problem.params, policy, trials, keys
    )
    terms = losses_by_term(trajectories, problem.hidden_weight)
    return sum(terms.values(), start=jnp.zeros(())), terms


def update(
    state: TrainState,
    problem: Problem,
    optimizer: optax.GradientTransformation,
    batch_size: int,
) -> tuple[TrainState, dict[str, Float[Array, ""]]]:
    """Make one update on fresh random trials; report terms and gradient norm.

    If the loss or the gradient is not finite, nothing changes but that the state says halted.
    """
    key_trials, key_noise = jax.random.split(jax.random.fold_in(state.key, state.iteration))
    trials = jax.vmap(problem.params.task.sample)(jax.random.split(key_trials, batch_size))
    (total, terms), gradient = eqx.filter_value_and_grad(objective, has_aux=True)(
        state.policy, problem, trials, key_noise
    )
    gradient_norm = optax.tree.norm(gradient)
    finite = jnp.isfinite(total) & jnp.isfinite(gradient_norm)
    arrays, structure = eqx.partition(state.policy, eqx.is_inexact_array)
    steps, opt_state = optimizer.update(gradient, state.opt_state, arrays)
    updated = TrainState(
        policy=eqx.combine(optax.apply_updates(arrays, steps), structure),
        last_good=state.policy,
        opt_state=opt_state,
        key=state.key,
        iteration=state.iteration + 1,
        halted=jnp.zeros((), bool),
    )
    state = jax.tree.map(
        lambda new, old: jax.lax.select(finite, new, old) if eqx.is_array(new) else new,
        updated,
        state._replace(halted=jnp.ones((), bool)),
    )
    return state, {**terms, "total": total, "gradient_norm": gradient_norm}


def update_many(
    state: TrainState,
    problem: Problem,
    optimizer: optax.GradientTransformation,
    batch_size: int,
    length: int,
    n_updates: Int[Array, ""],
) -> tuple[TrainState, dict[str, Float[Array, " length"]]]:
    """Make ``n_updates`` updates in one scan of fixed ``length``, so that it compiles once.

    Rows of the report past ``n_updates``, or past a halt, are NaN.
    """
    arrays, structure = eqx.partition(state, eqx.is_array)

    def one(arrays: PyTree) -> tuple[PyTree, dict[str, Array]]:
        state, report = update(eqx.combine(arrays, structure), problem, optimizer, batch_size)
        return eqx.filter(state, eqx.is_array), report

    shapes = jax.eval_shape(one, arrays)[1]
    nothing = jax.tree.map(lambda shape: jnp.full(shape.shape, jnp.nan, shape.dtype), shapes)

    def one_if_due(arrays: PyTree, index: Int[Array, ""]) -> tuple[PyTree, dict[str, Array]]:
        due = (index < n_updates) & ~arrays.halted
        return jax.lax.cond(due, one, lambda arrays: (arrays, nothing), arrays)

    arrays, reports = jax.lax.scan(one_if_due, arrays, jnp.arange(length))
    return eqx.combine(arrays, structure), reports


def init_state(
    policy: Any, optimizer: optax.GradientTransformation, key: PRNGKeyArray
) -> TrainState:
    """The state before the first update."""
    opt_state = optimizer.init(eqx.filter(policy, eqx.is_inexact_array))
    return TrainState(policy, policy, opt_state, key, jnp.zeros((), jnp.int32), jnp.zeros((), bool))


def train(
    policy: Any,
    env: ReachEnv,
    params: ReachParams,
    config: BPTTConfig | None = None,
    *,
    key: PRNGKeyArray,
    optimizer: optax.GradientTransformation | None = None,
    write: Callable[[str], None] | None = tqdm.write,
) -> tuple[Any, History]:
    """Train a policy through the environment.

    Args:
        policy: the policy to begin with; it is not changed.
        env: the environment.
        params: the experiment.
        config: how to train.
        key: for trials and noise.
        optimizer: instead of Adam with cosine decay; the history then has NaN as learning rate.
        write: what prints a line of text; ``None`` for silence, without progress bar.

    Returns:
        The trained policy and the history of its training.

    Raises:
        TrainingError: if a loss or gradient is not finite; it holds the last good policy.

    Example:
        >>> env, params = fbx_env.make()
        >>> policy = GRUPolicy(8, 2, 50, key=jax.random.key(0))
        >>> config = BPTTConfig(n_batches=100)
        >>> trained, history = train(policy, env, params, config, key=jax.random.key(1))
    """
    config = BPTTConfig() if config is None else config
    say = (lambda _: None) if write is None else write
    learning_rate: Callable[[Any], Any] = _unknown
    if optimizer is None:
        optimizer, learning_rate = adam_with_cosine_decay(config), cosine_schedule(config)
    problem = Problem(env, params, config.hidden_weight)
    key_train, key_validation = jax.random.split(key)
    state = init_state(policy, optimizer, key_train)
    trials = params.task.validation_trials()
    length = min(config.log_step, config.n_batches)
    columns = (*params.loss.names, "hidden", "total", "gradient_norm")

    started = time.perf_counter()
    compiling: Any = eqx.filter_jit(update_many)
    advance = compiling.lower(
        state, problem, optimizer, config.batch_size, length, jnp.asarray(1)
    ).compile()
    compiled_training = time.perf_counter() - started
    say(f"Training step compiled in {compiled_training:.2f} seconds.")
    started = time.perf_counter()
    compiling = eqx.filter_jit(objective)
    validate = compiling.lower(policy, problem, trials, key_validation).compile()
    compiled_validation = time.perf_counter() - started
    say(f"Validation step compiled in {compiled_validation:.2f} seconds.\n")

    history = History(compile_seconds=compiled_training + compiled_validation)
    bar = tqdm(total=config.n_batches, desc="Training iteration", disable=write is None)
    started = time.perf_counter()
    due = 1
    with bar:
        while (done := len(history)) < config.n_batches:
            n_updates = min(due, config.n_batches - done)
            state, reports = advance(
                state, problem, optimizer, config.batch_size, length, jnp.asarray(n_updates)
            )
            rows = {name: np.asarray(reports[name])[:n_updates] for name in columns}
            if bool(state.halted):
                history.extend(_until_fault(rows), time.perf_counter() - started)
                raise TrainingError(_describe_fault(rows, done), state.last_good, history)
            rows["learning_rate"] = learning_rate(done + np.arange(n_updates))
            history.extend(rows, time.perf_counter() - started)
            total, terms = validate(state.policy, problem, trials, key_validation)
            losses = {**terms, "total": total}
            history.add_validation({name: losses[name] for name in columns if name in losses})
            if not np.isfinite(total):
                raise TrainingError(
                    f"training stopped at iteration {len(history) - 1}: the validation loss is not "
                    "finite; the last policy for which everything was finite is kept",
                    state.last_good,
                    history,
                )
            bar.set_postfix_str(f"loss {rows['total'][-1]:.2e}", refresh=False)
            bar.update(n_updates)
            last = done + n_updates == config.n_batches
            label = "Final training iteration ({})" if last else "Training iteration {}"
            say(
                f"{label.format(len(history) - 1)}:\n"
                f"    training loss: {rows['total'][-1]:.2e}\n"
                f"    validation loss: {total:.2e}\n"
            )
            due = config.log_step
    history.train_seconds = time.perf_counter() - started
    say(f"Completed training run on a total of {config.n_batches * config.batch_size:,} trials.")
    return state.policy, history


def _unknown(iterations: np.ndarray) -> np.ndarray:
    return np.full(len(iterations), np.nan)


def _until_fault(rows: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    n_good = int(np.argmin(np.isfinite(rows["total"]) & np.isfinite(rows["gradient_norm"])))
    return {name: values[:n_good] for name, values in rows.items()}


def _describe_fault(rows: dict[str, np.ndarray], done: int) -> str:
    index = len(_until_fault(rows)["total"])
    faulty = [name for name, values in rows.items() if not np.isfinite(values[index])]
    causes = [name for name in faulty if name not in ("total", "gradient_norm")]
    what = f"loss term {', '.join(causes)}" if causes else ", ".join(faulty).replace("_", " ")
    return (
        f"training stopped at iteration {done + index}: the {what} is not finite; "
        "the last policy for which everything was finite is kept"
    )
