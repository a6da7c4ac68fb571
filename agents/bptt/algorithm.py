"""The BPTT agent: training a policy by backpropagation through the environment itself.

Read from top to bottom: the configuration, the objective, one update, many updates in one compiled
scan, and the loop that runs them and reports.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree
from tqdm import tqdm

from agents.bptt.devices import (
    REPLICATES,
    WHOLE,
    agree,
    all_processes,
    any_replicate,
    is_first_process,
    make_mesh,
    mean_over_trials,
    own_trials,
    place,
    share_out,
    spans_processes,
    told_by_first_process,
    unplace,
    with_mean_gradient,
)
from agents.bptt.faults import first_failure
from agents.storage.checkpoints import Checkpoints, Keeper, describe, from_bytes, to_bytes
from agents.storage.history import History
from agents.storage.interrupts import Interrupted, Request, requests_to_stop
from fbx_env import ReachEnv, ReachParams, Trajectory, Trial, checks
from fbx_env.rollout import rollout_trial

Terms = dict[str, Float[Array, ""]]

STRETCH_SECONDS = 1.0
"""A stretch of updates takes about as long at most, so that who interrupts the training need not
wait. How updates are cut into stretches does not change what they compute."""


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
    learning_rate: float | None = None
    """Learning rate at the start; it follows a cosine down to zero at the end. If not given, it is
    15 divided by the number of updates, but at most 0.01."""
    clip_norm: float = 1.0
    """Gradients are scaled down to this global norm where they exceed it."""
    hidden_weight: float = 1e-5
    """Weight of the squared activity of the hidden units in the objective."""
    rematerialise: bool = False
    """Whether the backward pass computes each step anew from the state before it, instead of
    keeping all that happened inside of it: less memory for long trials, and more time."""
    log_step: int = 200
    """Updates between two evaluations on the validation trials, each with a line of output."""

    def __post_init__(self) -> None:
        whole, real = ("n_batches", "batch_size", "log_step"), ["clip_norm"]
        if self.learning_rate is not None:
            real.append("learning_rate")
        for name in whole:
            checks.whole(name, getattr(self, name), at_least=1, at_most=2**31 - 1)
        for name in real:
            checks.number(name, getattr(self, name), above=0)
        checks.number("hidden_weight", self.hidden_weight, at_least=0)
        checks.flag("rematerialise", self.rematerialise)
        # Numbers of NumPy and JAX become Python's, which JSON knows and jit takes as constants.
        for name in (*real, "hidden_weight"):
            object.__setattr__(self, name, float(getattr(self, name)))
        for name in whole:
            object.__setattr__(self, name, int(getattr(self, name)))


class Problem(NamedTuple):
    """What is trained for, and what is trained.

    Attributes:
        env: the environment.
        params: the experiment.
        hidden_weight: weight of the squared activity of the hidden units.
        trainable: a pytree like the policy, with True for the arrays that learn.
        rematerialise: as of ``BPTTConfig``.
    """

    env: ReachEnv
    params: ReachParams
    hidden_weight: float
    trainable: PyTree
    rematerialise: bool = False


class TrainState(NamedTuple):
    """Everything that changes during training; for replicates, every array has a leading axis.

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

    With ``jax.config.update("jax_debug_nans", True)``, the message also says which operation was
    the first to give such a number, and where.

    Attributes:
        policy: the last one whose loss and gradient were finite; the initial one if none was. For
            replicates, of each its last one.
        history: up to the fault.
    """

    def __init__(self, message: str, policy: Any, history: History) -> None:
        super().__init__(message)
        self.policy = policy
        self.history = history


def cosine_schedule(config: BPTTConfig) -> Callable[[Any], Any]:
    """The default optimiser's learning rate as a function of the updates made.

    Where none is given, all steps together go equally far, which ended closest to the optimum with
    1,000, 2,000 and 3,000 updates: half the rate is too slow, and twice as much loses its way.
    """
    rate = config.learning_rate
    if rate is None:
        rate = min(0.01, 15 / config.n_batches)
    return optax.cosine_decay_schedule(rate, config.n_batches)


def default_optimizer(config: BPTTConfig) -> optax.GradientTransformation:
    """Clipping by global norm, then Muon with a cosine schedule.

    Muon (Jordan and others, 2024, https://kellerjordan.github.io/posts/muon/) moves a matrix of
    weights by its momentum made orthogonal, and all else as Adam does. After as many updates it is
    several times closer to the optimum than Adam alone. The first gradients are huge, so both parts
    forget within tens of updates.
    """
    muon = optax.contrib.muon(cosine_schedule(config), beta=0.9, adam_b2=0.95)
    return optax.chain(optax.clip_by_global_norm(config.clip_norm), muon)


def select_trainable(policy: Any, where: Callable[[Any], Any] | None) -> PyTree:
    """Mark what learns.

    Args:
        policy: the policy.
        where: from the policy to the part of it that learns, or to a tuple of parts, as
            ``lambda policy: (policy.cell, policy.readout.weight)``; ``None`` for all of it.

    Returns:
        A pytree like the policy, True at the floating-point arrays that learn and False elsewhere.

    Raises:
        TypeError: if ``where`` is not a function.
        ValueError: if ``where`` asks for something the policy does not have, for less than a whole
            array, or selects nothing.
    """
    paths, structure = jax.tree_util.tree_flatten_with_path(policy)
    arrays = {index for index, (_, leaf) in enumerate(paths) if eqx.is_inexact_array(leaf)}
    there = ", ".join(jax.tree_util.keystr(paths[index][0]).lstrip(".") for index in sorted(arrays))
    if where is None:
        selected = arrays
    else:
        if not callable(where):
            raise TypeError(f"where_train must be a function of the model, got {where!r}")
        # Stand-ins without any value, so that nothing but a whole leaf can be selected.
        stand_ins = [object() for _ in paths]
        indices = {stand_in: index for index, stand_in in enumerate(stand_ins)}
        try:
            chosen = jax.tree.leaves(where(jax.tree.unflatten(structure, stand_ins)))
            selected = arrays & {indices[part] for part in chosen}
        except (AttributeError, TypeError, KeyError, IndexError) as error:
            raise ValueError(
                "where_train must return parts of the model, each a whole array or more "
                f"({type(error).__name__}: {error}); what can learn: {there}"
            ) from error
    if not selected:
        raise ValueError(f"where_train selects nothing that can learn; there are {there}")
    return jax.tree.unflatten(structure, [index in selected for index in range(len(paths))])


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
    policy: Any, problem: Problem, trials: Trial, keys: PRNGKeyArray
) -> tuple[Float[Array, ""], Terms]:
    """Mean loss of a policy over trials, total and by term; differentiable in everything.

    Args:
        policy: one policy.
        problem: the environment and the experiment.
        trials: along a leading axis.
        keys: for noise, one a trial.
    """

    def terms_of_trial(trial: Trial, key: PRNGKeyArray) -> Terms:
        # Summed trial by trial: bringing the trials to the front first would copy every activity.
        trajectory = rollout_trial(
            problem.env,
            problem.params,
            policy,
            trial,
            key,
            rematerialise=problem.rematerialise,
        )
        return losses_by_term(trajectory, problem.hidden_weight)

    terms = jax.tree.map(jnp.mean, jax.vmap(terms_of_trial)(trials, keys))
    return sum(terms.values(), start=jnp.zeros(())), terms


def update(
    state: TrainState,
    problem: Problem,
    optimizer: optax.GradientTransformation,
    batch_size: int,
    mesh: Mesh | None = None,
) -> tuple[TrainState, dict[str, Float[Array, ""]]]:
    """Make one update on fresh random trials; report terms and gradient norm.

    If the loss or the gradient is not finite, nothing changes but that the state says halted.

    Args:
        state: before the update.
        problem: what is trained for.
        optimizer: of optax.
        batch_size: number of trials.
        mesh: of devices over which the trials are shared out, if this runs in ``share_out``.
    """
    keys = jax.random.split(jax.random.fold_in(state.key, state.iteration))
    keys_trials, keys_noise = own_trials(
        tuple(jax.random.split(key, batch_size) for key in keys), mesh
    )
    trials = jax.vmap(problem.params.task.sample)(keys_trials)
    learning, fixed = eqx.partition(state.policy, problem.trainable)

    def loss(learning: PyTree) -> tuple[Float[Array, ""], Terms]:
        policy = eqx.combine(with_mean_gradient(learning, mesh), fixed)
        return mean_over_trials(objective(policy, problem, trials, keys_noise), mesh)

    (total, terms), gradient = jax.value_and_grad(loss, has_aux=True)(learning)
    gradient_norm = optax.tree.norm(gradient)
    finite = jnp.isfinite(total) & jnp.isfinite(gradient_norm)
    # What line searches and schedules on plateaus ask for beside the gradient.
    steps, opt_state = optax.with_extra_args_support(optimizer).update(
        gradient,
        state.opt_state,
        learning,
        value=total,
        grad=gradient,
        value_fn=lambda learning: loss(learning)[0],
    )
    updated = TrainState(
        policy=eqx.combine(optax.apply_updates(learning, steps), fixed),
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
    mesh: Mesh | None = None,
) -> tuple[TrainState, dict[str, Float[Array, " length"]]]:
    """Make ``n_updates`` updates in one scan of fixed ``length``, so that it compiles once.

    Replicates are updated side by side. Rows of the report past ``n_updates``, or past a halt of
    any replicate, are NaN.
    """
    arrays, structure = eqx.partition(state, eqx.is_array)

    def one(arrays: PyTree) -> tuple[PyTree, dict[str, Array]]:
        state, report = update(eqx.combine(arrays, structure), problem, optimizer, batch_size, mesh)
        return eqx.filter(state, eqx.is_array), report

    if state.iteration.ndim:
        one = jax.vmap(one)
    shapes = jax.eval_shape(one, arrays)[1]
    nothing = jax.tree.map(lambda shape: jnp.full(shape.shape, jnp.nan, shape.dtype), shapes)

    def one_if_due(arrays: PyTree, index: Int[Array, ""]) -> tuple[PyTree, dict[str, Array]]:
        due = (index < n_updates) & ~any_replicate(arrays.halted, mesh)
        return jax.lax.cond(due, one, lambda arrays: (arrays, nothing), arrays)

    arrays, reports = jax.lax.scan(one_if_due, arrays, jnp.arange(length))
    return eqx.combine(arrays, structure), reports


def init_state(
    policy: Any, trainable: PyTree, optimizer: optax.GradientTransformation, key: PRNGKeyArray
) -> TrainState:
    """The state before the first update."""
    opt_state = optimizer.init(eqx.filter(policy, trainable))
    return TrainState(policy, policy, opt_state, key, jnp.zeros((), jnp.int32), jnp.zeros((), bool))


def train(
    policy: Any,
    env: ReachEnv,
    params: ReachParams,
    config: BPTTConfig | None = None,
    *,
    key: PRNGKeyArray,
    where_train: Callable[[Any], Any] | None = None,
    validation_trials: Trial | None = None,
    optimizer: optax.GradientTransformation | None = None,
    devices: Sequence[jax.Device] | None = None,
    checkpoints: Checkpoints | None = None,
    write: Callable[[str], None] | None = tqdm.write,
) -> tuple[Any, History]:
    """Train a policy through the environment.

    Args:
        policy: the policy to begin with; it is not changed.
        env: the environment.
        params: the experiment.
        config: how to train.
        key: for trials and noise.
        where_train: selects what learns, as in ``select_trainable``; the rest stays as it is.
        validation_trials: on which losses are reported; the task's own if not given.
        optimizer: of optax, instead of ``default_optimizer``; the history then has NaN as learning
            rate.
        devices: over which the trials of each batch are shared out, or the replicates where their
            numbers allow, such as ``jax.devices()``; these may belong to several processes, each of
            which calls this function. If not given, JAX's default device does all.
        checkpoints: where to keep what is needed to go on after being stopped. A training that is
            stopped and resumed ends with the same bits as one that is not.
        write: what prints a line of text; ``None`` for silence, without progress bar.

    Returns:
        The trained policy and the history of its training.

    Raises:
        ValueError: if ``where_train`` selects nothing, the devices cannot share the batch evenly,
            or no checkpoint can be used.
        TrainingError: if a loss or gradient is not finite; it holds the last good policy.
        Interrupted: with checkpoints, after SIGINT or SIGTERM.

    Example:
        >>> env, params = fbx_env.make()
        >>> policy = GRUPolicy(8, 2, 50, key=jax.random.key(0))
        >>> config = BPTTConfig(n_batches=100)
        >>> trained, history = train(policy, env, params, config, key=jax.random.key(1))
    """
    config = BPTTConfig() if config is None else config
    checks.instance("params", params, ReachParams)
    trials = params.task.validation_trials() if validation_trials is None else validation_trials
    _check(env, params, config, trials, optimizer, checkpoints)
    checks.key("key", key)
    trainable = select_trainable(policy, where_train)
    problem = Problem(env, params, config.hidden_weight, trainable, config.rematerialise)
    key_train, key_validation = jax.random.split(key)
    tools = _optimizer_and_schedule(config, optimizer)
    state = init_state(policy, trainable, tools[0], key_train)
    mesh = None if devices is None else make_mesh(devices, 1, config.batch_size)
    return _run(state, problem, config, tools, trials, key_validation, mesh, checkpoints, write)


def train_replicates(
    policies: Any,
    env: ReachEnv,
    params: ReachParams,
    config: BPTTConfig | None = None,
    *,
    keys: PRNGKeyArray,
    where_train: Callable[[Any], Any] | None = None,
    validation_trials: Trial | None = None,
    optimizer: optax.GradientTransformation | None = None,
    devices: Sequence[jax.Device] | None = None,
    checkpoints: Checkpoints | None = None,
    write: Callable[[str], None] | None = tqdm.write,
) -> tuple[Any, History]:
    """Train several policies of one kind side by side, each as ``train`` would train it alone.

    Args:
        policies: replicates in one pytree, every array with a leading axis over them, as made by
            ``eqx.filter_vmap``.
        keys: one a replicate, along a leading axis; equal keys mean equal trials and noise.

    Other arguments are as of ``train``.

    Returns:
        The trained policies in one pytree, and one history with a column a replicate.

    Raises:
        ValueError: if there are not as many policies as keys, or ``where_train`` selects nothing.
        TrainingError: if a loss or gradient of any replicate is not finite.

    Example:
        >>> keys = jax.random.split(jax.random.key(0), 5)
        >>> policies = eqx.filter_vmap(lambda key: GRUPolicy(8, 2, 50, key=key))(keys)
        >>> policies, history = train_replicates(policies, env, params, keys=keys)
        >>> first = tree_take(policies, 0)
    """
    config = BPTTConfig() if config is None else config
    checks.instance("params", params, ReachParams)
    trials = params.task.validation_trials() if validation_trials is None else validation_trials
    _check(env, params, config, trials, optimizer, checkpoints)
    checks.key("keys", keys, n_axes=1)
    trainable = select_trainable(policies, where_train)
    problem = Problem(env, params, config.hidden_weight, trainable, config.rematerialise)
    tools = _optimizer_and_schedule(config, optimizer)
    n_replicates = len(keys)
    lengths = {leaf.shape[:1] for leaf in jax.tree.leaves(eqx.filter(policies, eqx.is_array))}
    if lengths != {(n_replicates,)}:
        raise ValueError(
            f"policies must have a leading axis of {n_replicates} entries, one a key; got "
            f"{sorted(length[0] if length else 1 for length in lengths)}"
        )
    keys_train, keys_validation = jnp.moveaxis(jax.vmap(jax.random.split)(keys), 1, 0)
    state = eqx.filter_vmap(lambda policy, key: init_state(policy, trainable, tools[0], key))(
        policies, keys_train
    )
    mesh = None if devices is None else make_mesh(devices, n_replicates, config.batch_size)
    return _run(state, problem, config, tools, trials, keys_validation, mesh, checkpoints, write)


def _check(
    env: ReachEnv,
    params: ReachParams,
    config: BPTTConfig,
    trials: Trial,
    optimizer: optax.GradientTransformation | None,
    checkpoints: Checkpoints | None,
) -> None:
    """Raise ``TypeError`` or ``ValueError`` for what cannot be trained with."""
    checks.instance("env", env, ReachEnv)
    params.checked()
    checks.instance("config", config, BPTTConfig)
    checks.instance("validation_trials", trials, Trial)
    if jnp.ndim(trials.start) != 2:
        raise ValueError(
            "validation_trials must have one leading axis, got start of shape "
            f"{jnp.shape(trials.start)}"
        )
    if optimizer is not None:
        checks.instance("optimizer", optimizer, optax.GradientTransformation)
    if checkpoints is not None:
        checks.instance("checkpoints", checkpoints, Checkpoints)


Tools = tuple[optax.GradientTransformation, Callable[[Any], Any]]
"""An optimiser, and its learning rate as a function of the updates made."""


def _optimizer_and_schedule(
    config: BPTTConfig, optimizer: optax.GradientTransformation | None
) -> Tools:
    if optimizer is None:
        return default_optimizer(config), cosine_schedule(config)
    checks.instance("optimizer", optimizer, optax.GradientTransformation)
    theirs = ("learning_rate", "clip_norm")
    given = [name for name in theirs if getattr(config, name) != getattr(BPTTConfig, name)]
    if given:
        raise ValueError(
            f"{', '.join(given)} belong to the default optimizer, which yours replaces; for "
            "clipping write optax.chain(optax.clip_by_global_norm(1.0), ...)"
        )
    return optimizer, lambda iterations: np.full(len(iterations), np.nan)


def validation_losses(
    policy: Any, problem: Problem, trials: Trial, key: PRNGKeyArray
) -> dict[str, Float[Array, ""]]:
    """Losses of a policy on the validation trials, by term and in total."""
    total, terms = objective(policy, problem, trials, jax.random.split(key, len(trials.start)))
    return {**terms, "total": total}


def _run(
    state: TrainState,
    problem: Problem,
    config: BPTTConfig,
    tools: Tools,
    trials: Trial,
    key_validation: PRNGKeyArray,
    mesh: Mesh | None,
    checkpoints: Checkpoints | None,
    write: Callable[[str], None] | None,
) -> tuple[Any, History]:
    """Compile, then alternate between stretches of updates and validation, and report."""
    watching = checkpoints is not None
    if not is_first_process(mesh):
        write = checkpoints = None
    say = (lambda _: None) if write is None else write
    columns = (*problem.params.loss.names, "hidden", "total", "gradient_norm")
    are_replicates = state.iteration.ndim > 0
    mean = "mean " if are_replicates else ""
    about = describe((problem.params, problem.trainable, state.key), (state, trials))
    keeper = Keeper(checkpoints, {"config": dataclasses.asdict(config), **about}, say)
    state, history = keeper.restore(state)
    if spans_processes(mesh):
        state, history = _as_in_first_process(state, history, keeper.about)
    if len(history) == config.n_batches:
        return state.policy, history

    find_operation = jax.config.jax_debug_nans  # type: ignore[attr-defined]
    with contextlib.ExitStack() as stack:
        # JAX's own check would stop at the reports of updates that are not due.
        stack.enter_context(jax.debug_nans(False))
        request = stack.enter_context(requests_to_stop()) if watching else Request()
        advance, validate, seconds = compile_training(
            state, problem, config, tools[0], trials, key_validation, mesh, say
        )
        history.compile_seconds += seconds
        learning_rates = np.asarray(tools[1](np.arange(config.n_batches)))
        bar = tqdm(
            initial=len(history),
            total=config.n_batches,
            desc="Training iteration",
            disable=write is None,
        )
        stack.enter_context(bar)
        started = time.perf_counter() - history.train_seconds
        stretch = 1
        while (done := len(history)) < config.n_batches:
            due = _next_report(done, config)
            n_updates = keeper.until_due(done, min(due - done, stretch))
            n_updates, signal = agree(mesh, n_updates, request.signal)
            if signal is not None:
                raise Interrupted(keeper.save(state, history), signal)
            before = time.perf_counter()
            state, reports = advance(state, n_updates)
            rows = {name: np.asarray(reports[name])[:n_updates] for name in columns}
            rows["learning_rate"] = learning_rates[done : done + n_updates]
            now = time.perf_counter()
            # A clock may stand still, or jump.
            stretch = max(1, int(STRETCH_SECONDS * n_updates / max(now - before, 1e-6)))
            history.train_seconds = seconds = now - started
            if np.any(state.halted):
                history.extend(_until_fault(rows), seconds)
                message = _describe_fault(rows, done)
                if find_operation:
                    message += f"; {_find_in_update(state, problem, tools[0], config.batch_size)}"
                raise TrainingError(message, state.last_good, history)
            history.extend(rows, seconds)
            bar.set_postfix_str(f"loss {np.mean(rows['total'][-1]):.2e}", refresh=False)
            bar.update(n_updates)
            if len(history) == due:
                losses = validate(state.policy)
                history.add_validation({name: losses[name] for name in columns if name in losses})
                history.train_seconds = time.perf_counter() - started
                if not np.all(np.isfinite(losses["total"])):
                    message = _describe_fault(
                        {name: np.asarray(loss)[None] for name, loss in losses.items()},
                        due - 1,
                        kind="validation ",
                    )
                    if find_operation:
                        operation = first_failure(validate, state.policy, compiled=False)
                        message += f"; {operation}"
                    raise TrainingError(message, state.last_good, history)
                last = due == config.n_batches
                label = "Final training iteration ({})" if last else "Training iteration {}"
                say(
                    f"{label.format(due - 1)}:\n"
                    f"    {mean}training loss: {_mean_and_range(rows['total'][-1])}\n"
                    f"    {mean}validation loss: {_mean_and_range(np.asarray(losses['total']))}\n"
                )
            keeper.save_if_due(state, history)
        keeper.save(state, history)
    n_trials = f"{config.n_batches * config.batch_size:,} trials"
    say(f"Completed training run on a total of {n_trials}{' per model' if are_replicates else ''}.")
    return state.policy, history


def _as_in_first_process(
    state: TrainState, history: History, about: dict[str, Any]
) -> tuple[TrainState, History]:
    """The state and history of the first process, which alone reads checkpoints.

    Raises:
        ValueError: in all processes, if one was started with another training.
    """
    told = told_by_first_process(to_bytes(state, history, about))
    problem = None
    try:
        state, history, _ = from_bytes(told, state, about)
    except ValueError as error:
        problem = error
    if all_processes(problem is None):
        return state, history
    if problem is None:
        raise ValueError("a process was started with another training; its own message tells more")
    raise ValueError(f"the first process trains something else: {problem}") from problem


def compile_training(
    state: TrainState,
    problem: Problem,
    config: BPTTConfig,
    optimizer: optax.GradientTransformation,
    trials: Trial,
    key_validation: PRNGKeyArray,
    mesh: Mesh | None,
    say: Callable[[str], None],
) -> tuple[Callable[..., Any], Callable[..., Any], float]:
    """Compile both steps.

    Returns:
        ``advance(state, n_updates) -> (state, reports)``, ``validate(policy) -> losses``, which
        can also do without compilation, and how long it took [s].
    """
    judge: Any = validation_losses
    cut = WHOLE, WHOLE
    if state.iteration.ndim:
        judge = eqx.filter_vmap(judge, in_axes=(eqx.if_array(0), None, None, 0))
        cut = PartitionSpec(REPLICATES), PartitionSpec(None, REPLICATES)
    length = min(config.log_step, config.n_batches)
    begin = place((state, problem, optimizer, config.batch_size, length, jnp.asarray(1)), mesh)

    def shared_out(function: Callable[..., Any]) -> Callable[..., Any]:
        return share_out(function, mesh, (cut[0], *(len(begin) - 1) * (WHOLE,)), cut)

    started = time.perf_counter()
    updates = _compile_for(partial(update_many, mesh=mesh), *begin, around=shared_out)
    compiled = time.perf_counter()
    say(f"Training step compiled in {compiled - started:.2f} seconds.")
    judged = unplace(place((state.policy, problem, trials, key_validation), mesh), mesh)
    validation = _compile_for(judge, *judged)
    ended = time.perf_counter()
    say(f"Validation step compiled in {ended - compiled:.2f} seconds.\n")

    def advance(state: TrainState, n_updates: int) -> Any:
        placed = place((state, jnp.asarray(n_updates)), mesh)
        return unplace(updates(placed[0], *begin[1:-1], placed[1]), mesh)

    def validate(policy: Any, compiled: bool = True) -> Any:
        return (validation if compiled else judge)(policy, *judged[1:])

    return advance, validate, ended - started


def _compile_for(
    function: Callable[..., Any],
    *arguments: Any,
    around: Callable[[Callable[..., Any]], Callable[..., Any]] = lambda function: function,
) -> Callable[..., Any]:
    """Compile a function for arguments like these.

    What is jitted is made here, so that JAX's caches forget it when the training has ended;
    ``eqx.filter_jit`` would keep everything that was ever compiled for a function of a module.

    Args:
        function: to compile.
        *arguments: pytrees.
        around: what is done to the function of arrays before it is compiled.
    """
    arrays, fixed = eqx.partition(arguments, eqx.is_array)
    fixed_results = []

    def on_arrays(*arrays: Any) -> Any:
        results, fixed_result = eqx.partition(function(*eqx.combine(arrays, fixed)), eqx.is_array)
        fixed_results.append(fixed_result)
        return results

    compiled = jax.jit(around(on_arrays)).lower(*arrays).compile()

    def call(*arguments: Any) -> Any:
        return eqx.combine(compiled(*eqx.filter(arguments, eqx.is_array)), fixed_results[0])

    return call


def _next_report(done: int, config: BPTTConfig) -> int:
    """After how many updates the next validation is: the first, every ``log_step``, the last."""
    return min(1 + config.log_step * math.ceil(done / config.log_step), config.n_batches)


def _mean_and_range(losses: np.ndarray) -> str:
    if not losses.ndim:
        return f"{losses:.2e}"
    return f"{losses.mean():.2e} (from {losses.min():.2e} to {losses.max():.2e})"


def _is_good(rows: dict[str, np.ndarray]) -> np.ndarray:
    """Whether the losses and gradients of each update, and of each replicate, are finite."""
    return np.isfinite(rows["total"]) & np.isfinite(rows.get("gradient_norm", 0.0))


def _until_fault(rows: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    good = _is_good(rows)
    n_good = int(np.argmin(good.reshape(len(good), -1).all(-1)))
    return {name: values[:n_good] for name, values in rows.items()}


def _describe_fault(rows: dict[str, np.ndarray], done: int, kind: str = "") -> str:
    index = len(_until_fault(rows)["total"])
    at_fault = {name: values[index] for name, values in rows.items() if name != "learning_rate"}
    whose = ""
    if at_fault["total"].ndim:
        replicate = int(np.argmin(_is_good(at_fault)))
        at_fault = {name: values[replicate] for name, values in at_fault.items()}
        whose = f" of replicate {replicate}"
    faulty = [name for name, value in at_fault.items() if not np.isfinite(value)]
    causes = [name for name in faulty if name not in ("total", "gradient_norm")]
    what = f"loss term {', '.join(causes)}" if causes else ", ".join(faulty).replace("_", " ")
    return (
        f"training stopped at iteration {done + index}: the {kind}{what}{whose} is not finite; "
        "the last policy for which everything was finite is kept"
    )


def _find_in_update(
    state: TrainState,
    problem: Problem,
    optimizer: optax.GradientTransformation,
    batch_size: int,
) -> str:
    """Which operation of the update that halted the training was the first to fail."""
    if state.halted.ndim:
        replicate = int(np.argmax(state.halted))
        state = jax.tree.map(lambda leaf: leaf[replicate] if eqx.is_array(leaf) else leaf, state)
    return first_failure(update, state, problem, optimizer, batch_size)
