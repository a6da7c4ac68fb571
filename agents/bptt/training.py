"""Training a policy, or replicates, with reports, validation and checkpoints."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh
from jaxtyping import Array, PRNGKeyArray, PyTree
from tqdm.auto import tqdm

from agents.bptt.algorithm import BPTTConfig, Rates, Setup, TrainState, init_state, make_setup
from agents.bptt.devices import (
    all_processes,
    broadcast_from_first,
    is_first_process,
    make_mesh,
    spans_processes,
)
from agents.bptt.optimizers import first_steps
from agents.bptt.run import Run
from agents.bptt.schedules import Ramp, scheduled
from agents.objective import Keys
from agents.storage.checkpoints import CheckpointManager, Checkpoints, from_bytes, to_bytes
from agents.storage.history import History
from agents.storage.identity import describe, fingerprint
from agents.storage.output import reporter
from fbx_env import ReachEnv, ReachParams, Trial, checks
from fbx_env.reach import check_trials


def train(
    policy: Any,
    env: ReachEnv,
    params: ReachParams,
    config: BPTTConfig | None = None,
    *,
    key: PRNGKeyArray,
    where_train: Callable[[Any], Any] | None = None,
    validation_trials: Trial | None = None,
    optimizer: optax.GradientTransformation | optax.MultiSteps | None = None,
    devices: Sequence[jax.Device] | None = None,
    checkpoints: Checkpoints | None = None,
    write: Callable[[str], None] | None = tqdm.write,
) -> tuple[Any, History]:
    """Train a policy through the environment.

    Trainings that differ in numbers alone, such as the learning rate or the mass, share what is
    compiled; with an optimiser of your own, only those that are given the same one.

    Args:
        policy: the policy to begin with; it is not changed.
        env: the environment.
        params: the experiment.
        config: how to train.
        key: for trials and noise.
        where_train: selects what learns, as ``lambda policy: policy.readout``; the rest stays as it
            is.
        validation_trials: on which losses are reported; the task's own if not given.
        optimizer: of optax, instead of ``default_optimizer``; the history then has NaN as learning
            rate.
        devices: over which the trials of each batch are sharded, or the replicates where their
            numbers allow, such as ``jax.devices()``; these may belong to several processes, each of
            which calls this function. If not given, JAX's default device does all.
        checkpoints: where to keep what is needed to resume after being stopped. A training that is
            stopped and resumed ends with the same bits as one that is not.
        write: what prints a line of text; ``None`` for silence, without progress bar.

    Returns:
        The trained policy and the history of its training.

    Raises:
        TypeError, ValueError: for an argument that is not allowed, if ``where_train`` selects
            nothing, the devices cannot be given equal shares, or no checkpoint can be used.
        TrainingError: if a loss or gradient is not finite; it holds the last good policy.
        Interrupted: after SIGINT or SIGTERM; it holds the policy and the history until then.

    Example:
        >>> env, params = fbx_env.make()
        >>> policy = GRUPolicy(8, 2, 50, key=jax.random.key(0))
        >>> config = BPTTConfig(n_batches=100)
        >>> trained, history = train(policy, env, params, config, key=jax.random.key(1))
    """
    config = BPTTConfig() if config is None else config
    checks.key("key", key)
    setup = make_setup(policy, env, params, config, where_train, optimizer)
    key_train, key_validation = jax.random.split(key)
    state = init_state(policy, setup, key_train)
    mesh = None if devices is None else make_mesh(devices, 1, config.batch_size)
    validation = _validation_trials(params, validation_trials)
    return _run(state, setup, config, validation, key_validation, mesh, checkpoints, write)


def train_replicates(
    policies: Any,
    env: ReachEnv,
    params: ReachParams,
    config: BPTTConfig | None = None,
    *,
    keys: Keys,
    where_train: Callable[[Any], Any] | None = None,
    validation_trials: Trial | None = None,
    optimizer: optax.GradientTransformation | optax.MultiSteps | None = None,
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
        Interrupted: as of ``train``.

    Example:
        >>> keys = jax.random.split(jax.random.key(0), 5)
        >>> policies = eqx.filter_vmap(lambda key: GRUPolicy(8, 2, 50, key=key))(keys)
        >>> policies, history = train_replicates(policies, env, params, keys=keys)
        >>> first = tree_take(policies, 0)
    """
    config = BPTTConfig() if config is None else config
    checks.key("keys", keys, n_axes=1)
    setup = make_setup(policies, env, params, config, where_train, optimizer)
    n_replicates = len(keys)
    lengths = {leaf.shape[:1] for leaf in jax.tree.leaves(eqx.filter(policies, eqx.is_array))}
    if lengths != {(n_replicates,)}:
        raise ValueError(
            f"policies must have a leading axis of {n_replicates} entries, one a key; got "
            f"{sorted(length[0] if length else 1 for length in lengths)}"
        )
    keys_train, keys_validation = jnp.moveaxis(jax.vmap(jax.random.split)(keys), 1, 0)
    state = eqx.filter_vmap(lambda policy, key: init_state(policy, setup, key))(
        policies, keys_train
    )
    mesh = None if devices is None else make_mesh(devices, n_replicates, config.batch_size)
    validation = _validation_trials(params, validation_trials)
    return _run(state, setup, config, validation, keys_validation, mesh, checkpoints, write)


def _validation_trials(params: ReachParams, given: Trial | None) -> Trial:
    params.checked()
    trials = params.task.validation_trials() if given is None else given
    checks.instance("validation_trials", trials, Trial)
    if jnp.ndim(trials.start) != 2:
        raise ValueError(
            "validation_trials must have one leading axis, got start of shape "
            f"{jnp.shape(trials.start)}"
        )
    check_trials(params, trials)
    return trials


def _run(
    state: TrainState,
    setup: Setup,
    config: BPTTConfig,
    trials: Trial,
    key_validation: Keys,
    mesh: Mesh | None,
    checkpoints: Checkpoints | None,
    write: Callable[[str], None] | None,
) -> tuple[Any, History]:
    """Begin, or resume, and complete a training."""
    if checkpoints is not None:
        checks.instance("checkpoints", checkpoints, Checkpoints)
    if not is_first_process(mesh):
        write = checkpoints = None
    report = reporter(write)
    is_told_apart = checkpoints is not None or spans_processes(mesh)
    identity = _identity(state, setup, config, trials) if is_told_apart else {}
    with CheckpointManager(checkpoints, identity, report) as manager:
        state, history = manager.restore(state)
        if spans_processes(mesh):
            state, history = _as_in_first_process(state, history, identity)
        run = Run(state, history, setup, config, trials, key_validation, mesh, manager, report)
        if len(history) < config.n_batches:
            run.complete(show_progress=write is not None)
    return run.state.policy, run.history


def _identity(state: TrainState, setup: Setup, config: BPTTConfig, trials: Trial) -> dict[str, Any]:
    """The identity of this training, ready for JSON."""
    settings = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    settings["policy_costs"] = [cost.name for cost in config.policy_costs]
    settings["schedules"] = [str(each) for each in config.schedules if isinstance(each, Ramp)]
    settings["freezes"] = [[each.start, each.end] for each in config.freezes]
    functions = {}
    if not isinstance(setup.optimizer, Rates):
        functions["optimizer"] = fingerprint(
            partial(first_steps, setup.optimizer), eqx.filter(state.policy, setup.trainable)
        )
    if config.schedules:
        arrays, static = eqx.partition(setup.objective.params, eqx.is_array)

        def changed(progress: Array, arrays: PyTree) -> PyTree:
            params = scheduled(config.schedules, progress, eqx.combine(arrays, static))
            return eqx.filter(params, eqx.is_array)

        functions["schedules"] = fingerprint(changed, jnp.zeros(()), arrays)
    exact = {**setup.objective._asdict(), "trainable": setup.trainable, "key": state.key}
    if setup.freezes:
        exact["freezes"] = setup.freezes
    rounded = {"state": state, "validation_trials": trials}
    return {"config": settings, **describe(exact, rounded, **functions)}


def _as_in_first_process(
    state: TrainState, history: History, identity: dict[str, Any]
) -> tuple[TrainState, History]:
    """Return the state and history of the first process, which alone reads checkpoints.

    Raises:
        ValueError: in all processes, if one was started with another training.
    """
    content = broadcast_from_first(to_bytes(state, history, identity))
    problem = None
    try:
        state, history = from_bytes(content, state, identity)
    except ValueError as error:
        problem = error
    if all_processes(problem is None):
        return state, history
    if problem is None:
        raise ValueError("a process was started with another training; its own message says more")
    raise ValueError(f"the first process trains something else: {problem}") from problem
