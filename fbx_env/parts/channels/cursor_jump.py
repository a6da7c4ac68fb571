"""The cursor jump."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from fbx_env import checks
from fbx_env.parts.channels.channel import Channel, Signal, check_vision
from fbx_env.parts.clock import Clock
from fbx_env.parts.component import Scalar, Vector, number


class CursorJump(Channel):
    """Seen position, displaced from a moment of the trial on.

    Attributes:
        displacement: of the seen position [m], ``(2,)``.
        onset: when it jumps [s], at least 0.

    Raises:
        ValueError: by ``ReachParams``, if it jumps after the trial; in use, if the signal is not
            that of vision.
    """

    displacement: Vector = number(
        "displacement of the seen position",
        default=(0.0, 0.0),
        unit="m",
        shape=(2,),
        keyword="jump",
    )
    onset: Scalar = number(
        "when the seen position jumps", default=0.5, unit="s", at_least=0, keyword="jump_onset"
    )

    def __check_params__(self, params: Any) -> None:
        checks.within_trial("the cursor jump", self.onset, self.onset, params)

    def init(self, signal: Signal) -> tuple[()]:
        check_vision(self, signal)
        return ()

    def step(
        self, key: PRNGKeyArray, state: tuple[()], signal: Signal, clock: Clock
    ) -> tuple[Signal, tuple[()]]:
        moved = signal.at[:2].add(jnp.asarray(self.displacement))
        return jnp.where(clock.has_reached(self.onset), moved, signal), state
