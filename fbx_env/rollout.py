"""Rollouts: whole trials of a policy in the environment, with everything that happened."""

from __future__ import annotations

from functools import partial
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from fbx_env import checks
from fbx_env.env import ReachEnv, reward_of
from fbx_env.params import ReachParams
from fbx_env.parts.component import Component, static
from fbx_env.parts.draws.drawing import with_drawn
from fbx_env.parts.interventions.intervention import act, check_interventions
from fbx_env.parts.plants.plant import Effector, NamedUnits, named_units
from fbx_env.parts.tasks.trial import Trial
from fbx_env.processes import refuse_fork
from fbx_env.reach import check_trials


@runtime_checkable
class Policy(Protocol):
    """A controller: a pytree with these methods, for one trial at a time.

    A carry is whatever the policy remembers from step to step; a memoryless policy may use it to
    show its activity.
    """

    def __call__(
        self, obs: Float[Array, " observation"], carry: Any, *, key: PRNGKeyArray | None = None
    ) -> tuple[Float[Array, " action"], Any]:
        """The command for an observation, and what to remember."""
        ...

    def initial_carry(self) -> Any:
        """The carry before the first step."""
        ...

    def activity(self, carry: Any) -> Float[Array, " units"]:
        """The activity of the policy's units after a step, for losses and figures."""
        ...


class Trajectory(Component):
    """Whole trials: N steps and the N + 1 states around them. A batch has a leading axis.

    Attributes:
        trial: the trials, with start and goal.
        time: of each state [s], ``(N + 1,)``.
        plant: the plant's state in each state, with ``N + 1`` entries.
        pos, vel: of the effector in each state [m], [m/s], ``(N + 1, 2)``.
        target: where the effector should be after each step, ``(N, 2)``.
        epoch: the index of the task's epoch after each step, ``(N,)``.
        obs: what the policy saw before each step, ``(N, observation)``.
        command: what the policy asked for at each step, ``(N, controls)``.
        control: what acted during each step, in the units of the command, ``(N, controls)``.
        load: the external force at the beginning of each step [N], ``(N, 2)``.
        activity: of the policy's units at each step, ``(N, units)``.
        losses: the weighted cost of each step by term, ``(N,)`` each.
        reward: minus the sum of the environment's terms, ``(N,)``.
        drawn: the numbers drawn for the trials, by their names.
        controls: name and unit of each number of a command (static).
    """

    trial: Trial
    time: Float[Array, "*trials states"]
    plant: Any
    pos: Float[Array, "*trials states 2"]
    vel: Float[Array, "*trials states 2"]
    target: Effector
    epoch: Int[Array, "*trials steps"]
    obs: Float[Array, "*trials steps observation"]
    command: Float[Array, "*trials steps controls"]
    control: Float[Array, "*trials steps controls"]
    load: Float[Array, "*trials steps 2"]
    activity: Float[Array, "*trials steps units"]
    losses: dict[str, Float[Array, "*trials steps"]]
    reward: Float[Array, "*trials steps"]
    drawn: dict[str, Float[Array, "..."]]
    controls: NamedUnits = static()

    def __repr__(self) -> str:
        shapes = ", ".join(
            f"{name}{list(getattr(self, name).shape)}" for name in ("pos", "command")
        )
        return f"Trajectory({shapes}, losses: {', '.join(self.losses)})"


def rollout(
    env: ReachEnv, params: ReachParams, policy: Policy, trials: Trial, key: PRNGKeyArray
) -> Trajectory:
    """Run a policy through whole trials, and keep everything.

    The interventions of the params are made on the policy. Compiled once for each kind of policy,
    params and shape. Differentiable in the params, the trials and the policy's arrays.

    Args:
        env: the environment.
        params: the experiment.
        policy: a pytree that follows ``Policy``; ``agents.OpenLoopPolicy`` plays given commands.
        trials: one trial, or several along a leading axis.
        key: for noise, split over the trials.

    Returns:
        The trajectory; with a leading axis if ``trials`` has one.

    Raises:
        TypeError: for an argument of the wrong kind, or a policy without units to intervene on.
        ValueError: if a number of the params is out of range or has a leading axis, ``trials`` has
            more than one, or the policy lacks units or weights that an intervention names.

    Example:
        >>> trajectory = rollout(env, params, policy, params.task.validation_trials(), key)
        >>> trajectory.pos.shape
        (7, 100, 2)
    """
    refuse_fork()
    checks.instance("env", env, ReachEnv)
    checks.instance("params", params, ReachParams).checked()
    checks.instance("trials", trials, Trial)
    checks.key("key", key)
    check_policy(policy)
    if jnp.ndim(trials.start) > 2:
        raise ValueError(
            f"trials must have no leading axis or one, got start of shape {trials.start.shape}"
        )
    check_trials(params, trials)
    leaves, structure = jax.tree.flatten(policy)
    arrays = [leaf if isinstance(leaf, jax.Array | np.ndarray) else None for leaf in leaves]
    others = tuple(
        leaf if array is None else None for leaf, array in zip(leaves, arrays, strict=True)
    )
    trajectory: Trajectory = _rollout(env, structure, others, params, arrays, trials, key)
    return trajectory


@partial(jax.jit, static_argnames=("env", "structure", "others"))
def _rollout(
    env: ReachEnv,
    structure: Any,
    others: tuple[Any, ...],
    params: ReachParams,
    arrays: list[Array | None],
    trials: Trial,
    key: PRNGKeyArray,
) -> Trajectory:
    leaves: list[Any] = [
        other if array is None else array for array, other in zip(arrays, others, strict=True)
    ]
    policy = jax.tree.unflatten(structure, leaves)
    if jnp.ndim(trials.start) == 1:
        return rollout_trial(env, params, policy, trials, key)
    keys = jax.random.split(key, trials.start.shape[0])
    return jax.vmap(rollout_trial, in_axes=(None, None, None, 0, 0))(
        env, params, policy, trials, keys
    )


def rollout_trial(
    env: ReachEnv,
    params: ReachParams,
    policy: Policy,
    trial: Trial,
    key: PRNGKeyArray,
    *,
    rematerialise: bool = False,
) -> Trajectory:
    """``rollout`` of a single trial, without compilation of its own: for use inside ``jit``.

    Args:
        env, params, policy, trial, key: as of ``rollout``.
        rematerialise: whether a backward pass computes each step anew from the state before it,
            instead of keeping all that happened inside of it: less memory, more time.

    Returns:
        The trajectory.

    Raises:
        ValueError: if the policy does not turn an observation into a command.
    """
    key_reset, key_steps = jax.random.split(key)
    obs, state = env.reset_trial(key_reset, trial, params)
    check_fit(policy, params, obs)
    own_params = with_drawn(params, state.drawn)

    def step(loop: Any, _: object) -> tuple[Any, dict[str, Any]]:
        state, carry = loop
        key_policy, key_env = jax.random.split(jax.random.fold_in(key_steps, state.time))
        obs = env.observe(key_env, state, None, params)
        clock = own_params.clock(state.time, trial)
        command, carry = act(policy, own_params.interventions, obs, carry, clock, key_policy)
        state, transition = env.transition(key_env, state, command, params)
        losses = own_params.loss(transition)
        record = {
            "plant": transition.plant_after,
            "pos": transition.after.pos,
            "vel": transition.after.vel,
            "target": transition.target,
            "epoch": transition.epoch,
            "obs": obs,
            "command": transition.command,
            "control": transition.control,
            "load": transition.load,
            "activity": policy.activity(carry),
            "losses": losses,
            "reward": reward_of(losses),
        }
        return (state, carry), record

    start = {
        "plant": state.plant,
        "pos": own_params.plant.effector(state.plant).pos,
        "vel": own_params.plant.effector(state.plant).vel,
    }
    if rematerialise:
        # Within a scan, nothing else could be merged with what is computed anew.
        step = jax.checkpoint(step, prevent_cse=False)
    loop = (state, policy.initial_carry())
    _, steps = jax.lax.scan(step, loop, length=params.max_steps_in_episode)
    for name, first in start.items():
        steps[name] = jax.tree.map(
            lambda one, rest: jnp.concatenate([one[None], rest]), first, steps[name]
        )
    time = own_params.dt * jnp.arange(params.max_steps_in_episode + 1).astype(float)
    drawn = {each.number: value for each, value in zip(params.draws, state.drawn, strict=True)}
    controls = named_units(params.plant)
    return Trajectory(trial=trial, time=time, drawn=drawn, controls=controls, **steps)


def check_policy(policy: Any) -> None:
    """Raise ``TypeError`` for what lacks the methods of a policy, and for a class."""
    if isinstance(policy, type):
        raise TypeError(f"policy must be an instance, {policy.__name__}(...), got the class")
    if not isinstance(policy, Policy):
        raise TypeError(f"policy must have __call__, initial_carry, activity, got {policy!r}")


def check_fit(policy: Policy, params: ReachParams, obs: Float[Array, " observation"]) -> int:
    """Ask for one command, without computing it, so that a misfit is reported in our words.

    Args:
        policy: to check.
        params: the experiment, whose interventions have to fit, too.
        obs: an observation.

    Returns:
        The number of units.

    Raises:
        TypeError: if it is no policy, or none that can be intervened in as the params ask for.
        ValueError: if it does not take the observation, does not return a command, a carry and
            activity as it should, or lacks units or weights that an intervention names.
    """
    check_policy(policy)
    command_shape = (len(params.plant.controls),)
    advice = (
        "it may be for another body, task or time_in_observation, or a group of replicates: then "
        "take one with tree_take(policy, 0)"
    )

    def first_step(obs: Any) -> tuple[Any, Any, Any, Any]:
        before = policy.initial_carry()
        command, after = policy(obs, before, key=jax.random.key(0))
        return command, before, after, policy.activity(after)

    try:
        command, before, after, activity = jax.eval_shape(first_step, obs)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"policy does not take an observation of shape {obs.shape} ({error}); {advice}"
        ) from error
    if getattr(command, "shape", None) != command_shape:
        got = getattr(command, "shape", command)
        raise ValueError(
            f"policy must return a command of shape {command_shape}, got {got}; {advice}"
        )
    if _shapes(after) != _shapes(before):
        raise ValueError(
            "policy must return a carry like the one it is given, "
            f"{_shapes(before)}, got {_shapes(after)}"
        )
    if len(getattr(activity, "shape", ())) != 1:
        got = getattr(activity, "shape", activity)
        raise ValueError(f"policy must give activity of shape (units,), got {got}")
    n_units = int(activity.shape[0])
    check_interventions(params.interventions, policy, n_units)
    return n_units


def check_trajectory(trajectory: Trajectory, params: ReachParams) -> None:
    """Raise if a trajectory is not of the experiment that the params are.

    Raises:
        TypeError: if they are something else.
        ValueError: if it has other steps, loss terms, controls, observations or epochs.
    """
    checks.instance("trajectory", trajectory, Trajectory)
    checks.instance("params", params, ReachParams)
    n_steps, n_epochs = params.max_steps_in_episode, len(params.task.epoch_names)
    last_epoch = int(np.max(trajectory.epoch, initial=0))
    pairs = {
        "steps": (trajectory.pos.shape[-2] - 1, n_steps),
        "loss terms": (sorted(trajectory.losses), sorted(params.loss.names)),
        "controls": (trajectory.controls, named_units(params.plant)),
        "numbers in an observation": (
            trajectory.obs.shape[-1],
            ReachEnv().observation_space(params).shape[0],
        ),
        "epochs": (max(last_epoch + 1, n_epochs), n_epochs),
    }
    for what, (found, wanted) in pairs.items():
        if found != wanted:
            raise ValueError(
                f"params must be those of the trajectory, which has other {what}: {found}, "
                f"and not {wanted}"
            )


def _shapes(carry: Any) -> Any:
    return jax.tree.map(lambda leaf: f"{leaf.dtype}{list(leaf.shape)}", carry)
