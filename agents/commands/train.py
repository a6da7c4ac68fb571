"""The command ``python -m agents train``."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import equinox as eqx
import jax
import tyro
from jaxtyping import Array, Key, PRNGKeyArray

from agents.bptt import BPTTConfig, Computers, Ramp, train, train_replicates
from agents.commands.options import Start
from agents.commands.shared import TrainingCommand, write_metrics
from agents.objective import ActivityCost, ActivityRateCost, PolicyCost, WeightCost
from agents.policies import count_replicates
from agents.recipes import recipe
from agents.storage.checkpoints import Checkpoints
from agents.storage.history import History
from agents.storage.models import check_acts, load_model, save_model
from agents.storage.runs import HISTORY, key_from
from agents.training_error import TrainingError
from fbx_env import ReachEnv, ReachParams, checks
from fbx_env.reach import check_trials

COPIES = 6
"""Of the policy that training has at once: policies, gradient and optimiser's state."""


@dataclass(frozen=True)
class Settings(BPTTConfig):
    """Those that the command line has; costs of the policy are other options."""

    policy_costs: tyro.conf.Suppress[tuple[PolicyCost, ...]] = BPTTConfig.policy_costs
    schedules: tyro.conf.Suppress[tuple[Any, ...]] = ()
    freezes: tyro.conf.Suppress[tuple[Any, ...]] = ()


class Problem(NamedTuple):
    """The start of a training: an untrained policy, or replicates, and where it acts."""

    policy: Any
    env: ReachEnv
    params: ReachParams
    config: BPTTConfig
    devices: Sequence[jax.Device] | None


@dataclass(frozen=True)
class Train(TrainingCommand):
    """Train a policy by backpropagation through the environment, and evaluate it."""

    name: ClassVar[str] = "bptt"
    command: ClassVar[str] = "train"
    beside_resume: ClassVar[tuple[str, ...]] = ("debug_nans", "computers")
    progress: ClassVar[str] = "iteration"

    checkpoint_seconds: float = 60.0
    """Time between two checkpoints [s]; one is also written when the run is interrupted."""
    debug_nans: bool = False
    """If a number is not finite, repeat that update operation by operation, and report the first
    that failed, and where."""
    hidden_type: Literal["gru", "lstm", "rnn", "mlp"] = "gru"
    """The policy's hidden layer: gated, long short-term memory, leaky vanilla, or memoryless."""
    hidden_size: int = 50
    """Units in the hidden layer."""
    encoding_size: int | None = None
    """Units in a layer before the hidden one; if not given there is none."""
    hidden_weight: float = 1e-5
    """Weight of the squared activity of the hidden units, at least 0."""
    hidden_rate_weight: float = 0.0
    """Weight of the squared rate of change of their activity, at least 0."""
    weights_weight: float = 0.0
    """Weight of the squared weights of the policy, at least 0."""
    n_replicates: int = 1
    """Models to train side by side, each with initial weights, trials and noise of its own."""
    linear_ramp: tuple[tuple[str, float, float], ...] = ()
    """Numbers that change evenly during training, each by its dotted name with its first and last
    value, as loads.curl.strength 0 13."""
    cosine_ramp: tuple[tuple[str, float, float], ...] = ()
    """The same, for numbers that change slowly at the beginning and the end."""
    start: Start = None
    """Go on from the policy of this run, in its experiment but for what other options say; the
    histories are joined."""
    bptt: Annotated[Settings, tyro.conf.arg(name="")] = field(default_factory=Settings)
    computers: Annotated[Computers, tyro.conf.arg(name="")] = field(default_factory=Computers)

    @classmethod
    def default_for(cls, id: str) -> Train:
        known = recipe(id)
        return cls(hidden_weight=known.hidden_weight, bptt=Settings(**known.settings))

    @property
    def default_folder(self) -> str:
        if self.start is not None:
            return f"{Path(self.start).name}-continued"
        return f"{self.hidden_type}-seed{self.seed}"

    @property
    def policy_costs(self) -> tuple[PolicyCost, ...]:
        """The costs of the policy itself."""
        for name in ("hidden_weight", "hidden_rate_weight", "weights_weight"):
            checks.number(name, getattr(self, name), at_least=0)
        further = (
            ActivityRateCost(weight=self.hidden_rate_weight),
            WeightCost(weight=self.weights_weight),
        )
        used = (cost for cost in further if float(cost.weight) > 0)
        return (ActivityCost(weight=self.hidden_weight), *used)

    @property
    def schedules(self) -> tuple[Ramp, ...]:
        """Changes of the experiment during training."""
        linear = (Ramp(*each) for each in self.linear_ramp)
        return (*linear, *(Ramp(*each, shape="cosine") for each in self.cosine_ramp))

    def prepare(self) -> Problem | None:
        """Find the devices and make the untrained policy; other processes train with the first."""
        if self.computers.coordinator is not None:
            print(f"Waiting for the other processes ({self.computers.coordinator}).", flush=True)
        devices = self.computers.start()
        env, params = self.problem()
        check_trials(params, params.task.validation_trials())
        settings = {each.name: getattr(self.bptt, each.name) for each in fields(BPTTConfig)}
        config = BPTTConfig(
            **{**settings, "policy_costs": self.policy_costs, "schedules": self.schedules}
        )
        self.checkpoints(Path())
        make = self.untrained if self.start is None else self.continued
        policy = jax.block_until_ready(make(env, params))
        problem = Problem(policy, env, params, config, devices)
        if jax.process_index() == 0:
            return problem
        self.train(problem, Checkpoints("of the first process"))
        return None

    def complete(self, folder: Path, prepared: Problem) -> None:
        """Train, then evaluate, draw and write everything into the folder."""
        started = time.perf_counter()
        fault = None
        try:
            with jax.debug_nans(self.debug_nans):
                policy, history = self.train(prepared, self.checkpoints(folder))
        except TrainingError as error:
            policy, history, fault = error.policy, error.history, error
        history = self.history_before().joined(history)
        history.save(folder / HISTORY)
        save_model(folder, policy, prepared.params)
        metrics = self.finish(folder, policy, prepared.params, history, self.keys()[2])
        if fault is not None:
            raise fault
        write_metrics(folder, metrics, started)

    def problem(self) -> tuple[ReachEnv, ReachParams]:
        """The environment and its params: of the options, or of the run that is gone on from."""
        if self.start is None:
            return self.experiment.make()
        return ReachEnv(), self.experiment.applied_to(load_model(self.start)[1])

    def history_before(self) -> History:
        """The history of the run that is gone on from; empty without one."""
        path = Path(self.start or "") / HISTORY
        return History() if self.start is None or not path.exists() else History.load(path)

    def tidy(self, folder: Path) -> None:
        """Remove the checkpoints."""
        self.checkpoints(folder).remove()

    def checkpoints(self, folder: Path) -> Checkpoints:
        """When and where the run keeps checkpoints."""
        seconds = checks.number("checkpoint_seconds", self.checkpoint_seconds, at_least=0)
        return Checkpoints(folder, every_seconds=seconds, resume=True)

    def keys(self) -> Key[Array, "3"]:
        """Keys for the initial weights, for training and for evaluation."""
        return jax.random.split(key_from(self.seed), 3)

    def untrained(self, env: ReachEnv, params: ReachParams) -> Any:
        """The policy, or replicates in one pytree, with initial weights; ``None`` with ``--from``.

        Raises:
            ValueError: for a size that is not allowed.
            MemoryError: if training would take more memory than there is.
        """
        if self.start is not None:
            return None
        n_replicates = checks.whole("n_replicates", self.n_replicates, at_least=1, at_most=10**6)
        known, shape = recipe(self.experiment.id), (self.hidden_size, self.encoding_size)

        def make(key: PRNGKeyArray) -> Any:
            return known.network(env, params, self.hidden_type, *shape, key=key)

        key = self.keys()[0]
        one = eqx.filter_eval_shape(make, key)
        n_numbers = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(one) if _is_array(leaf))
        check_memory(4 * COPIES * n_replicates * n_numbers)
        if n_replicates == 1:
            return eqx.filter_jit(make)(key)
        return eqx.filter_vmap(make)(jax.random.split(key, n_replicates))

    def continued(self, env: ReachEnv, params: ReachParams) -> Any:
        """The policy, or replicates, of the run that is gone on from.

        Raises:
            ValueError: for options that say what the policy is, or if it cannot act with these
                params.
        """
        assert self.start is not None
        defaults = type(self)()
        shape = ("hidden_type", "hidden_size", "encoding_size", "n_replicates")
        given = [name for name in shape if getattr(self, name) != getattr(defaults, name)]
        if given:
            options = ", ".join(f"--{name.replace('_', '-')}" for name in given)
            raise ValueError(f"the policy is that of --from {self.start}; leave out {options}")
        policy = load_model(self.start)[0]
        check_acts(policy, params)
        return policy

    def train(self, problem: Problem, checkpoints: Checkpoints) -> tuple[Any, History]:
        """Train one policy, or replicates."""
        *arguments, devices = problem
        key = self.keys()[1]
        shared: dict[str, Any] = {"checkpoints": checkpoints, "devices": devices}
        n_replicates = count_replicates(problem.policy)
        if n_replicates is None:
            return train(*arguments, key=key, **shared)
        keys = jax.random.split(key, n_replicates)
        return train_replicates(*arguments, keys=keys, **shared)


def check_memory(n_bytes: int) -> None:
    """Raise ``MemoryError`` if this is more than the machine has; JAX might end the process."""
    statistics = jax.local_devices()[0].memory_stats() or {}
    there = statistics.get("bytes_limit")
    if there is None and hasattr(os, "sysconf"):
        there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if there is not None and n_bytes > there:
        raise MemoryError(
            f"the policy takes {n_bytes / 2**30:,.0f} GiB in training, of {there / 2**30:,.0f}"
        )


def _is_array(leaf: Any) -> bool:
    return hasattr(leaf, "shape")
