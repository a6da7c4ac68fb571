"""The reaching environment: wires plant, task, channels and loss into a gymnax environment."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from gymnax.environments import environment, spaces
from jax.custom_batching import custom_vmap
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from fbx_env import checks
from fbx_env.channels import Buffer, MotorChannel, SensoryChannel
from fbx_env.component import Component, static
from fbx_env.losses import Loss, Transition, reach_loss, rounded
from fbx_env.plants import Plant, PointMass, Scalar
from fbx_env.tasks import SimpleReaches, Task, Trial

Observation = Float[Array, " observation"]


class ReachParams(Component, environment.EnvParams):
    """Everything that defines a reaching experiment, as one pytree.

    Each part owns its numbers. ``replace`` swaps a part; every float can be mapped over with
    ``jax.vmap`` and differentiated with respect to. What is marked static is part of the structure.

    Attributes:
        max_steps_in_episode: control steps of a trial, at least 1 (static).
        plant: the body that forces move.
        task: which trials there are and what each asks for.
        sensory: delay and noise from plant to agent.
        motor: delay, limit and noise from agent to plant.
        loss: the cost of each step; the reward is its negative.
        dt: duration of a step [s], greater than 0.
        time_in_observation: whether the observation ends with the time that has passed, as a
            fraction of the trial (static).

    Raises:
        TypeError: if a part is of the wrong kind.
        ValueError: if a number is out of range.

    Example:
        >>> params = ReachParams(plant=PointMass(mass=2.0), dt=0.01, max_steps_in_episode=500)
        >>> params.replace(sensory=SensoryChannel(delay=3)).sensory.delay
        3
    """

    max_steps_in_episode: int = static(default=99)
    plant: Plant = dataclasses.field(default_factory=PointMass)
    task: Task = dataclasses.field(default_factory=SimpleReaches)
    sensory: SensoryChannel = dataclasses.field(default_factory=SensoryChannel)
    motor: MotorChannel = dataclasses.field(default_factory=MotorChannel)
    loss: Loss = dataclasses.field(default_factory=reach_loss)
    dt: Scalar = 0.05
    time_in_observation: bool = static(default=False)

    def __post_init__(self) -> None:
        checks.instance("plant", self.plant, Plant)
        checks.instance("task", self.task, Task)
        checks.instance("sensory", self.sensory, SensoryChannel)
        checks.instance("motor", self.motor, MotorChannel)
        checks.instance("loss", self.loss, Loss)
        self._assign(
            max_steps_in_episode=checks.whole(
                "max_steps_in_episode", self.max_steps_in_episode, at_least=1, at_most=2**31 - 1
            ),
            dt=checks.real("dt", self.dt, above=0),
            time_in_observation=checks.flag("time_in_observation", self.time_in_observation),
        )


@struct.dataclass
class ReachState(environment.EnvState):
    """The state of one trial between two steps.

    Attributes:
        time: steps taken so far.
        trial: where the trial started and where it should go.
        plant: the plant's state; for a point mass its position [m] and velocity [m/s].
        force: what acted during the last step, zero at first [N].
        sensory: feedback on its way to the agent, the oldest first.
        motor: commands on their way to the plant, the oldest first.
    """

    time: Int[Array, ""]
    trial: Trial
    plant: Any
    force: Float[Array, " action"]
    sensory: Buffer
    motor: Buffer


class ReachEnv(environment.Environment[ReachState, ReachParams]):
    """Reach a goal on the plane by commanding forces, at the least cost.

    A differentiable gymnax environment. It has no numbers of its own: all are in ``ReachParams``,
    and equal instances share one compilation.

    Observation, 8 numbers: goal position [m], goal velocity [m/s], sensed position [m], sensed
    velocity [m/s], two each; a ninth, the fraction of the trial that has passed, if the params ask
    for it. Action: the command, a force along each axis [N]. Reward: minus the loss of the step.
    ``info["losses"]`` holds the loss by term. A trial ends after ``max_steps_in_episode`` steps; as
    the horizon is part of the task, the end is a termination and never a truncation.

    Use ``step_env`` in a ``jax.lax.scan`` (or ``fbx_env.rollout``) to differentiate through whole
    trials; ``step`` starts a new trial at the end of each, which no gradient passes.

    Example:
        >>> env, params = ReachEnv(), ReachParams()
        >>> obs, state = env.reset(jax.random.key(0), params)
        >>> obs, state, reward, terminated, truncated, info = env.step(
        ...     jax.random.key(1), state, jnp.zeros(2), params
        ... )
        >>> sorted(info["losses"])
        ['command', 'final_velocity', 'position']
    """

    _supports_transition_gradients = True
    _transition_gradients_enabled = True

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))

    def __repr__(self) -> str:
        return f"{self.name}()"

    @property
    def default_params(self) -> ReachParams:
        """The params of the original task."""
        return ReachParams()

    def reset_env(self, key: PRNGKeyArray, params: ReachParams) -> tuple[Observation, ReachState]:
        """Start a trial drawn from the task."""
        checks.instance("params", params, ReachParams)
        key_trial, key_sensory = jax.random.split(checks.key("key", key))
        return self.reset_trial(key_sensory, params.task.sample(key_trial), params)

    def reset_trial(
        self, key: PRNGKeyArray, trial: Trial, params: ReachParams
    ) -> tuple[Observation, ReachState]:
        """Start a given trial.

        Args:
            key: for the sensory noise of the first observation.
            trial: one trial, without a leading axis.
            params: the experiment.

        Raises:
            TypeError: if ``trial`` is not a ``Trial``, ``params`` are not ``ReachParams``, or
                ``key`` is no key.
            ValueError: if ``trial`` or a number of the params has a leading axis, or such a number
                is out of range.
        """
        checks.instance("params", params, ReachParams).checked()
        checks.instance("trial", trial, Trial)
        checks.key("key", key)
        if jnp.ndim(trial.start) != 1:
            raise ValueError(
                "trial must be one trial, use jax.vmap for several; got start of shape "
                f"{trial.start.shape}"
            )
        plant = params.plant.at_rest(jnp.asarray(trial.start))
        state = ReachState(
            time=jnp.zeros((), jnp.int32),
            trial=trial,
            plant=plant,
            force=jnp.zeros(params.plant.action_size),
            sensory=params.sensory.start(params.plant.feedback(plant)),
            motor=params.motor.start(params.plant.action_size),
        )
        return self.observe(key, state, None, params), state

    def step_env(
        self,
        key: PRNGKeyArray,
        state: ReachState,
        action: Float[Array, " action"],
        params: ReachParams,
    ) -> tuple[Observation, ReachState, Float[Array, ""], Bool[Array, ""], dict[str, Any]]:
        """Move the plant one step on; differentiable, and without starting a new trial.

        Args:
            key: for motor and sensory noise.
            state: before the step.
            action: the command [N], of any size; the force it leads to is limited.
            params: the experiment.

        Returns:
            Observation, state, reward, whether the trial has ended, and
            ``{"losses": the weighted cost of the step by term}``.

        Raises:
            TypeError: if ``state``, ``params`` or ``key`` are something else, or ``action`` is not
                numeric.
            ValueError: if ``action`` has the wrong shape, or ``state`` is of a trial with another
                delay.
        """
        checks.instance("state", state, ReachState)
        checks.instance("params", params, ReachParams)
        key_motor, key_sensory = jax.random.split(checks.key("key", key))
        plant, motor, sensory = params.plant, params.motor, params.sensory
        command = checks.numeric("action", action, state.force.shape)
        force = motor.force(key_motor, state.motor, command)
        next_state = ReachState(
            time=state.time + 1,
            trial=state.trial,
            plant=plant.step(state.plant, force, params.dt),
            force=force,
            sensory=sensory.push(state.sensory, plant.feedback(state.plant)),
            motor=motor.push(state.motor, command),
        )
        ended = self.is_terminated(next_state, params)
        fraction = fraction_passed(next_state, params)
        losses = params.loss(
            Transition(
                trial=state.trial,
                target=params.task.target(state.trial, fraction),
                before=plant.effector(state.plant),
                after=plant.effector(next_state.plant),
                command=command,
                force=force,
                previous_force=state.force,
                dt=jnp.asarray(params.dt),
                fraction=fraction,
                is_last=ended,
            )
        )
        reward = -sum(map(rounded, losses.values()), start=jnp.zeros_like(fraction))
        observation = self.observe(key_sensory, next_state, command, params)
        return observation, next_state, reward, ended, {"losses": losses}

    @partial(jax.jit, static_argnames="self")
    def step(
        self,
        key: PRNGKeyArray,
        state: ReachState,
        action: Float[Array, " action"],
        params: ReachParams | None = None,
    ) -> tuple[Observation, ReachState, Float[Array, ""], Bool[Array, ""], Bool[Array, ""], Any]:
        """``step_env``, and the start of a new trial if this one has ended.

        A new trial is drawn only if one of the environments that are stepped by the same ``vmap``
        has ended: drawing at every step, as gymnax does, takes most of the time of a step.

        Args:
            key, state, action, params: as of ``step_env``; without params, those of the original
                task.

        Returns:
            Observation, state, reward, whether the trial has ended by termination and by
            truncation, and in ``info`` also ``final_observation``, of the trial that was going on.
        """
        params = self.default_params if params is None else params
        last_obs, last_state, reward, terminated, info = self.step_env(
            jax.random.fold_in(key, 0), state, action, params
        )
        truncated = self.is_truncated(last_state, params)
        ended = terminated | truncated
        # A new trial does not depend on what happened before: no gradient passes.
        new_obs, new_state = _if_any(
            ended,
            lambda key, params: self.reset_env(jax.random.fold_in(key, 1), params),
            key,
            jax.lax.stop_gradient(params),
        )
        obs, state = jax.tree.map(
            lambda new, last: jax.lax.select(ended, new, last),
            (new_obs, new_state),
            (last_obs, last_state),
        )
        info = {
            **info,
            "terminated": terminated,
            "truncated": truncated,
            "final_observation": last_obs,
        }
        return obs, state, reward, terminated, truncated, info

    def observe(
        self,
        key: PRNGKeyArray,
        state: ReachState,
        action: Float[Array, " action"] | None,
        params: ReachParams,
    ) -> Observation:
        """What the agent is told and senses in ``state``; ``key`` is for the sensory noise."""
        checks.instance("state", state, ReachState)
        checks.instance("params", params, ReachParams)
        fraction = fraction_passed(state, params)
        feedback = params.plant.feedback(state.plant)
        parts = [
            params.task.cue(state.trial, fraction),
            params.sensory.sense(key, state.sensory, feedback),
        ]
        return jnp.concatenate(parts + [fraction[None]] * params.time_in_observation)

    def is_terminated(self, state: ReachState, params: ReachParams) -> Bool[Array, ""]:
        """Whether the trial has had all its steps."""
        return state.time >= params.max_steps_in_episode

    def is_truncated(self, state: ReachState, params: ReachParams) -> Bool[Array, ""]:
        """Never: the horizon is part of the task, so there is nothing to bootstrap past it."""
        return jnp.zeros((), bool)

    @property
    def num_actions(self) -> int:
        """How many numbers a command has by default."""
        return self.default_params.plant.action_size

    def action_space(self, params: ReachParams | None = None) -> spaces.Box:
        """Commands that the force limit leaves as they are [N]."""
        params = self.default_params if params is None else params
        checks.instance("params", params, ReachParams)
        limit = params.motor.max_force
        return spaces.Box(-limit, limit, (params.plant.action_size,), jnp.float32)

    def observation_space(self, params: ReachParams) -> spaces.Box:
        """Any real numbers: neither the plant nor the noise is bounded."""
        checks.instance("params", params, ReachParams)
        _, state = jax.eval_shape(self.reset_env, jax.random.key(0), params)
        observation = jax.eval_shape(self.observe, jax.random.key(0), state, None, params)
        return spaces.Box(-jnp.inf, jnp.inf, observation.shape, jnp.float32)


def _if_any(needed: Bool[Array, ""], function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function returns if it is needed, and zeros if not; under ``vmap``, if it is for any.

    ``jax.lax.cond`` alone would compute it always under ``vmap``. No gradient passes.
    """

    def either(needed: Any, function: Callable[..., Any], *arguments: Any) -> Any:
        shapes = jax.eval_shape(function, *arguments)
        zeros = jax.tree.map(lambda shape: jnp.zeros(shape.shape, shape.dtype), shapes)
        return jax.lax.cond(needed, function, lambda *_: zeros, *arguments)

    @custom_vmap
    def one(needed: Any, *arguments: Any) -> Any:
        return either(needed, function, *arguments)

    @one.def_vmap
    def many(size: int, batched: Any, needed: Any, *arguments: Any) -> Any:
        axes = jax.tree.map(lambda is_batched: 0 if is_batched else None, batched[1:])
        together = jax.vmap(function, in_axes=tuple(axes), axis_size=size)
        # A further vmap, if there is one, asks again whether it is for any.
        results = _if_any(jnp.any(needed), together, *arguments)
        return results, jax.tree.map(lambda _: True, results)

    return one(needed, *arguments)


def fraction_passed(state: ReachState, params: ReachParams) -> Float[Array, ""]:
    """How much of the trial has passed in ``state``, from 0 to 1."""
    return state.time.astype(float) / params.max_steps_in_episode
