"""The base of every path."""

from __future__ import annotations

import abc

from jaxtyping import Array, Float

from fbx_env.parts.component import Component


class TargetPath(Component, abc.ABC):
    """The way of a target in time. A new path is a new subclass.

    It must be defined, and differentiable in time, at all times: a target's velocity follows from
    it, and a preview looks beyond the end of the trial.
    """

    @property
    @abc.abstractmethod
    def n_phases(self) -> int:
        """How many phases differ between trials, maybe none."""

    @abc.abstractmethod
    def position(self, phase: Float[Array, " phases"], time: Float[Array, ""]) -> Float[Array, "2"]:
        """Where the path is [m], from its centre.

        Args:
            phase: of the trial [rad], in [0, 2 pi).
            time: since the start of the trial [s].
        """
