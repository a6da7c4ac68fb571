"""The reaching environment: wires the parts of an experiment into a gymnax environment."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from gymnax.environments import environment, spaces
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from fbx_env import checks
from fbx_env.conditional import if_any
from fbx_env.params import ReachParams
from fbx_env.parts.channels.channel import Signal
from fbx_env.parts.clock import Clock
from fbx_env.parts.component import Component, Count
from fbx_env.parts.draws.drawing import draw, draw_trial, with_drawn
from fbx_env.parts.loads.load import external_force
from fbx_env.parts.losses.loss import rounded
from fbx_env.parts.losses.transition import Transition
from fbx_env.parts.plants.clip import clip
from fbx_env.parts.plants.plant import MODALITIES, control_bounds
from fbx_env.parts.tasks.trial import Trial
from fbx_env.reach import check_trials
from fbx_env.senses import flat_feedback, sense, sensory_channels
from fbx_env.state_space import space_of

Observation = Float[Array, " observation"]


class ReachState(Component, environment.EnvState):  # type: ignore[misc]
    """The state of one trial between two steps.

    Attributes:
        time: steps taken so far, a whole number.
        trial: what this trial asks for.
        plant: the plant's state; for a point mass its position [m] and velocity [m/s].
        control: what acted during the last step, in the units of the command; zero at first.
        motor: the state of the motor channel.
        senses: the states of the sensory channels, by modality.
        sensed: what the agent senses, by modality.
        drawn: the numbers drawn for this trial, in the order of ``params.draws``.
        can_succeed: whether the trial has met the task's rule of success so far.
    """

    time: Count
    trial: Trial
    plant: Any
    control: Float[Array, "*trials controls"]
    motor: Any
    senses: dict[str, Any]
    sensed: dict[str, Float[Array, "*trials _"]]
    drawn: tuple[Float[Array, "..."], ...]
    can_succeed: Bool[Array, "*trials"]

    def __check_init__(self) -> None:
        self._assign(time=checks.steps("time", self.time))


class ReachEnv(environment.Environment[ReachState, ReachParams]):  # type: ignore[misc]
    """Reach a goal on the plane by commanding a plant, at the least cost.

    A differentiable gymnax environment. It has no numbers of its own: all are in ``ReachParams``,
    and equal instances share one compilation.

    Observation: what the task shows (for reaches the goal's position [m] and velocity [m/s]), what
    the plant's senses tell (for the point mass position [m] and velocity [m/s]), told draws, and if
    the params ask for it the progress of the trial; ``observation_layout`` says what is where.
    Action: the command, a number for each of the plant's ``controls`` (for the point mass a force
    along each axis [N]). Reward: minus the loss of the step; ``info["losses"]`` holds the loss by
    term, ``info["is_success"]`` whether the trial has ended as the task asks for. A trial ends
    after ``max_steps_in_episode`` steps; as the horizon is part of the task, the end is a
    termination and never a truncation.

    Use ``step_env`` in a ``jax.lax.scan`` (or ``fbx_env.rollout``) to differentiate through whole
    trials; ``step`` starts a new trial at the end of each, which no gradient passes.

    Args:
        make_params: makes the params that are used where none are given.

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

    def __init__(self, make_params: Callable[[], ReachParams] = ReachParams) -> None:
        self._make_params = make_params

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self._make_params is other._make_params

    def __hash__(self) -> int:
        return hash((type(self), self._make_params))

    def __repr__(self) -> str:
        return f"{self.name}()"

    @property
    def default_params(self) -> ReachParams:
        """The params that are used where none are given."""
        # Also where a caller is being compiled, as ``reset`` without params.
        with jax.ensure_compile_time_eval():
            return self._make_params()

    def reset_env(self, key: PRNGKeyArray, params: ReachParams) -> tuple[Observation, ReachState]:
        """Start a trial drawn from the task."""
        checks.instance("params", params, ReachParams)
        return self.reset_trial(*draw_trial(checks.key("key", key), params), params)

    def reset_trial(
        self, key: PRNGKeyArray, trial: Trial, params: ReachParams
    ) -> tuple[Observation, ReachState]:
        """Start a given trial.

        Args:
            key: for the sensory noise of the first observation, and for what is drawn.
            trial: one trial, without a leading axis.
            params: the experiment.

        Raises:
            TypeError: if ``trial`` is not a ``Trial``, ``params`` are not ``ReachParams``, or
                ``key`` is no key.
            ValueError: if ``trial`` or a number of the params has a leading axis, such a number is
                out of range, start or goal are out of the plant's reach, or the epochs are longer
                than a trial.
        """
        checks.instance("params", params, ReachParams).checked()
        checks.instance("trial", trial, Trial)
        checks.key("key", key)
        if jnp.ndim(trial.start) != 1:
            raise ValueError(
                "trial must be one trial, use jax.vmap for several; got start of shape "
                f"{trial.start.shape}"
            )
        drawn = draw(key, params)
        params = with_drawn(params, drawn)
        check_trials(params, trial)
        plant = params.plant.init(jnp.asarray(trial.start))
        feedback = flat_feedback(params.plant, plant)
        channels = sensory_channels(params, feedback)
        senses = {name: channel.init(feedback[name]) for name, channel in channels.items()}
        nothing = jnp.zeros(len(params.plant.controls))
        clock = params.clock(jnp.zeros((), jnp.int32), trial)
        sensed, senses = sense(key, channels, senses, feedback, clock)
        state = ReachState(
            time=clock.step,
            trial=trial,
            plant=plant,
            control=nothing,
            motor=params.motor.init(nothing),
            senses=senses,
            sensed=sensed,
            drawn=drawn,
            can_succeed=jnp.ones((), bool),
        )
        return self.observe(key, state, None, params), state

    def transition(
        self,
        key: PRNGKeyArray,
        state: ReachState,
        action: Float[Array, " controls"],
        params: ReachParams,
    ) -> tuple[ReachState, Transition]:
        """Move the plant one step on, and say all that loss terms may ask about it.

        Arguments and errors are as of ``step_env``.
        """
        checks.instance("state", state, ReachState)
        params = with_drawn(checks.instance("params", params, ReachParams), state.drawn)
        key_motor, key_sensory = jax.random.split(checks.key("key", key))
        plant, task, trial, dt = params.plant, params.task, state.trial, jnp.asarray(params.dt)
        now = clock_of(state, params)
        clock = now.replace(step=now.step + 1)
        command = checks.numeric("action", action, state.control.shape)
        low, high = control_bounds(plant)
        control, motor = params.motor.step(key_motor, state.motor, clip(command, low, high), now)

        load = external_force(params.loads, trial, now)
        plant_after = plant.step(state.plant, control, load, dt)
        feedback = flat_feedback(plant, plant_after)
        channels = sensory_channels(params, feedback)
        sensed, senses = sense(key_sensory, channels, state.senses, feedback, clock)
        before, after = plant.effector(state.plant), plant.effector(plant_after)
        next_state = state.replace(
            time=clock.step,
            plant=plant_after,
            control=control,
            motor=motor,
            senses=senses,
            sensed=sensed,
            can_succeed=state.can_succeed & params.permits(after, trial, clock),
        )
        return next_state, Transition(
            trial=trial,
            target=task.target(trial, clock),
            before=before,
            after=after,
            plant_before=state.plant,
            plant_after=plant_after,
            command=command,
            control=control,
            previous_control=state.control,
            load=load(before),
            clock=clock,
            epoch=clock.epoch,
        )

    def step_env(
        self,
        key: PRNGKeyArray,
        state: ReachState,
        action: Float[Array, " controls"],
        params: ReachParams,
    ) -> tuple[Observation, ReachState, Float[Array, ""], Bool[Array, ""], dict[str, Any]]:
        """Move the plant one step on; differentiable, and without starting a new trial.

        Args:
            key: for motor and sensory noise.
            state: before the step.
            action: the command, of any size. It acts clipped to the bounds of the plant's controls;
                its cost is of the unclipped command.
            params: the experiment.

        Returns:
            Observation, state, reward, whether the trial has ended, and
            ``{"losses": the weighted cost of the step by term, "discount": 0 at the end, else 1,
            "is_success": whether the trial has ended, as the task asks for}``.

        Raises:
            TypeError: if ``state``, ``params`` or ``key`` are something else, or ``action`` is not
                numeric.
            ValueError: if ``action`` has the wrong shape, or ``state`` is of a trial with another
                delay.
        """
        next_state, transition = self.transition(key, state, action, params)
        losses = with_drawn(params, state.drawn).loss(transition)
        ended = self.is_terminated(next_state, params)
        observation = self.observe(key, next_state, action, params)
        discount, is_success = 1.0 - ended.astype(float), ended & next_state.can_succeed
        info = {"losses": losses, "discount": discount, "is_success": is_success}
        return observation, next_state, reward_of(losses), ended, info

    @partial(jax.jit, static_argnames="self")
    def step(
        self,
        key: PRNGKeyArray,
        state: ReachState,
        action: Float[Array, " controls"],
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
        checks.key("key", key)
        last_obs, last_state, reward, terminated, info = self.step_env(
            jax.random.fold_in(key, 0), state, action, params
        )
        truncated = self.is_truncated(last_state, params)
        ended = terminated | truncated
        # A new trial does not depend on what happened before: no gradient passes.
        new_obs, new_state = if_any(
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
        action: Float[Array, " controls"] | None,
        params: ReachParams,
    ) -> Observation:
        """The observation in ``state``; noise is in what was sensed, so no key is used."""
        checks.instance("state", state, ReachState)
        checks.instance("params", params, ReachParams)
        return jnp.concatenate(list(self._observed(state, params).values()))

    def _observed(self, state: ReachState, params: ReachParams) -> dict[str, Signal]:
        """The parts of an observation; what is sensed is in one for each modality."""
        params = with_drawn(params, state.drawn)
        clock = clock_of(state, params)
        told = {
            draw.number: value.ravel()
            for draw, value in zip(params.draws, state.drawn, strict=True)
            if draw.told
        }
        return {
            **params.task.cue(state.trial, clock),
            **{name: state.sensed[name] for name in MODALITIES if name in state.sensed},
            **told,
            **({"time": clock.progress[None]} if params.time_in_observation else {}),
        }

    def observation_layout(self, params: ReachParams) -> dict[str, slice]:
        """Where in an observation to find what, by name.

        Names are those of the task's cues, such as ``goal_position``, of each modality's
        quantities, such as ``vision_velocity``, of told draws, such as ``plant.mass``, and
        ``time``.

        Example:
            >>> ReachEnv().observation_layout(ReachParams())["vision_position"]
            slice(4, 6, None)
        """
        sizes: dict[str, int] = {}

        def note(key: PRNGKeyArray, params: ReachParams) -> None:
            _, state = self.reset_env(key, params)
            feedback = params.plant.feedback(state.plant)
            for name, values in self._observed(state, params).items():
                if name in MODALITIES:
                    parts = feedback[name].items()
                    sizes.update({f"{name}_{part}": value.size for part, value in parts})
                else:
                    sizes[name] = values.size

        jax.eval_shape(note, jax.random.key(0), checks.instance("params", params, ReachParams))
        ends = jnp.cumsum(jnp.array(list(sizes.values()))).tolist()
        return {name: slice(end - sizes[name], end) for name, end in zip(sizes, ends, strict=True)}

    def is_terminated(self, state: ReachState, params: ReachParams) -> Bool[Array, ""]:
        """Whether the trial has had all its steps."""
        return state.time >= params.max_steps_in_episode

    def is_truncated(self, state: ReachState, params: ReachParams) -> Bool[Array, ""]:
        """Never: the horizon is part of the task, so there is nothing to bootstrap past it."""
        return jnp.zeros((), bool)

    @property
    def num_actions(self) -> int:
        """How many numbers a command has by default."""
        return len(self.default_params.plant.controls)

    def action_space(self, params: ReachParams | None = None) -> spaces.Box:
        """Commands that are not clipped, in the units of the plant's controls."""
        params = self.default_params if params is None else params
        low, high = control_bounds(checks.instance("params", params, ReachParams).plant)
        return spaces.Box(low, high, low.shape, jnp.float32)

    def observation_space(self, params: ReachParams | None = None) -> spaces.Box:
        """Any real numbers: neither the plant nor the noise is bounded."""
        params = self.default_params if params is None else params
        checks.instance("params", params, ReachParams)
        shapes = jax.eval_shape(self.reset_env, jax.random.key(0), params)
        return spaces.Box(-jnp.inf, jnp.inf, shapes[0].shape, jnp.float32)

    def state_space(self, params: ReachParams | None = None) -> spaces.Dict:
        """Any numbers, for the arrays of the state that are in dataclasses."""
        params = self.default_params if params is None else params
        checks.instance("params", params, ReachParams)
        _, state = jax.eval_shape(self.reset_env, jax.random.key(0), params)
        return space_of(state)


def clock_of(state: ReachState, params: ReachParams) -> Clock:
    """The clock in a state."""
    return params.clock(state.time, state.trial)


def reward_of(losses: dict[str, Float[Array, ""]]) -> Float[Array, ""]:
    """Minus the sum of the terms, to the same bit in every program it is compiled into."""
    return -sum(map(rounded, losses.values()), start=jnp.zeros(()))
