"""Where a network comes to rest, or nearly so, while its input is held."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Complex, Float, Int, PRNGKeyArray
from scipy.optimize import least_squares

from agents.analysis.carries import act_quietly, flattened, in_double
from agents.analysis.epochs import check_one_network
from agents.optimum.experiment import double, enable_x64, exact
from fbx_env import ReachParams, Trajectory, Trial, checks
from fbx_env.measures import import_pandas
from fbx_env.parts.draws.drawing import with_drawn
from fbx_env.rollout import check_fit

if TYPE_CHECKING:
    import pandas

FIXED_SPEED = 1e-9
"""A point that moves by less than this in a step is fixed."""

PRECISION = 1e-15
"""Of the search: as far as float64 goes."""


@dataclass(frozen=True)
class FixedPoints:
    """Points in the space of a network's carry that stay, or nearly stay, while the input is held.

    Attributes:
        trial: from which the input of each point is, ``(points,)``.
        carry: the floats of the policy's carry, ``(points, floats)``.
        activity: of the units there, ``(points, units)``.
        command: of a step from there, ``(points, controls)``.
        speed: how far the carry moves in a step, ``(points,)``.
        is_fixed: whether it moves by less than 1e-9; the others are slow points, where the speed is
            least in their neighbourhood, ``(points,)``.
        eigenvalues: of the step there, the largest in magnitude first, ``(points, floats)``.
        n_starts: from how many starts each was found, ``(points,)``.
    """

    trial: Int[np.ndarray, " points"]
    carry: Float[np.ndarray, "points floats"]
    activity: Float[np.ndarray, "points units"]
    command: Float[np.ndarray, "points controls"]
    speed: Float[np.ndarray, " points"]
    is_fixed: Bool[np.ndarray, " points"]
    eigenvalues: Complex[np.ndarray, "points floats"]
    n_starts: Int[np.ndarray, " points"]

    @property
    def is_stable(self) -> Bool[np.ndarray, " points"]:
        """Whether small deviations fade at each point."""
        stable: Bool[np.ndarray, " points"] = np.abs(self.eigenvalues).max(axis=-1) < 1
        return stable

    def frame(self) -> pandas.DataFrame:
        """A row for each point, without its place.

        Returns:
            A frame with the columns ``trial``, ``is_fixed``, ``speed``, ``is_stable``,
            ``n_unstable`` (in how many dimensions deviations grow), ``largest_eigenvalue`` (its
            magnitude) and ``n_starts``.

        Raises:
            ImportError: if pandas is not installed.
        """
        magnitude = np.abs(self.eigenvalues)
        columns = {
            "trial": self.trial,
            "is_fixed": self.is_fixed,
            "speed": self.speed,
            "is_stable": self.is_stable,
            "n_unstable": np.sum(magnitude >= 1, axis=-1),
            "largest_eigenvalue": magnitude.max(axis=-1),
            "n_starts": self.n_starts,
        }
        return import_pandas().DataFrame(columns)


def fixed_points(
    policy: Any,
    params: ReachParams,
    trajectory: Trajectory,
    *,
    step: int = -1,
    n_starts: int = 30,
    spread: float = 0.1,
    distance: float = 1e-5,
    key: PRNGKeyArray,
) -> FixedPoints:
    """Find the fixed and slow points of a network for the input at one step of each trial.

    With the input held, the squared speed of the carry is minimised from many starts, in float64 by
    the Levenberg-Marquardt method of MINPACK, as Sussillo and Barak (2013) proposed. Starts are
    states that the network visits in these trials, moved by Gaussian noise. Points that are nearer
    to each other than ``distance`` are one, and a search that does not end well finds none.

    Args:
        policy: a network, and not replicates.
        params: the experiment, whose interventions at that step are held, too.
        trajectory: of this network: one trial, or several along a leading axis.
        step: whose observation is held; by default the last.
        n_starts: of each trial.
        spread: standard deviation of the noise by which starts are moved, as a share of that of all
            numbers of the visited states.
        distance: below which two points are one.
        key: of the starts.

    Raises:
        TypeError: for arguments of the wrong kind.
        ValueError: if the policy has no memory of floats alone, or does not fit the experiment; the
            trajectory is of another one, or of several networks; there is no such step; or a number
            is out of range.

    Example:
        >>> points = fixed_points(policy, params, trajectory, key=jax.random.key(0))
        >>> points.frame().groupby("trial").is_stable.sum()
    """
    check_one_network(trajectory, params)
    recorded = _recorded(trajectory, params)
    observations = recorded.observations
    check_fit(policy, params, jnp.zeros(observations.shape[-1]))
    checks.whole("n_starts", n_starts, at_least=1)
    spread = checks.number("spread", spread, at_least=0)
    distance = checks.number("distance", distance, above=0)
    n_trials, n_steps = observations.shape[:2]
    step = checks.whole("step", step, at_least=-n_steps, at_most=n_steps - 1) % n_steps
    _check_memory(policy)
    with enable_x64(True):
        policy = in_double(policy)
        params = jax.tree.map(exact, params)
        visited = np.asarray(_visited(policy, params, recorded))
        states = visited.reshape(n_trials * n_steps, -1)
        key_choice, key_noise = jax.random.split(checks.key("key", key))
        shape = (n_trials, n_starts)
        chosen = np.asarray(jax.random.randint(key_choice, shape, 0, len(states)))
        noise = np.asarray(jax.random.normal(key_noise, (*shape, states.shape[-1])))
        starts = states[chosen] + spread * states.std() * noise
        found = []
        for trial in range(n_trials):
            one = jax.tree.map(lambda leaf, trial=trial: leaf[trial], recorded)
            held = _Held(policy, params, one.observations[step], one.trial, one.drawn, step)
            found.append(_points_of(held, trial, starts[trial], distance))
    return FixedPoints(*map(np.concatenate, zip(*found, strict=True)))


class _Held(NamedTuple):
    """A network at a step of a trial, whose observation is held."""

    policy: Any
    params: ReachParams
    obs: Any
    trial: Trial
    drawn: Any
    step: int

    def step_from(
        self, carry: Float[Array | np.ndarray, " floats"]
    ) -> tuple[Float[Array, " command"], Any]:
        """Command and next carry from some floats of the carry."""
        obs, trial, drawn = map(_arrays, (self.obs, self.trial, self.drawn))
        params = with_drawn(self.params, drawn)
        before = flattened(self.policy.initial_carry())[1](jnp.asarray(carry))
        clock = params.clock(jnp.int32(self.step), trial)
        return act_quietly(self.policy, params, obs, before, clock)


class _Recorded(NamedTuple):
    """The trials of a network and its observations in them, along a leading axis or of one."""

    observations: Any
    trial: Trial
    drawn: tuple[Any, ...]


def _recorded(trajectory: Trajectory, params: ReachParams) -> _Recorded:
    if trajectory.obs.size == 0:
        raise ValueError("trajectory must have trials, got none")
    drawn = tuple(trajectory.drawn[draw.number] for draw in params.draws)
    recorded = _Recorded(trajectory.obs, trajectory.trial, drawn)
    several: _Recorded = jax.tree.map(
        lambda leaf: double(leaf)[... if trajectory.obs.ndim > 2 else None], recorded
    )
    return several


def _check_memory(policy: Any) -> None:
    """Raise ``ValueError`` for a policy that does not remember floats, and nothing else."""
    kind, carry = type(policy).__name__, policy.initial_carry()
    leaves = jax.tree.leaves(carry)
    if not all(jnp.issubdtype(jnp.result_type(leaf), jnp.floating) for leaf in leaves):
        raise ValueError(f"policy must remember floats alone to come to rest, {kind} counts steps")
    if not flattened(carry)[0].size:
        raise ValueError(f"policy must remember something, {kind} remembers nothing")


def _points_of(
    held: _Held, trial: int, starts: Float[np.ndarray, "starts floats"], distance: float
) -> tuple[np.ndarray, ...]:
    """The fields of ``FixedPoints`` for one input."""
    if not np.asarray(_slope(held, starts[0]) + np.eye(starts.shape[1])).any():
        raise ValueError("policy must remember something, its steps do not depend on its carry")
    ends: list[Float[np.ndarray, " floats"]] = []
    n_found: list[int] = []
    for start in starts:
        search = least_squares(
            lambda carry: np.asarray(_moves(held, carry)),
            start,
            lambda carry: np.asarray(_slope(held, carry)),
            method="lm",
            **dict.fromkeys(("xtol", "ftol", "gtol"), PRECISION),
        )
        if search.status <= 0:
            continue
        near = [at for at, end in enumerate(ends) if np.linalg.norm(search.x - end) < distance]
        if near:
            n_found[near[0]] += 1
        else:
            ends.append(search.x)
            n_found.append(1)
    carry = np.stack(ends) if ends else np.zeros((0, starts.shape[1]))
    speed = np.array([np.linalg.norm(_moves(held, end)) for end in ends])
    slopes = np.array([np.asarray(_slope(held, end)) for end in ends])
    values = np.linalg.eigvals(slopes.reshape(-1, *2 * starts.shape[1:]) + np.eye(starts.shape[1]))
    order = np.argsort(-np.abs(values), axis=-1, kind="stable")
    command, activity = _outcome(held, carry)
    return (
        np.full(len(ends), trial),
        carry,
        np.asarray(activity),
        np.asarray(command),
        speed,
        speed < FIXED_SPEED,
        np.take_along_axis(values.astype(complex), order, axis=-1),
        np.array(n_found, int),
    )


@eqx.filter_jit
def _visited(
    policy: Any, params: ReachParams, recorded: _Recorded
) -> Float[Array, "trials steps floats"]:
    """The floats of the carry after each observation."""

    def one(observations: Any, trial: Trial, drawn: Any) -> Float[Array, "steps floats"]:
        own = with_drawn(params, drawn)

        def step(carry: Any, now: Any) -> Any:
            time, obs = now
            _, carry = act_quietly(policy, own, obs, carry, own.clock(time, trial))
            return carry, flattened(carry)[0]

        times = jnp.arange(len(observations), dtype=jnp.int32)
        states: Float[Array, "steps floats"]
        _, states = jax.lax.scan(step, policy.initial_carry(), (times, observations))
        return states

    visited: Float[Array, "trials steps floats"] = jax.vmap(one)(*map(_arrays, recorded))
    return visited


def _arrays(tree: Any) -> Any:
    return jax.tree.map(jnp.asarray, tree)


@eqx.filter_jit
def _moves(held: _Held, carry: Float[Array | np.ndarray, " floats"]) -> Float[Array, " floats"]:
    """How far the carry moves in a step."""
    moves: Float[Array, " floats"] = flattened(held.step_from(carry)[1])[0] - carry
    return moves


@eqx.filter_jit
def _slope(
    held: _Held, carry: Float[Array | np.ndarray, " floats"]
) -> Float[Array, "floats floats"]:
    slope: Float[Array, "floats floats"] = jax.jacfwd(partial(_moves, held))(jnp.asarray(carry))
    return slope


@eqx.filter_jit
def _outcome(
    held: _Held, carries: Float[Array | np.ndarray, "points floats"]
) -> tuple[Float[Array, "points controls"], Float[Array, "points units"]]:
    """The commands of a step from some points, and the activity there."""
    unflatten = flattened(held.policy.initial_carry())[1]

    def one(vector: Float[Array, " floats"]) -> Any:
        return held.step_from(vector)[0], held.policy.activity(unflatten(vector))

    outcome: tuple[Float[Array, "points controls"], Float[Array, "points units"]]
    outcome = jax.vmap(one)(jnp.asarray(carries))
    return outcome
