"""The cost of being outside of a window around the target."""

from __future__ import annotations

from typing import Any, ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from fbx_env import checks
from fbx_env.parts.component import Scalar, number
from fbx_env.parts.losses.loss import LossTerm, weight
from fbx_env.parts.losses.transition import Transition


class TargetWindowCost(LossTerm):
    """How far the effector is outside of a window around the target, towards the end of the trial.

    The window is left by being far from the target or faster than it. Inside, and before it counts,
    there is no cost and no gradient; outside, both grow without a jump:

        max(0, distance / radius - 1)^2 + max(0, speed / max_speed - 1)^2

    It is not quadratic, so that there is no exact optimum for it.

    Attributes:
        radius: of the window [m], greater than 0.
        max_speed: greatest speed relative to the target's [m/s], greater than 0.
        duration: how long before the end of the trial the effector has to be inside [s], greater
            than 0.

    Raises:
        TypeError, ValueError: for a number that is not allowed; by ``ReachParams``, if the duration
            is longer than the trial.
    """

    name: ClassVar[str] = "target_window"

    weight: Scalar = weight(1e-3)
    radius: Scalar = number(
        "radius of the target's window", default=0.05, unit="m", above=0, keyword="window_radius"
    )
    max_speed: Scalar = number(
        "greatest speed in the target's window",
        default=0.1,
        unit="m/s",
        above=0,
        keyword="window_speed",
    )
    duration: Scalar = number(
        "how long before the end to be in the target's window",
        default=0.5,
        unit="s",
        above=0,
        keyword="window_duration",
    )

    def __check_params__(self, params: Any) -> None:
        checks.within_trial("the target's window", 0.0, self.duration, params)

    def cost(self, transition: Transition) -> Float[Array, ""]:
        off = transition.after.pos - transition.target.pos
        slip = transition.after.vel - transition.target.vel
        excess = _excess(off, self.radius) + _excess(slip, self.max_speed)
        clock = transition.clock
        # The first of these steps ends one step after the beginning of the window's time.
        begin = clock.n_steps * clock.dt - self.duration + clock.dt
        return jnp.where(clock.has_reached(begin), excess, 0.0)


def _excess(vector: Float[Array, "2"], limit: Scalar) -> Float[Array, ""]:
    """The square of by how many limits a vector is longer than one."""
    # Below the limit, the maximum keeps the root away from 0, where it has no gradient.
    squared = jnp.maximum(vector @ vector / jnp.square(limit), 1.0)
    return jnp.square(jnp.sqrt(squared) - 1)
