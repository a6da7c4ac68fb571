"""Where a network comes to rest, or nearly so, while its input is held."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Complex, Float, Int, PRNGKeyArray
from scipy.optimize import least_squares

from agents.analysis.carries import flattened, in_double, quiet_step, visited
from agents.optimum.experiment import enable_x64
from fbx_env import Trajectory, checks
from fbx_env.measures import import_pandas
from fbx_env.rollout import check_policy

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
    to each other than ``distance`` are one.

    Args:
        policy: a network, and not replicates.
        trajectory: of this network: one trial, or several along a leading axis.
        step: whose observation is held; by default the last.
        n_starts: of each trial.
        spread: standard deviation of the noise by which starts are moved, as a share of that of the
            visited states.
        distance: below which two points are one.
        key: of the starts.

    Raises:
        TypeError: for arguments of the wrong kind.
        ValueError: if the policy remembers nothing, or does not take these observations; there is
            no such step; or a number is out of range.

    Example:
        >>> points = fixed_points(policy, trajectory, key=jax.random.key(0))
        >>> points.frame().groupby("trial").is_stable.sum()
    """
    check_policy(policy)
    checks.instance("trajectory", trajectory, Trajectory)
    checks.whole("n_starts", n_starts, at_least=1)
    spread = checks.number("spread", spread, at_least=0)
    distance = checks.number("distance", distance, above=0)
    observations = np.asarray(trajectory.obs, float)
    observations = observations.reshape(-1, *observations.shape[-2:])
    n_trials, n_steps = observations.shape[:2]
    checks.whole("step", step, at_least=-n_steps, at_most=n_steps - 1)
    with enable_x64(True):
        policy = in_double(policy)
        if not flattened(policy.initial_carry())[0].size:
            raise ValueError(f"policy must remember something, got {type(policy).__name__}")
        states = np.asarray(visited(policy, observations)).reshape(n_trials * n_steps, -1)
        key_choice, key_noise = jax.random.split(checks.key("key", key))
        shape = (n_trials, n_starts)
        chosen = np.asarray(jax.random.randint(key_choice, shape, 0, len(states)))
        noise = np.asarray(jax.random.normal(key_noise, (*shape, states.shape[-1])))
        starts = states[chosen] + spread * states.std() * noise
        found = [
            _points_of(policy, trial, observations[trial, step], starts[trial], distance)
            for trial in range(n_trials)
        ]
    return FixedPoints(*map(np.concatenate, zip(*found, strict=True)))


def _points_of(
    policy: Any,
    trial: int,
    obs: Float[np.ndarray, " observation"],
    starts: Float[np.ndarray, "starts floats"],
    distance: float,
) -> tuple[np.ndarray, ...]:
    """The fields of ``FixedPoints`` for one input."""
    moves, slope = partial(_moves, policy, obs), partial(_slope, policy, obs)
    ends: list[Float[np.ndarray, " floats"]] = []
    n_found: list[int] = []
    for start in starts:
        search = least_squares(
            lambda carry: np.asarray(moves(carry)),
            start,
            lambda carry: np.asarray(slope(carry)),
            method="lm",
            **dict.fromkeys(("xtol", "ftol", "gtol"), PRECISION),
        )
        near = [at for at, end in enumerate(ends) if np.linalg.norm(search.x - end) < distance]
        if near:
            n_found[near[0]] += 1
        else:
            ends.append(search.x)
            n_found.append(1)
    carry = np.stack(ends)
    speed = np.linalg.norm([np.asarray(moves(end)) for end in ends], axis=-1)
    values = np.linalg.eigvals([np.asarray(slope(end)) + np.eye(end.size) for end in ends])
    order = np.argsort(-np.abs(values), axis=-1, kind="stable")
    command, activity = _outcome(policy, obs, carry)
    return (
        np.full(len(ends), trial),
        carry,
        np.asarray(activity),
        np.asarray(command),
        speed,
        speed < FIXED_SPEED,
        np.take_along_axis(values.astype(complex), order, axis=-1),
        np.array(n_found),
    )


@eqx.filter_jit
def _moves(
    policy: Any,
    obs: Float[np.ndarray, " observation"],
    carry: Float[Array | np.ndarray, " floats"],
) -> Float[Array, " floats"]:
    """How far the carry moves in a step."""
    unflatten = flattened(policy.initial_carry())[1]
    after = flattened(quiet_step(policy, jnp.asarray(obs), unflatten(jnp.asarray(carry)))[1])[0]
    return after - carry


@eqx.filter_jit
def _slope(
    policy: Any, obs: Float[np.ndarray, " observation"], carry: Float[np.ndarray, " floats"]
) -> Float[Array, "floats floats"]:
    slope: Float[Array, "floats floats"] = jax.jacfwd(partial(_moves, policy, obs))(
        jnp.asarray(carry)
    )
    return slope


@eqx.filter_jit
def _outcome(
    policy: Any,
    obs: Float[np.ndarray, " observation"],
    carries: Float[np.ndarray, "points floats"],
) -> tuple[Float[Array, "points controls"], Float[Array, "points units"]]:
    """The commands of a step from some points, and the activity there."""
    unflatten = flattened(policy.initial_carry())[1]

    def one(vector: Float[Array, " floats"]) -> Any:
        carry = unflatten(vector)
        return quiet_step(policy, jnp.asarray(obs), carry)[0], policy.activity(carry)

    outcome: tuple[Float[Array, "points controls"], Float[Array, "points units"]]
    outcome = jax.vmap(one)(jnp.asarray(carries))
    return outcome
