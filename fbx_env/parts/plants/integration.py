"""Integration of a plant's differential equation over a control step."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fbx_env import checks
from fbx_env.parts.component import Component, static, whole

State = TypeVar("State")
Drive = Float[Array, "..."]
Duration = Float[Array, ""]


class Method(NamedTuple):
    """A method of Runge and Kutta, each of whose stages starts from the slope of the one before.

    Attributes:
        times: of the stages, as fractions of a step.
        weights: of the stages' slopes in the step.
        drive_steps: steps of integration of what drives the state, from one stage to the next.
    """

    times: tuple[float, ...]
    weights: tuple[float, ...]
    drive_steps: int

    def step(
        self,
        derivative: Callable[[State, Any], State],
        state: State,
        dt: Duration,
        drive: Any = None,
        unroll: bool = False,
    ) -> State:
        """The state a step later.

        Args:
            derivative: of the state, which it is given with the drive at the same time.
            state: before.
            dt: duration of the step [s].
            drive: at the time of each stage, along a leading axis.
            unroll: whether to compile each stage anew, which is faster where they are short.
        """

        # Compiled once for all stages; what is kept for the gradient is only where each begins.
        @partial(jax.checkpoint, prevent_cse=False)
        def stage(carry: tuple[State, State], now: Any) -> tuple[tuple[State, State], None]:
            slope, after = carry
            time, weight, drive = now
            slope = derivative(_moved(state, time * dt, slope), drive)
            return (slope, _moved(after, weight * dt, slope)), None

        start = (jax.tree.map(jnp.zeros_like, state), state)
        stages = (jnp.array(self.times), jnp.array(self.weights), drive)
        (_, after), _ = jax.lax.scan(stage, start, stages, unroll=unroll)
        return after

    def follow(
        self, rate: Callable[[Drive], Drive], drive: Drive, dt: Duration
    ) -> tuple[Drive, Drive]:
        """A drive at the time of each stage, along a leading axis, and at the end of the step."""
        drives = [drive]
        for earlier, later in pairwise((*self.times, 1.0)):
            if later > earlier:
                for _ in range(self.drive_steps):
                    duration = (later - earlier) * dt / self.drive_steps
                    drive = self.step(lambda drive, _: rate(drive), drive, duration, unroll=True)
            drives.append(drive)
        return jnp.stack(drives[:-1]), drive


METHODS = {
    "euler": Method((0.0,), (1.0,), 1),
    "heun": Method((0.0, 1.0), (1 / 2, 1 / 2), 1),
    "rk4": Method((0.0, 0.5, 0.5, 1.0), (1 / 6, 1 / 3, 1 / 3, 1 / 6), 2),
}


class Integration(Component):
    """How a plant moves through a control step: a method and a number of equal substeps.

    Attributes:
        method: ``"euler"``, ``"heun"`` or ``"rk4"``, of order 1, 2 and 4.
        substeps: at least 1.

    Raises:
        TypeError, ValueError: for an unknown method, or a number that is not allowed.

    Example:
        >>> decay = Integration("heun", substeps=10).advance(lambda x: -x, jnp.ones(()), 1.0)
        >>> bool(abs(decay - jnp.exp(-1.0)) < 1e-3)
        True
    """

    method: str = static(default="rk4")
    substeps: int = whole("equal steps of integration within a control step", default=1, at_least=1)

    def __check_init__(self) -> None:
        checks.known("method of integration", self.method, METHODS)

    def advance(self, derivative: Callable[[State], State], state: State, dt: Duration) -> State:
        """The state after ``dt`` [s], of which ``derivative`` gives the rate of change."""
        method = METHODS[self.method]

        def substep(state: State, duration: Duration) -> State:
            return method.step(lambda state, _: derivative(state), state, duration)

        return self._repeated(substep, state, dt)

    def advance_driven(
        self,
        derivative: Callable[[State, Drive], State],
        state: State,
        rate: Callable[[Drive], Drive],
        drive: Drive,
        dt: Duration,
    ) -> tuple[State, Drive]:
        """The state and what drives it after ``dt`` [s].

        The drive changes by itself, and faster than the state, such as the activation of muscles.
        It is cheap, and therefore integrated in shorter steps.

        Args:
            derivative: of the state, which it is given with the drive.
            state: before.
            rate: the derivative of the drive.
            drive: before.
            dt: duration of the step [s].
        """
        method = METHODS[self.method]

        def substep(both: tuple[State, Drive], duration: Duration) -> tuple[State, Drive]:
            state, drive = both
            drives, drive = method.follow(rate, drive, duration)
            return method.step(derivative, state, duration, drives), drive

        return self._repeated(substep, (state, drive), dt)

    def _repeated(
        self, substep: Callable[[State, Duration], State], state: State, dt: Any
    ) -> State:
        if self.substeps == 1:
            return substep(state, dt)
        duration = dt / self.substeps
        after, _ = jax.lax.scan(
            lambda state, _: (substep(state, duration), None), state, length=self.substeps
        )
        return after


def _moved(state: State, dt: Duration, slope: State) -> State:
    moved: State = jax.tree.map(lambda x, change: x + dt * change, state, slope)
    return moved
