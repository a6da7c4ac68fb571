"""How small deviations from a movement grow or fade: in the network, and in the closed loop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Inexact

from agents.analysis.carries import flattened, in_double
from agents.optimum.experiment import (
    enable_x64,
    filled,
    known_key,
    start_of_trial,
    vector_of,
)
from agents.optimum.losses import known_experiment
from agents.optimum.normals import without_noise
from fbx_env import ReachEnv, ReachParams, ReachState, Trial
from fbx_env.measures import import_pandas
from fbx_env.parts.draws.drawing import with_drawn
from fbx_env.parts.interventions.intervention import act
from fbx_env.rollout import check_fit

if TYPE_CHECKING:
    import pandas

CARRY = "carry"
"""The name of the policy's part of the state, beside the fields of ``ReachState``."""


@dataclass(frozen=True)
class Spectrum:
    """Eigenvalues of steps, by which deviations along the eigenvectors are multiplied.

    Attributes:
        eigenvalues: the largest in magnitude first, ``(..., states)``.
        dt: duration of a step [s].
    """

    eigenvalues: Inexact[np.ndarray, "... states"]
    dt: float

    @property
    def time_constants(self) -> Float[np.ndarray, "... states"]:
        """After which time a deviation is e times smaller [s].

        0 where it is gone after a step, infinite where it stays, negative where it grows.
        """
        with np.errstate(divide="ignore"):
            constants: Float[np.ndarray, "... states"] = -self.dt / np.log(np.abs(self.eigenvalues))
        return np.where(np.abs(self.eigenvalues) == 1, np.inf, constants)

    @property
    def decay_rates(self) -> Float[np.ndarray, "... states"]:
        """How fast a deviation fades [1/s]: the inverse of its time constant, negative if it grows.

        Rates can be averaged where some deviations fade and others grow; time constants cannot.
        """
        with np.errstate(divide="ignore"):
            rates: Float[np.ndarray, "... states"] = -np.log(np.abs(self.eigenvalues)) / self.dt
        return rates

    @property
    def frequencies(self) -> Float[np.ndarray, "... states"]:
        """How often a deviation oscillates [Hz]."""
        turns: Float[np.ndarray, "... states"] = np.abs(np.angle(self.eigenvalues)) / (2 * np.pi)
        return turns / self.dt


@dataclass(frozen=True)
class Linearisation:
    """The derivatives of each step along some trials, in float64 and without noise.

    A state has all floats that change within a trial: those of the environment's state (of the
    plant, of what is under way in the channels, of what is sensed) and then the policy's carry.

    Attributes:
        jacobian: of the state after a step with respect to that before it,
            ``(trials, steps, states, states)``.
        parts: to what each number of the state belongs, a field of ``ReachState`` or ``"carry"``.
        time: of the beginning of each step [s], ``(steps,)``.
        dt: duration of a step [s].
    """

    jacobian: Float[np.ndarray, "trials steps states states"]
    parts: tuple[str, ...]
    time: Float[np.ndarray, " steps"]
    dt: float

    @cached_property
    def closed_loop(self) -> Spectrum:
        """Of network, channels and body together."""
        return self._spectrum(self.jacobian)

    @cached_property
    def network(self) -> Spectrum:
        """Of the network alone, whose input is held."""
        own = np.flatnonzero(np.array(self.parts) == CARRY)
        return self._spectrum(self.jacobian[..., own[:, None], own])

    def frame(self) -> pandas.DataFrame:
        """A row for each eigenvalue of each step.

        Returns:
            A frame with the columns ``trial``, ``time`` [s], ``system`` (``network`` or
            ``closed loop``), ``mode`` (the largest eigenvalue is that of mode 0), ``real``,
            ``imaginary``, ``magnitude``, ``time_constant`` [s], ``decay_rate`` [1/s] and
            ``frequency`` [Hz].

        Raises:
            ImportError: if pandas is not installed.
        """
        pd = import_pandas()
        frames = []
        for system, spectrum in (("network", self.network), ("closed loop", self.closed_loop)):
            values = spectrum.eigenvalues
            trial, step, mode = (index.ravel() for index in np.indices(values.shape))
            columns = {
                "trial": trial,
                "time": self.time[step],
                "system": system,
                "mode": mode,
                "real": values.real.ravel(),
                "imaginary": values.imag.ravel(),
                "magnitude": np.abs(values).ravel(),
                "time_constant": spectrum.time_constants.ravel(),
                "decay_rate": spectrum.decay_rates.ravel(),
                "frequency": spectrum.frequencies.ravel(),
            }
            frames.append(pd.DataFrame(columns))
        return pd.concat(frames, ignore_index=True)

    def _spectrum(self, matrices: Float[np.ndarray, "trials steps _ _"]) -> Spectrum:
        values = np.linalg.eigvals(matrices).astype(complex)
        order = np.argsort(-np.abs(values), axis=-1, kind="stable")
        return Spectrum(np.take_along_axis(values, order, axis=-1), self.dt)


def linearise(
    policy: Any,
    params: ReachParams,
    trials: Trial,
    drawn: Mapping[str, Any] | None = None,
) -> Linearisation:
    """Linearise network, channels and body together, at every step of trials without noise.

    Args:
        policy: one, and not replicates.
        params: the experiment.
        trials: one trial, or several along a leading axis.
        drawn: the numbers drawn for these trials, as in a ``Trajectory``.

    Raises:
        TypeError: for arguments of the wrong kind.
        ValueError: if the policy does not fit the experiment, a drawn number is missing, noise is
            not normal, or the movement is not finite.

    Example:
        >>> linear = linearise(policy, params, params.task.validation_trials())
        >>> linear.closed_loop.time_constants[0, -1, 0]  # the slowest, at the end of trial 0
    """
    experiment = known_experiment(params, trials, drawn)
    check_fit(policy, params, jnp.zeros(ReachEnv().observation_space(params).shape))
    with enable_x64(True):
        result = _jacobians(in_double(policy), experiment.params, *experiment.context)
        jacobian = np.asarray(result)
    if not np.isfinite(jacobian).all():
        raise ValueError("the movement must be finite to be linearised, got one that is not")
    n_carry = jacobian.shape[-1] - experiment.n_states
    return Linearisation(
        jacobian=jacobian,
        parts=(*map(str, experiment.fields), *[CARRY] * n_carry),
        time=float(params.dt) * np.arange(experiment.n_steps),
        dt=float(params.dt),
    )


@eqx.filter_jit
def _jacobians(
    policy: Any, params: ReachParams, trials: Trial, drawn: Any
) -> Float[Array, "trials steps states states"]:
    env, key = ReachEnv(), known_key()

    def step(state: ReachState, carry: Any) -> tuple[ReachState, Any]:
        own, obs = with_drawn(params, state.drawn), env.observe(key, state, None, params)
        clock = own.clock(state.time, state.trial)
        command, carry = act(policy, own.interventions, obs, carry, clock, key)
        return env.transition(key, state, command, params)[0], carry

    def next_of(state: ReachState, carry: Any) -> tuple[ReachState, Any]:
        after: tuple[ReachState, Any] = without_noise(step, state, carry)
        return after

    def jacobian(state: ReachState, carry: Any) -> Float[Array, "states states"]:
        own, (remembered, unflatten) = vector_of(False, state), flattened(carry)

        def move(vector: Float[Array, " states"]) -> Float[Array, " states"]:
            start = filled(False, state, vector[: own.size]), unflatten(vector[own.size :])
            after, carry = next_of(*start)
            return jnp.concatenate([vector_of(False, after), flattened(carry)[0]])

        matrix: Float[Array, "states states"] = jax.jacfwd(move)(jnp.concatenate([own, remembered]))
        return matrix

    def along(trial: Trial, drawn: Any) -> Float[Array, "steps states states"]:
        start = without_noise(start_of_trial, params, trial, drawn), policy.initial_carry()
        _, passed = jax.lax.scan(
            lambda now, _: (next_of(*now), now), start, length=params.max_steps_in_episode
        )
        return jax.vmap(jacobian)(*passed)

    return jax.vmap(along)(trials, drawn)
