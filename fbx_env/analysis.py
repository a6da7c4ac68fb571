"""Numbers computed from recorded reaches, before they are drawn, in NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, Real

from fbx_env import checks

MAX_UNITS = 10**6

Numbers = np.ndarray | Array
"""Arrays of NumPy or of JAX."""


def speed(vel: Real[Numbers, "... 2"]) -> Float[np.ndarray, "..."]:
    """Speed [m/s] of velocities [m/s]."""
    length: Float[np.ndarray, "..."] = np.linalg.norm(_in_the_plane("vel", vel), axis=-1)
    return length


def directions(
    start: Real[Numbers, "trials 2"], goal: Real[Numbers, "trials 2"]
) -> Float[np.ndarray, " trials"]:
    """Angle from start to goal [rad], counter-clockwise from the x axis, in [0, 2 pi).

    A reach that goes nowhere has direction 0.
    """
    start, goal = _in_the_plane("start", start), _in_the_plane("goal", goal)
    if start.shape != goal.shape:
        raise ValueError(f"start and goal must have one shape, got {start.shape} and {goal.shape}")
    x, y = np.moveaxis(goal - start, -1, 0)
    # Rounding first keeps a hair below the x axis from becoming a full turn.
    angle: Float[np.ndarray, " trials"] = np.round(np.arctan2(y, x), 4) % np.round(2 * np.pi, 4)
    return angle


@dataclass(frozen=True)
class CosineTuning:
    """How the activity of units depends on the direction of the reach.

    Attributes:
        baseline: activity averaged over directions, ``(units,)``.
        direction: where the fitted activity is highest [rad], in [0, 2 pi), ``(units,)``.
        depth: how far it rises there above the baseline, at least 0, ``(units,)``.
        explained: share of the variance over trials that the fit explains, 0 to 1, ``(units,)``;
            0 for a unit whose activity is the same on all trials.
    """

    baseline: Float[np.ndarray, " units"]
    direction: Float[np.ndarray, " units"]
    depth: Float[np.ndarray, " units"]
    explained: Float[np.ndarray, " units"]


def cosine_tuning(
    activity: Real[Numbers, "trials units"], direction: Real[Numbers, " trials"]
) -> CosineTuning:
    """Regress activity on the cosine of direction, by least squares.

        activity = baseline + depth cos(direction - preferred direction)

    as Georgopoulos, Kalaska, Caminiti and Massey (1982) did for cells of motor cortex.

    Args:
        activity: one number a trial and unit, such as its mean over time.
        direction: of each trial's reach [rad].

    Raises:
        ValueError: if there are fewer than three different directions, the numbers of trials
            differ, or a number is not finite.

    Example:
        >>> angle = 2 * np.pi * np.arange(8) / 8
        >>> cosine_tuning(0.3 + 0.2 * np.cos(angle - 1.0)[:, None], angle).direction
        array([1.])
    """
    activity = checks.array("activity", activity).astype(float)
    direction = checks.array("direction", direction).astype(float)
    if activity.ndim != 2 or direction.shape != activity.shape[:1]:
        raise ValueError(
            "activity must be (trials, units) and direction (trials,), "
            f"got {activity.shape} and {direction.shape}"
        )
    _check_finite(activity, direction)
    n_directions = len(np.unique(np.round(direction % (2 * np.pi), 4)))
    if n_directions < 3:
        raise ValueError(
            f"preferred directions need reaches in at least 3 directions, got {n_directions}"
        )
    design = np.stack([np.ones_like(direction), np.cos(direction), np.sin(direction)], axis=-1)
    baseline, x, y = weights = np.linalg.lstsq(design, activity, rcond=None)[0]
    residual = np.sum((activity - design @ weights) ** 2, axis=0)
    total = np.sum((activity - activity.mean(axis=0)) ** 2, axis=0)
    # Below rounding, a unit does not vary at all.
    varies = total > len(activity) * np.max(np.abs(activity), axis=0) ** 2 * 1e-12
    explained = 1 - np.divide(residual, total, out=np.ones_like(total), where=varies)
    return CosineTuning(baseline, np.arctan2(y, x) % (2 * np.pi), np.hypot(x, y), explained)


@dataclass(frozen=True)
class PrincipalComponents:
    """The directions in the space of units along which the activity varies most.

    Attributes:
        mean: of each unit, ``(units,)``.
        components: unit vectors, most variance first; in each the largest number is positive,
            ``(components, units)``.
        scores: the activity, less its mean, along each, ``(..., components)``.
        explained: share of the variance along each, 0 to 1, ``(components,)``; all 0 if nothing
            varies.
    """

    mean: Float[np.ndarray, " units"]
    components: Float[np.ndarray, "components units"]
    scores: Float[np.ndarray, "... components"]
    explained: Float[np.ndarray, " components"]


def principal_components(activity: Real[Numbers, "... units"]) -> PrincipalComponents:
    """All principal components of activity, by singular value decomposition.

    Args:
        activity: of the units, over all leading axes together, such as trials and steps.

    Raises:
        ValueError: for activity of fewer than two axes, or that is not finite.

    Example:
        >>> line = np.outer(np.linspace(-1, 1, 9), [3.0, 4.0])
        >>> principal_components(line).components[0]
        array([0.6, 0.8])
    """
    activity = checks.array("activity", activity).astype(float)
    if activity.ndim < 2 or not activity.size:
        raise ValueError(
            f"activity must be (..., units), of one sample or more, got shape {activity.shape}"
        )
    _check_finite(activity)
    samples = activity.reshape(-1, activity.shape[-1])
    mean = samples.mean(axis=0)
    _, singular, components = np.linalg.svd(samples - mean, full_matrices=False)
    largest = np.take_along_axis(
        components, np.abs(components).argmax(axis=-1, keepdims=True), axis=-1
    )
    components = components * np.where(largest < 0, -1, 1)
    variance = singular**2
    explained = variance / variance.sum() if variance.sum() > 0 else np.zeros_like(variance)
    return PrincipalComponents(mean, components, (activity - mean) @ components.T, explained)


def sample_units(n_units: int, available: int, key: PRNGKeyArray) -> Int[np.ndarray, " n_units"]:
    """Choose units at random, without repetition.

    The choice depends on the key and on how many units there are, and on nothing else; a larger
    sample begins with the smaller one.

    Args:
        n_units: how many to choose.
        available: how many there are.
        key: of the random choice.

    Raises:
        TypeError: if ``n_units`` is not a whole number.
        ValueError: if it is less than 1, or more than there are.

    Example:
        >>> sample_units(3, 50, jax.random.key(0)).shape
        (3,)
    """
    n_units = checks.whole("n_units", n_units, at_least=1)
    available = checks.whole("available", available, at_least=1, at_most=MAX_UNITS)
    checks.key("key", key)
    if n_units > available:
        raise ValueError(f"n_units must be at most {available}, the units there are, got {n_units}")
    return np.asarray(jax.random.permutation(key, available))[:n_units]


def _in_the_plane(name: str, vectors: Any) -> Float[np.ndarray, "... 2"]:
    """Vectors in float64, or an error that names them."""
    given = checks.array(name, vectors).astype(float)
    if given.shape[-1:] != (2,):
        raise ValueError(f"{name} must have shape (..., 2), got {given.shape}")
    return given


def _check_finite(*arrays: np.ndarray) -> None:
    if not all(np.isfinite(array).all() for array in arrays):
        raise ValueError("activity and directions must be finite, got some that are not")
