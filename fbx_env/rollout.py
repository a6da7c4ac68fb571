"""Rollouts: whole trials of a policy in the environment, with everything that happened."""

from __future__ import annotations

from functools import partial
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Float, PRNGKeyArray

from fbx_env import checks
from fbx_env.env import ReachEnv, ReachParams
from fbx_env.tasks import Trial


class Policy(Protocol):
    """What acts in the environment: a pytree with these methods, for one trial at a time.

    A carry is whatever the policy remembers from step to step; a memoryless policy may use it to
    show its activity.
    """

    def __call__(
        self, obs: Float[Array, " observation"], carry: Any, *, key: PRNGKeyArray | None = None
    ) -> tuple[Float[Array, " action"], Any]:
        """The command for an observation, and what to remember."""
        ...

    def initial_carry(self) -> Any:
        """What is remembered before the first step."""
        ...

    def activity(self, carry: Any) -> Float[Array, " units"]:
        """The activity of the policy's units after a step, for losses and figures."""
        ...


POLICY_METHODS = ("__call__", "initial_carry", "activity")


@struct.dataclass
class Trajectory:
    """Whole trials: N steps and the N + 1 states around them. A batch has a leading axis.

    Attributes:
        trial: the trials, with start and goal.
        time: of each state [s], ``(N + 1,)``.
        pos, vel: of the effector in each state [m], [m/s], ``(N + 1, 2)``.
        obs: what the policy saw before each step, ``(N, observation)``.
        command: what the policy asked for at each step [N], ``(N, action)``.
        force: what acted during each step [N], ``(N, action)``.
        activity: of the policy's units at each step, ``(N, units)``.
        losses: the weighted cost of each step by term, ``(N,)`` each.
        reward: minus the sum of the environment's terms, ``(N,)``.
    """

    trial: Trial
    time: Float[Array, "*trials states"]
    pos: Float[Array, "*trials states 2"]
    vel: Float[Array, "*trials states 2"]
    obs: Float[Array, "*trials steps observation"]
    command: Float[Array, "*trials steps action"]
    force: Float[Array, "*trials steps action"]
    activity: Float[Array, "*trials steps units"]
    losses: dict[str, Float[Array, "*trials steps"]]
    reward: Float[Array, "*trials steps"]


def rollout(
    env: ReachEnv, params: ReachParams, policy: Policy, trials: Trial, key: PRNGKeyArray
) -> Trajectory:
    """Run a policy through whole trials, and keep everything.

    Compiled once for each kind of policy, params and shape. Differentiable in the params, the
    trials and the policy's arrays.

    Args:
        env: the environment.
        params: the experiment.
        policy: a pytree that follows ``Policy``.
        trials: one trial, or several along a leading axis.
        key: for noise, split over the trials.

    Returns:
        The trajectory; with a leading axis if ``trials`` has one.

    Raises:
        TypeError: for an argument of the wrong kind.
        ValueError: if a number of the params is out of range or has a leading axis, or ``trials``
            has more than one.

    Example:
        >>> trajectory = rollout(env, params, policy, params.task.validation_trials(), key)
        >>> trajectory.pos.shape
        (7, 100, 2)
    """
    checks.instance("env", env, ReachEnv)
    checks.instance("params", params, ReachParams).checked()
    checks.instance("trials", trials, Trial)
    checks.key("key", key)
    if jnp.ndim(trials.start) > 2:
        raise ValueError(
            f"trials must have no leading axis or one, got start of shape {trials.start.shape}"
        )
    leaves, structure = jax.tree.flatten(policy)
    arrays = [leaf if isinstance(leaf, jax.Array | np.ndarray) else None for leaf in leaves]
    others = tuple(
        leaf if array is None else None for leaf, array in zip(leaves, arrays, strict=True)
    )
    return _rollout(env, structure, others, params, arrays, trials, key)


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
    _check_fit(policy, obs, state.force.shape)
    effector = params.plant.effector

    def step(loop: Any, _: object) -> tuple[Any, dict[str, Any]]:
        obs, state, carry = loop
        key_policy, key_env = jax.random.split(jax.random.fold_in(key_steps, state.time))
        command, carry = policy(obs, carry, key=key_policy)
        next_obs, state, reward, _, info = env.step_env(key_env, state, command, params)
        record = {
            "pos": effector(state.plant).pos,
            "vel": effector(state.plant).vel,
            "obs": obs,
            "command": command,
            "force": state.force,
            "activity": policy.activity(carry),
            "losses": info["losses"],
            "reward": reward,
        }
        return (next_obs, state, carry), record

    loop = (obs, state, policy.initial_carry())
    if rematerialise:
        # Within a scan, nothing else could be merged with what is computed anew.
        step = jax.checkpoint(step, prevent_cse=False)
    _, steps = jax.lax.scan(step, loop, length=params.max_steps_in_episode)
    start = effector(state.plant)
    steps["pos"] = jnp.concatenate([start.pos[None], steps["pos"]])
    steps["vel"] = jnp.concatenate([start.vel[None], steps["vel"]])
    time = params.dt * jnp.arange(params.max_steps_in_episode + 1)
    return Trajectory(trial=trial, time=time, **steps)


def _check_fit(policy: Policy, obs: Float[Array, " observation"], command_shape: Any) -> None:
    """Ask for one command, without computing it, so that a misfit is told in our words."""
    if not all(callable(getattr(policy, name, None)) for name in POLICY_METHODS):
        raise TypeError(f"policy must have {', '.join(POLICY_METHODS)}, got {policy!r}")
    advice = "if it is a group of replicates, take one with tree_take(policy, 0)"

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


def _shapes(carry: Any) -> Any:
    return jax.tree.map(lambda leaf: f"{leaf.dtype}{list(leaf.shape)}", carry)
