"""Schedules: what changes in an experiment while a policy is trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fbx_env import ReachParams, checks
from fbx_env.parts.numbers import with_number

Schedule = Callable[[Float[Array, ""], ReachParams], ReachParams]
"""``schedule(progress, params) -> params``: progress is 0 in the first update, 1 in the last."""


@dataclass(frozen=True)
class Ramp:
    """A schedule that takes one number from one value to another.

    Attributes:
        number: where it is, as ``"loads.curl.strength"``; ``fbx_env.describe`` lists the names.
        start: value in the first update, in the number's unit.
        end: value in the last update.
        shape: ``"linear"``, or ``"cosine"``, which begins and ends slowly.

    Raises:
        TypeError, ValueError: for a value that is not allowed.

    Example:
        >>> BPTTConfig(schedules=(Ramp("loads.curl.strength", 0.0, 13.0),))
    """

    number: str
    start: float
    end: float
    shape: Literal["linear", "cosine"] = "linear"

    def __post_init__(self) -> None:
        checks.instance("number", self.number, str)
        checks.known("shape", self.shape, ("linear", "cosine"))
        for name in ("start", "end"):
            object.__setattr__(self, name, checks.number(name, getattr(self, name)))

    def __call__(self, progress: Float[Array, ""], params: ReachParams) -> ReachParams:
        """Return the params at a progress of training from 0 to 1."""
        if self.shape == "cosine":
            progress = (1 - jnp.cos(jnp.pi * progress)) / 2
        value = (1 - progress) * self.start + progress * self.end
        number = params.number(self.number)
        shape = jnp.shape(0.0 if number.value is None else number.value)
        after: ReachParams = with_number(params, number.path, jnp.broadcast_to(value, shape))
        return after


def scheduled(
    schedules: Sequence[Schedule], progress: Float[Array, ""], params: ReachParams
) -> ReachParams:
    """Return the params at a progress of training from 0 to 1: all schedules, one after another."""
    for schedule in schedules:
        params = schedule(progress, params)
    return params


def check_schedules(schedules: Sequence[Schedule], params: ReachParams) -> None:
    """Raise ``TypeError`` or ``ValueError`` for schedules that cannot be used with these params."""
    for schedule in schedules:
        if isinstance(schedule, Ramp):
            number = params.number(schedule.number)
            if number.declaration.is_static:
                raise ValueError(
                    f"a schedule must be of a number that may change, {number.name} is part of the "
                    "structure"
                )
    for progress in (0.0, 1.0):
        after = scheduled(schedules, jnp.asarray(progress), params)
        checks.instance("what schedules return", after, ReachParams)
        before_and_after = {jax.tree.structure(params), jax.tree.structure(after)}
        if len(before_and_after) > 1:
            raise ValueError("schedules must keep the structure of params, got another structure")
