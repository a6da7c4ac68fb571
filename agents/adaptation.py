"""Adaptation to a force field: what a trained policy learns in it, and keeps without it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from agents.bptt.algorithm import BPTTConfig, Setup, TrainState, init_state, make_setup, update
from agents.objective import ActivityCost, PolicyCost
from agents.optimum import NoOptimumError, OptimalPolicy, optimal_loss
from fbx_env import (
    ForceChannel,
    Load,
    ReachEnv,
    ReachParams,
    Task,
    Trajectory,
    Trial,
    analysis,
    checks,
    rollout,
)
from fbx_env.lateral import adaptation_index, lateral_force, perpendicular_error
from fbx_env.measures import import_pandas
from fbx_env.rollout import rollout_trial

if TYPE_CHECKING:
    import pandas

CONDITIONS = ("no_field", "field", "channel")

Evaluations = dict[str, dict[str, Float[Array, " trials"]]]
"""Measures of the trials by condition and name."""


@dataclass(frozen=True)
class Adaptation:
    """How a policy adapted to a force field.

    Attributes:
        frame: a pandas frame with a row for each evaluation, condition and validation trial, and
            the columns ``phase`` (baseline, field, washout), ``n_updates`` (made until then),
            ``condition`` (no_field, field, channel), ``trial``, ``direction`` [rad],
            ``perpendicular_error`` (the greatest deviation from the straight line [m], positive to
            the left), ``loss`` of the environment, and ``adaptation_index`` of trials in the
            channel, NaN of others.
        forces: a frame of the force on the channel's walls, with the columns ``stage`` (before,
            late), ``trial``, ``time`` [s], and, positive to the left, ``measured`` and ``ideal``
            [N], which would cancel the field.
        references: a frame with the mean ``loss`` and ``perpendicular_error`` in the field of the
            optimal controllers that know the field (``optimum``) and do not (``naive``); empty
            where there is no exact optimum.
        reaches: the validation trials, by stage: ``before`` without the field, ``early`` and
            ``late`` in it, ``after`` without it again.
        policy: after the last update in the field.
    """

    frame: pandas.DataFrame
    forces: pandas.DataFrame
    references: pandas.DataFrame
    reaches: dict[str, Trajectory]
    policy: Any


class Probes(NamedTuple):
    """The experiments in which a policy is evaluated, on the same trials."""

    no_field: ReachParams
    field: ReachParams
    channel: ReachParams
    trials: Trial
    key: PRNGKeyArray

    def reaches(self, condition: str, policy: Any) -> Trajectory:
        """The trials in a condition."""
        params: ReachParams = getattr(self, condition)
        return rollout(ReachEnv(), params, policy, self.trials, self.key)

    def by_phase(self) -> dict[str, ReachParams]:
        """The experiment of each phase of the training."""
        return {"baseline": self.no_field, "field": self.field, "washout": self.no_field}


def adapt(
    policy: Any,
    params: ReachParams,
    field: Load,
    *,
    key: PRNGKeyArray,
    n_baseline: int = 20,
    n_field: int = 300,
    n_washout: int = 150,
    updates_per_block: int = 1,
    batch_size: int = 16,
    learning_rate: float | None = None,
    optimizer: optax.GradientTransformation | None = None,
    policy_costs: Sequence[PolicyCost] = (ActivityCost(),),
    where_train: Callable[[Any], Any] | None = None,
    task: Task | None = None,
    channel: ForceChannel | None = None,
) -> Adaptation:
    """Train a policy without a field, in it, and without it again, and evaluate it all the while.

    Before each block of updates it makes the validation trials without the field, in it, and in a
    force channel instead of it, all without learning from them.

    Args:
        policy: that has learnt the task without the field.
        params: the experiment without the field.
        field: that comes on top of the loads of ``params``; ``CurlField`` says how strong.
        key: for trials and noise, split as ``agents.train`` splits it.
        n_baseline, n_field, n_washout: updates before the field, in it and after it; only the first
            may be 0.
        updates_per_block: updates between two evaluations.
        batch_size: trials in each update.
        learning_rate: of Adam, after clipping by a global norm of 1; 0.001 if not given.
        optimizer: of optax, instead of these.
        policy_costs: as of ``BPTTConfig``.
        where_train: selects what learns, as of ``agents.train``.
        task: of the trials in which the policy is trained, as ``GivenReaches`` in some directions,
            to see how it generalises; that of ``params`` if not given.
        channel: its walls; critically damped for 1 kg, and as stiff as the steps resolve, if not
            given.

    Raises:
        TypeError, ValueError: for an argument that is not allowed, or a learning rate beside an
            optimiser.
        FloatingPointError: if a movement, a loss or a gradient is not finite.
        ImportError: if pandas is not installed.

    Example:
        >>> context = pairing("TwoLinkArmReach-v0", key=key)
        >>> model, _ = context.train(n_batches=1000, key=key)
        >>> params = context.task.params
        >>> adaptation = adapt(model, params, CurlField(13.0), key=key)
        >>> adaptation.frame.groupby(["condition", "n_updates"]).perpendicular_error.mean()
        >>> each = {stage: measure(x, params) for stage, x in adaptation.reaches.items()}
        >>> pandas.concat(each, names=["stage"]).groupby("stage").mean(numeric_only=True)
    """
    pd = import_pandas()
    checks.instance("params", params, ReachParams)
    checks.instance("field", field, Load)
    checks.key("key", key)
    n_updates = {
        "baseline": checks.whole("n_baseline", n_baseline, at_least=0),
        "field": checks.whole("n_field", n_field, at_least=1),
        "washout": checks.whole("n_washout", n_washout, at_least=1),
    }
    per_block = checks.whole("updates_per_block", updates_per_block, at_least=1)
    key_train, key_validation = jax.random.split(key)
    probes = _probes(params, field, channel, key_validation)
    if task is not None:
        checks.instance("task", task, Task)
    config = BPTTConfig(batch_size=batch_size, policy_costs=tuple(policy_costs))
    setups = {
        phase: make_setup(
            policy,
            ReachEnv(),
            experiment if task is None else experiment.replace(task=task).checked(),
            config,
            where_train,
            _optimizer(learning_rate, optimizer),
        )
        for phase, experiment in probes.by_phase().items()
    }
    state = init_state(policy, setups["baseline"], key_train)
    policies: dict[str, Any] = {}
    rows: list[dict[str, Any]] = []
    for phase, n in n_updates.items():
        state, evaluated = _learn(state, phase, setups[phase], probes, field, n, per_block)
        policies[phase] = state.policy
        rows += evaluated
    return Adaptation(
        frame=pd.concat(map(pd.DataFrame, rows), ignore_index=True),
        forces=_forces(probes, field, {"before": policy, "late": policies["field"]}),
        references=_references(probes),
        reaches=_reaches(probes, policy, policies),
        policy=policies["field"],
    )


def _optimizer(
    learning_rate: float | None, optimizer: optax.GradientTransformation | None
) -> optax.GradientTransformation:
    """The optimiser that is given, or clipping and Adam with a learning rate."""
    if optimizer is None:
        rate = 1e-3 if learning_rate is None else learning_rate
        rate = checks.number("learning_rate", rate, above=0)
        return optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate))
    if learning_rate is not None:
        raise ValueError(
            f"learning_rate belongs to the default optimizer, which yours replaces; got "
            f"{learning_rate}"
        )
    return optimizer


def _probes(
    params: ReachParams, field: Load, channel: ForceChannel | None, key: PRNGKeyArray
) -> Probes:
    """The three conditions, whose loads are checked here."""
    if channel is None:
        channel = ForceChannel(stiffness=0.25 / params.dt**2, damping=1 / params.dt)
    checks.instance("channel", channel, ForceChannel)
    loads = params.loads
    return Probes(
        no_field=params.checked(),
        field=params.replace(loads=(*loads, field)).checked(),
        channel=params.replace(loads=(*loads, channel)).checked(),
        trials=params.task.validation_trials(),
        key=key,
    )


def _learn(
    state: TrainState,
    phase: str,
    setup: Setup,
    probes: Probes,
    field: Load,
    n_updates: int,
    per_block: int,
) -> tuple[TrainState, list[dict[str, Any]]]:
    """Evaluate before each block of updates, and make them; return the columns of the frame."""
    rows: list[dict[str, Any]] = []
    for _ in range(-(-n_updates // per_block)):
        n_made = int(state.iteration)
        state, evaluations = _block(state, setup, probes, field, per_block)
        rows += _rows(phase, n_made, evaluations, probes)
        if state.halted:
            raise FloatingPointError(
                f"a loss or gradient of training is not finite in phase {phase!r}, after "
                f"{int(state.iteration)} updates"
            )
    return state, rows


@eqx.filter_jit
def _block(
    state: TrainState, setup: Setup, probes: Probes, field: Load, n_updates: int
) -> tuple[TrainState, Evaluations]:
    """Evaluate, and then make some updates."""
    arrays, static = eqx.partition(state, eqx.is_array)

    def one_update(arrays: PyTree, _: None) -> tuple[PyTree, None]:
        after = update(eqx.combine(arrays, static), setup)[0]
        return eqx.filter(after, eqx.is_array), None

    evaluations = _evaluate(state.policy, probes, field)
    arrays, _ = jax.lax.scan(one_update, arrays, length=n_updates)
    return eqx.combine(arrays, static), evaluations


def _evaluate(policy: Any, probes: Probes, field: Load) -> Evaluations:
    """Evaluate a policy in all conditions."""
    keys = jax.random.split(probes.key, len(probes.trials.start))
    found: Evaluations = {}
    for condition in CONDITIONS:
        params: ReachParams = getattr(probes, condition)

        def measures(
            trial: Trial, key: PRNGKeyArray, params: ReachParams = params
        ) -> dict[str, Float[Array, ""]]:
            trajectory = rollout_trial(ReachEnv(), params, policy, trial, key)
            error = perpendicular_error(trajectory.pos, trial)
            index = jnp.full((), jnp.nan)
            if params is probes.channel:
                index = adaptation_index(*_forces_in_channel(trajectory, params, field))
            return {
                "perpendicular_error": error,
                "loss": -trajectory.reward.sum(),
                "adaptation_index": index,
            }

        found[condition] = jax.vmap(measures)(probes.trials, keys)
    return found


def _forces_in_channel(
    trajectory: Trajectory, params: ReachParams, field: Load
) -> tuple[Float[Array, " steps"], Float[Array, " steps"]]:
    """The force on the walls of the last load, the channel, and the ideal one, to the left [N]."""
    walls = params.loads[-1]
    return -lateral_force(walls, trajectory, params), -lateral_force(field, trajectory, params)


def _rows(
    phase: str, n_made: int, evaluations: Evaluations, probes: Probes
) -> list[dict[str, Any]]:
    """The columns of the frame for an evaluation, one set a condition."""
    start, goal = (np.asarray(each) for each in (probes.trials.start, probes.trials.goal))
    rows = []
    for condition in CONDITIONS:
        measures = {name: np.asarray(each) for name, each in evaluations[condition].items()}
        for name in ("perpendicular_error", "loss"):
            if not np.isfinite(measures[name]).all():
                raise FloatingPointError(
                    f"{name} is not finite in condition {condition!r} of phase {phase!r}; "
                    "the walls of a channel may be stiffer than the steps resolve"
                )
        about = {"phase": phase, "n_updates": n_made, "condition": condition}
        trials = {"trial": np.arange(len(start)), "direction": analysis.directions(start, goal)}
        rows.append(about | trials | measures)
    return rows


def _reaches(probes: Probes, untrained: Any, policies: dict[str, Any]) -> dict[str, Trajectory]:
    """The trials by stage, as in ``Adaptation``, of the policies at the end of the phases."""
    return {
        "before": probes.reaches("no_field", untrained),
        "early": probes.reaches("field", policies["baseline"]),
        "late": probes.reaches("field", policies["field"]),
        "after": probes.reaches("no_field", policies["field"]),
    }


def _forces(probes: Probes, field: Load, policies: dict[str, Any]) -> pandas.DataFrame:
    """The forces in the channel by stage, as in ``Adaptation``."""
    pd, each = import_pandas(), []
    for stage, policy in policies.items():
        trajectory = probes.reaches("channel", policy)
        both = jax.vmap(lambda one: _forces_in_channel(one, probes.channel, field))(trajectory)
        measured, ideal = (np.asarray(force) for force in both)
        n_trials, n_steps = measured.shape
        each.append(
            pd.DataFrame(
                {
                    "stage": stage,
                    "trial": np.repeat(np.arange(n_trials), n_steps),
                    "time": np.asarray(trajectory.time)[:, :-1].ravel(),
                    "measured": measured.ravel(),
                    "ideal": ideal.ravel(),
                }
            )
        )
    return pd.concat(each, ignore_index=True)


def _references(probes: Probes) -> pandas.DataFrame:
    """The optimal controllers that know the field and do not, as in ``Adaptation``."""
    rows = {}
    for name, known in (("optimum", probes.field), ("naive", probes.no_field)):
        try:
            loss = optimal_loss(probes.field, probes.trials, naive=known is probes.no_field).total
            trajectory = probes.reaches("field", OptimalPolicy(known))
        except NoOptimumError:
            continue
        errors = jax.vmap(perpendicular_error)(trajectory.pos, probes.trials)
        rows[name] = {"loss": loss, "perpendicular_error": float(errors.mean())}
    columns = ["loss", "perpendicular_error"]
    return import_pandas().DataFrame.from_dict(rows, orient="index", columns=columns)
