"""Backpropagation through time: training a policy through the environment itself.

Read from top to bottom: the configuration, the optimiser, one update, and a training as one pure
function. The loss is in ``agents.objective``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
import optax.contrib
from jax.sharding import Mesh
from jaxtyping import Array, ArrayLike, Bool, Float, Int, PRNGKeyArray, PyTree

from agents.bptt.devices import mean_over_trials, own_trials, with_mean_gradient
from agents.bptt.gathering import gathered
from agents.bptt.optimizers import checked_optimizer, take_step
from agents.bptt.schedules import Schedule, check_schedules, scheduled
from agents.bptt.trainable import Freeze, Frozen, select_trainable, unfrozen
from agents.objective import (
    ActivityCost,
    Keys,
    Objective,
    PolicyCost,
    Terms,
    checked_costs,
    make_objective,
    mean_loss,
)
from fbx_env import ReachEnv, ReachParams, checks
from fbx_env.rollout import check_policy


@dataclass(frozen=True)
class BPTTConfig:
    """How to train by backpropagation through time.

    Raises:
        TypeError, ValueError: for a value that is not allowed.
    """

    n_batches: int = 1250
    """Number of updates."""
    batch_size: int = 8
    """Trials in each update."""
    learning_rate: float | None = None
    """Learning rate of matrices of weights at the start, of which all else has 0.7; it falls evenly
    to zero at the end. If not given, it is 15 divided by the number of updates, at most 0.01."""
    clip_norm: float = 1.0
    """Gradients are scaled down to this global norm where they exceed it."""
    policy_costs: tuple[PolicyCost, ...] = (ActivityCost(),)
    """Costs of the policy itself, which come on top of the environment's loss."""
    rematerialise: bool = False
    """Whether the backward pass computes each step anew from the state before it, instead of
    keeping all that happened inside of it: less memory for long trials, and more time."""
    schedules: tuple[Schedule, ...] = ()
    """Changes of the experiment during training, each ``schedule(progress, params) -> params``
    with a progress from 0 to 1; validation is of the experiment itself."""
    freezes: tuple[Freeze, ...] = ()
    """Parts of the policy that do not learn for some time of the training."""
    log_step: int = 200
    """Updates between two evaluations on the validation trials, each with a line of output."""

    def __post_init__(self) -> None:
        values: dict[str, Any] = {"policy_costs": checked_costs(self.policy_costs)}
        values["schedules"] = checks.instance("schedules", self.schedules, tuple)
        values["freezes"] = checks.items("freezes", self.freezes, Freeze)
        for each in values["schedules"]:
            if not callable(each):
                raise TypeError(f"schedules must be functions of progress and params, got {each!r}")
        for name in ("n_batches", "batch_size", "log_step"):
            values[name] = checks.whole(name, getattr(self, name), at_least=1, at_most=2**31 - 1)
        for name in ("learning_rate", "clip_norm"):
            if getattr(self, name) is not None:
                values[name] = checks.number(name, getattr(self, name), above=0)
        values["rematerialise"] = checks.flag("rematerialise", self.rematerialise)
        # Numbers of NumPy and JAX become Python's, which JSON knows.
        for name, value in values.items():
            object.__setattr__(self, name, value)


BIAS_SHARE = 0.7
"""Learning rate of biases and of all else but matrices of weights, as a share of theirs. With 1,500
updates, shares of 0.5 and 0.7 ended at 1.006 times the optimum, of 1 at 1.008 (the farthest of
three seeds)."""

OPTIMIZER_SETTINGS = ("learning_rate", "clip_norm")
"""Fields of ``BPTTConfig`` that are of the default optimiser."""


class Rates(NamedTuple):
    """The numbers of the default optimiser: arrays, so that other numbers need no compilation.

    Attributes:
        learning_rate: of matrices of weights, at the start.
        clip_norm: global norm to which gradients are clipped.
        n_updates: after which the learning rate is zero.
    """

    learning_rate: Float[Array, ""]
    clip_norm: Float[Array, ""]
    n_updates: Float[Array, ""]

    @classmethod
    def of(cls, config: BPTTConfig) -> Rates:
        """Return the rates of a configuration.

        Where no learning rate is given, all steps of a long training together go equally far. With
        3,000 updates that ended at 1.003 times the optimum, a third more at 1.004, and twice as
        much at 1.016; with 1,250 a rate of 0.01 at 1.006, and of 0.012 at 1.010 (the farthest of
        three seeds).
        """
        rate = config.learning_rate
        if rate is None:
            rate = min(0.01, 15 / config.n_batches)
        return cls(*(jnp.asarray(x, float) for x in (rate, config.clip_norm, config.n_batches)))

    def schedule(self, n_made: ArrayLike) -> Float[Array, "*updates"]:
        """Return the learning rate after as many updates: evenly down to zero."""
        n_made = jnp.minimum(jnp.asarray(n_made, float), self.n_updates)
        return self.learning_rate * (1 - n_made / self.n_updates)


def default_optimizer(rates: Rates) -> optax.GradientTransformation:
    """Return clipping by global norm, then Muon with a learning rate that falls evenly.

    Muon (Jordan and others, 2024, https://kellerjordan.github.io/posts/muon/) moves a matrix of
    weights by its momentum made orthogonal; all else moves as by Adam. With Adam for some of the
    matrices, trainings ended several times as far from the optimum. The first gradients are huge,
    so both parts forget within tens of updates.
    """
    muon = optax.contrib.muon(rates.schedule, beta=0.9, adam_b2=0.95)
    shortened = optax.masked(optax.scale(BIAS_SHARE), _all_but_matrices)
    return optax.chain(optax.clip_by_global_norm(rates.clip_norm), muon, shortened)


def _all_but_matrices(weights: PyTree) -> PyTree[bool]:
    return jax.tree.map(lambda leaf: leaf.ndim != 2, weights)


class Setup(NamedTuple):
    """Everything that stays the same from update to update.

    Attributes:
        objective: what is minimised.
        trainable: a pytree like the policy, with True for the arrays that learn.
        optimizer: of optax, or the ``Rates`` of the default one.
        batch_size: trials in each update.
        schedules: what changes in the experiment from update to update.
        n_updates: of the whole training, by which schedules and freezes know its progress; ``None``
            without them.
        freezes: what does not learn for some time.
    """

    objective: Objective
    trainable: PyTree[bool]
    optimizer: optax.GradientTransformation | Rates
    batch_size: int
    schedules: tuple[Schedule, ...] = ()
    n_updates: Int[Array, ""] | None = None
    freezes: tuple[Frozen, ...] = ()

    def at(self, iteration: Int[Array, ""]) -> Objective:
        """Return what is minimised in an update."""
        if self.n_updates is None:
            return self.objective
        progress = iteration / jnp.maximum(self.n_updates - 1, 1)
        params = scheduled(self.schedules, progress, self.objective.params)
        return self.objective._replace(params=params)

    def unfrozen(self, tree: PyTree, iteration: Int[Array, ""]) -> PyTree:
        """Return gradients or steps of an update, with zeros for what is frozen in it."""
        if self.n_updates is None:
            return tree
        return unfrozen(tree, self.freezes, iteration / self.n_updates)


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
    key: Keys
    iteration: Int[Array, "*replicates"]
    halted: Bool[Array, "*replicates"]


def make_setup(
    policy: Any,
    env: ReachEnv,
    params: ReachParams,
    config: BPTTConfig,
    where_train: Callable[[Any], Any] | None,
    optimizer: optax.GradientTransformation | optax.MultiSteps | None,
) -> Setup:
    """Return what stays the same during a training run; errors as of ``train_scan``."""
    checks.instance("config", config, BPTTConfig)
    objective = make_objective(env, params, config.policy_costs, config.rematerialise)
    given = [
        name for name in OPTIMIZER_SETTINGS if getattr(config, name) != getattr(BPTTConfig, name)
    ]
    if optimizer is not None and given:
        raise ValueError(
            f"{', '.join(given)} belong to the default optimizer, which yours replaces; for "
            "clipping write optax.chain(optax.clip_by_global_norm(1.0), ...)"
        )
    check_policy(policy)
    trainable = select_trainable(policy, where_train)
    used = Rates.of(config) if optimizer is None else checked_optimizer(optimizer)
    check_schedules(config.schedules, params)
    freezes = tuple(Frozen.of(policy, each) for each in config.freezes)
    n_updates = jnp.asarray(config.n_batches) if config.schedules or freezes else None
    return Setup(
        objective, trainable, used, config.batch_size, config.schedules, n_updates, freezes
    )


def init_state(policy: Any, setup: Setup, key: PRNGKeyArray) -> TrainState:
    """Return the state before the first update."""
    opt_state = _optimizer(setup).init(eqx.filter(policy, setup.trainable))
    return TrainState(policy, policy, opt_state, key, jnp.zeros((), jnp.int32), jnp.zeros((), bool))


def update(state: TrainState, setup: Setup, mesh: Mesh | None = None) -> tuple[TrainState, Terms]:
    """Make one update on fresh random trials; report losses and the gradient's norm.

    If the loss or the gradient is not finite, nothing changes but that the state says halted.

    Args:
        state: before the update.
        setup: what stays the same.
        mesh: of devices over which the trials are sharded, if this runs in ``sharded``.
    """
    keys = jax.random.split(jax.random.fold_in(state.key, state.iteration))
    keys_trials, keys_noise = own_trials(
        tuple(jax.random.split(key, setup.batch_size) for key in keys), mesh
    )
    objective = setup.at(state.iteration)
    trials = jax.vmap(objective.params.task.sample)(keys_trials)
    learning, fixed = eqx.partition(state.policy, setup.trainable)

    def loss(learning: PyTree) -> tuple[Float[Array, ""], Terms]:
        policy = eqx.combine(with_mean_gradient(learning, mesh), fixed)
        means: tuple[Float[Array, ""], Terms] = mean_over_trials(
            mean_loss(policy, objective, trials, keys_noise), mesh
        )
        return means

    (total, terms), gradient = jax.value_and_grad(gathered(loss), has_aux=True)(learning)
    gradient = setup.unfrozen(gradient, state.iteration)
    gradient_norm = optax.tree.norm(gradient)
    finite = jnp.isfinite(total) & jnp.isfinite(gradient_norm)
    steps, opt_state = take_step(
        _optimizer(setup),
        lambda learning: loss(learning)[0],
        learning,
        state.opt_state,
        value=total,
        gradient=gradient,
    )
    steps = setup.unfrozen(steps, state.iteration)
    updated = TrainState(
        policy=eqx.combine(optax.apply_updates(learning, steps), fixed),
        last_good=state.policy,
        opt_state=opt_state,
        key=state.key,
        iteration=state.iteration + 1,
        halted=jnp.zeros((), bool),
    )
    halted = state._replace(halted=jnp.ones((), bool))
    after: TrainState = _select(finite, updated, halted)
    return after, {**terms, "total": total, "gradient_norm": gradient_norm}


def train_scan(
    policy: Any,
    params: ReachParams,
    config: BPTTConfig | None = None,
    *,
    key: PRNGKeyArray,
    where_train: Callable[[Any], Any] | None = None,
    optimizer: optax.GradientTransformation | optax.MultiSteps | None = None,
) -> tuple[Any, dict[str, Float[Array, " updates"]]]:
    """Train a policy by one pure function, for use inside ``jax.jit`` and ``jax.vmap``.

    It makes the updates that ``train`` makes with the same key, without validation, output and
    checkpoints.

    Args:
        policy: the policy to begin with.
        params: the experiment.
        config: how to train; ``log_step`` has no meaning here.
        key: for trials and noise.
        where_train: selects what learns, as of ``train``.
        optimizer: as of ``train``.

    Returns:
        The trained policy, and for each update the loss by term and in ``total``, and
        ``gradient_norm`` before clipping. Where one of these is not finite, all stay the same from
        then on, and the policy is the last one for which all were finite.

    Raises:
        TypeError, ValueError: for an argument that is not allowed.

    Example:
        >>> def train_for(mass, key):
        ...     params = fbx_env.make(mass=mass)[1]
        ...     return train_scan(GRUPolicy(8, 2, 50, key=key), params, key=key)
        >>> policies, reports = jax.jit(jax.vmap(train_for))(masses, keys)
    """
    config = BPTTConfig() if config is None else config
    checks.key("key", key)
    setup = make_setup(policy, ReachEnv(), params, config, where_train, optimizer)
    state = init_state(policy, setup, jax.random.split(key)[0])
    arrays, static = eqx.partition(state, eqx.is_array)

    def step(arrays: PyTree, _: None) -> tuple[PyTree, Terms]:
        state, report = update(eqx.combine(arrays, static), setup)
        return eqx.filter(state, eqx.is_array), report

    arrays, reports = jax.lax.scan(step, arrays, length=config.n_batches)
    state = eqx.combine(arrays, static)
    return _select(state.halted, state.last_good, state.policy), reports


def _optimizer(setup: Setup) -> optax.GradientTransformation:
    optimizer = setup.optimizer
    return default_optimizer(optimizer) if isinstance(optimizer, Rates) else optimizer


def _select(condition: Bool[Array, ""], one: PyTree, other: PyTree) -> PyTree:
    return jax.tree.map(
        lambda one, other: jax.lax.select(condition, one, other) if eqx.is_array(one) else one,
        one,
        other,
    )
