"""An experiment as functions of vectors, in float64: the environment's step and its derivatives."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.experimental
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from agents.optimum.normals import count_normals, with_normals
from fbx_env import ReachEnv, ReachParams, ReachState, Trial
from fbx_env.parts.draws.drawing import with_drawn
from fbx_env.parts.plants.plant import control_bounds

# It moved with jax 0.8.
enable_x64: Any = vars(jax).get("enable_x64", vars(jax.experimental).get("enable_x64"))

CHUNK = 1024
"""How many points are evaluated at once, so that one compilation serves any number of them."""

Indices = Int[np.ndarray, " _"]
Vectors = Float[np.ndarray, "_ _"]


class Outcome(NamedTuple):
    """The outcome of a step from several points."""

    state: Float[np.ndarray, "items states"]
    observation: Float[np.ndarray, "items observation"]
    """Before the step."""
    losses: Float[np.ndarray, "items terms"]


class Moved(NamedTuple):
    """The same, and its change along a direction."""

    state: Float[np.ndarray, "items states"]
    observation: Float[np.ndarray, "items observation"]
    losses: Float[np.ndarray, "items terms"]
    state_change: Float[np.ndarray, "items states"]
    observation_change: Float[np.ndarray, "items observation"]
    gradient: Float[np.ndarray, "items point"]
    """Of the loss, with respect to the point."""
    gradient_change: Float[np.ndarray, "items point"]


class Experiment:
    """The environment's step as a function of trial, step, point and noise, on NumPy arrays.

    A point is a state, and then a command. A state has all floats of the environment's state, the
    plant's first, but for those that stay as they are in a trial: what was drawn and, unless it is
    asked for, the trial. Noise is given by standard normal numbers.

    Args:
        params: the experiment; float32 numbers are taken as the decimals that were meant.
        trials: several along a leading axis.
        drawn: the numbers drawn for each trial, in the order of ``params.draws``.
        trial_in_state: whether the floats of a trial are part of the state.
    """

    def __init__(
        self,
        params: ReachParams,
        trials: Trial,
        drawn: tuple[Any, ...] = (),
        *,
        trial_in_state: bool = False,
    ) -> None:
        self.params = jax.tree.map(exact, params)
        self.context = jax.tree.map(double, (trials, drawn))
        self.n_trials, self.n_steps = len(trials.start), params.max_steps_in_episode
        self.trial_in_state, self.terms = trial_in_state, params.loss.names
        with enable_x64(True):
            one = jax.tree.map(lambda leaf: leaf[0], self.context)
            self.n_start_normals, at_start = count_normals(start_of_trial, self.params, *one)
            shapes = jax.eval_shape(start_of_trial, self.params, *one)
            self.like = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)
            self.low, self.high = map(np.asarray, control_bounds(self.params.plant))
            leaves, fields = jax.tree.leaves(shapes), variable(self.trial_in_state, shapes)
            self.fields = np.repeat([*fields.values()], [leaves[index].size for index in fields])
            self.n_states, self.n_controls = len(self.fields), len(self.low)
            self.parts_with_others = _parts_with_others(shapes)
            arguments = (self.params, self.like, *one, np.int32(0))
            point = np.concatenate([np.zeros(self.n_states), self.resting_command])
            step = partial(step_of_vector, self.trial_in_state)
            self.n_normals, in_steps = count_normals(step, *arguments, point)
            self.draws_others = at_start or in_steps

    def with_context(self, context: Any) -> Experiment:
        """The same experiment with other trials and drawn numbers."""
        other = copy.copy(self)
        other.context, other.n_trials = context, len(jax.tree.leaves(context)[0])
        return other

    @property
    def resting_command(self) -> Float[np.ndarray, " controls"]:
        """Zero, or what is near to it and within the bounds."""
        inside = np.minimum((self.high - self.low) / 2, 1.0)
        return np.asarray(np.clip(0.0, self.low + inside, self.high - inside))

    def example(self, trial: int, time: int) -> tuple[ReachParams, ReachState]:
        """Params with what was drawn for a trial, and the environment's state at its start."""
        one, drawn = jax.tree.map(lambda leaf: jnp.asarray(leaf[trial]), self.context)
        state = start_of_trial(self.params, one, drawn)
        return with_drawn(self.params, drawn), state.replace(time=jnp.int32(time))

    def start(
        self,
        trial: Int[np.ndarray, " items"],
        normals: Float[np.ndarray, "#items normals"] | None = None,
    ) -> Float[np.ndarray, "items states"]:
        """The states at the start of some of the trials, with noise of each or of all."""
        normals = np.zeros((1, self.n_start_normals)) if normals is None else normals
        starts = self._evaluate(_starts, (self.trial_in_state, self.params), trial, normals)[0]
        return np.asarray(starts)

    def outcome(
        self,
        trial: Int[np.ndarray, " items"],
        time: Int[np.ndarray, " items"],
        point: Float[np.ndarray, "#items point"],
        normals: Float[np.ndarray, "#items normals"],
    ) -> Outcome:
        """Take a step from each point, without derivatives: compiled in a tenth of the time."""
        fixed = (self.trial_in_state, self.params, self.like)
        return Outcome(*self._evaluate(_outcomes, fixed, trial, time, point, normals))

    def step(
        self,
        trial: Int[np.ndarray, " items"],
        time: Int[np.ndarray, " items"],
        point: Float[np.ndarray, "#items point"],
        *,
        direction: Float[np.ndarray, "#items point"] | None = None,
        normals: Float[np.ndarray, "#items normals"] | None = None,
        weights: Float[np.ndarray, " terms"] | None = None,
    ) -> Moved:
        """Take a step from each point.

        Points, directions and noise are given for each item, or once for all.

        Args:
            trial: of each, as an index.
            time: steps taken before.
            point: state and command.
            direction: along which changes are given.
            normals: noise; without it, there is none.
            weights: of the terms in the loss whose gradient is given, by default 1.
        """
        direction = np.zeros_like(point[:1]) if direction is None else direction
        normals = np.zeros((1, self.n_normals)) if normals is None else normals
        weights = np.ones(len(self.terms)) if weights is None else weights
        fixed = (self.trial_in_state, self.params, self.like, weights)
        return Moved(*self._evaluate(_steps, fixed, trial, time, point, direction, normals))

    def _evaluate(
        self, function: Callable[..., Any], fixed: Any, trial: Indices, *items: Any
    ) -> list[Any]:
        """Call a vectorised function on chunks of all items."""
        results = []
        for begin in range(0, len(trial), CHUNK):
            size = min(CHUNK, len(trial) - begin)
            take = np.minimum(np.arange(begin, begin + CHUNK), len(trial) - 1)
            context = jax.tree.map(lambda leaf, take=take: leaf[trial[take]], self.context)
            chunk = [np.broadcast_to(item, (len(trial), *item.shape[1:]))[take] for item in items]
            with enable_x64(True):
                result = function(*fixed, *context, *chunk)
            results.append([np.asarray(part)[:size] for part in result])
        return [np.concatenate(parts) for parts in zip(*results, strict=True)]


def exact(number: Any) -> Any:
    """The decimal numbers that were meant by float32: 0.05, and not 0.05000000074505806."""
    array = np.asarray(number)
    if array.dtype != np.float32:
        return double(array)
    return np.array([float(str(one)) for one in array.ravel()]).reshape(array.shape)


def double(number: Any) -> np.ndarray:
    array = np.asarray(number)
    return array.astype(np.float64) if jnp.issubdtype(array.dtype, jnp.floating) else array


def variable(free: bool, state: ReachState) -> dict[int, str]:
    """The leaves of the environment's state that are a state here, and their fields."""
    leaves = jax.tree_util.tree_leaves_with_path(state)
    fields = [path[0].name for path, _ in leaves]
    fixed = ("time", "drawn") if free else ("time", "drawn", "trial")
    is_float = [jnp.issubdtype(leaf.dtype, jnp.floating) for _, leaf in leaves]
    return {
        index: field for index, field in enumerate(fields) if field not in fixed and is_float[index]
    }


def _parts_with_others(state: ReachState) -> list[str]:
    """The parts whose state has something that is not a float, which no derivative reaches."""
    parts = {"plant": state.plant, "motor channel": state.motor, "senses": state.senses}
    return [
        name
        for name, part in parts.items()
        if not all(jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in jax.tree.leaves(part))
    ]


def vector_of(free: bool, state: ReachState) -> Float[Array, " states"]:
    leaves = jax.tree.leaves(state)
    return jnp.concatenate([leaves[index].ravel() for index in variable(free, state)])


def filled(free: bool, state: ReachState, vector: Float[Array, " states"]) -> ReachState:
    """The environment's state with other numbers where it varies."""
    leaves, structure = jax.tree.flatten(state)
    for index in variable(free, state):
        size, shape = leaves[index].size, leaves[index].shape
        leaves[index], vector = vector[:size].reshape(shape), vector[size:]
    other: ReachState = jax.tree.unflatten(structure, leaves)
    return other


def known_key() -> PRNGKeyArray:
    """A key that is known also while JAX traces."""
    with jax.ensure_compile_time_eval():
        return jax.random.key(0)


def start_of_trial(params: ReachParams, trial: Trial, drawn: Any) -> ReachState:
    """The environment's state at the start of a trial for which numbers are drawn already."""
    own = with_drawn(params, drawn).replace(draws=())
    return ReachEnv().reset_trial(known_key(), trial, own)[1].replace(drawn=drawn)


def step_of_vector(
    free: bool,
    params: ReachParams,
    like: ReachState,
    trial: Trial,
    drawn: Any,
    time: Int[Array, ""],
    point: Float[Array, " point"],
) -> tuple[Float[Array, " states"], Float[Array, " observation"], Float[Array, " terms"]]:
    """State after a step, observation before it, and its losses."""
    n_states = point.size - like.control.size
    known = like.replace(trial=trial, drawn=drawn, time=time)
    state = filled(free, known, point[:n_states])
    env, key = ReachEnv(), known_key()
    observation = env.observe(key, state, None, params)
    after, transition = env.transition(key, state, point[n_states:], params)
    losses = with_drawn(params, drawn).loss(transition)
    return vector_of(free, after), observation, jnp.stack(list(losses.values()))


@partial(jax.jit, static_argnums=0)
def _starts(
    free: bool,
    params: ReachParams,
    trials: Trial,
    drawn: Any,
    normals: Float[Array, "items normals"],
) -> tuple[Float[Array, "items states"]]:
    def one(trial: Trial, drawn: Any, normals: Float[Array, " normals"]) -> Any:
        state = with_normals(start_of_trial, normals, params, trial, drawn)
        return vector_of(free, state)

    return (jax.vmap(one)(trials, drawn, normals),)


@partial(jax.jit, static_argnums=0)
def _outcomes(free: bool, params: ReachParams, like: ReachState, *items: Any) -> Any:
    """``Outcome`` for each trial, drawn numbers, time, point and normals."""

    def one(trial: Any, drawn: Any, time: Any, point: Any, normals: Any) -> Any:
        step = partial(step_of_vector, free)
        return with_normals(step, normals, params, like, trial, drawn, time, point)

    return jax.vmap(one)(*items)


@partial(jax.jit, static_argnums=0)
def _steps(
    free: bool,
    params: ReachParams,
    like: ReachState,
    weights: Float[Array, " terms"],
    *items: Any,
) -> Any:
    """``Moved`` for each trial, drawn numbers, time, point, direction and normals."""

    def one(trial: Any, drawn: Any, time: Any, point: Any, direction: Any, normals: Any) -> Moved:
        fixed = (params, like, trial, drawn, time)

        def step(point: Float[Array, " point"]) -> Any:
            return with_normals(partial(step_of_vector, free), normals, *fixed, point)

        def gradient(point: Float[Array, " point"]) -> Float[Array, " point"]:
            slope: Array = jax.grad(lambda point: weights @ step(point)[2])(point)
            return slope

        values, changes = jax.jvp(step, (point,), (direction,))
        return Moved(*values, *changes[:2], *jax.jvp(gradient, (point,), (direction,)))

    return jax.vmap(one)(*items)
