"""The base of every load."""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from fbx_env.parts.clock import Clock
from fbx_env.parts.component import Component
from fbx_env.parts.losses.loss import rounded
from fbx_env.parts.plants.plant import Effector
from fbx_env.parts.tasks.trial import Trial


class Load(Component, abc.ABC):
    """A force that the world adds at the effector. A new load is a new subclass.

    Several loads add up. Give the subclass a ``name`` of its own: no two loads of an experiment
    have the same.
    """

    name: ClassVar[str] = ""

    @abc.abstractmethod
    def force_on(self, effector: Effector, trial: Trial, clock: Clock) -> Float[Array, "2"]:
        """The force [N].

        Args:
            effector: where it is and how fast it moves, within the step.
            trial: the trial that is under way.
            clock: at the beginning of the step.
        """


def external_force(
    loads: Sequence[Load], trial: Trial, clock: Clock
) -> Callable[[Effector], Float[Array, "2"]]:
    """The sum of loads [N] at a time of a trial, as a function of the effector."""

    def force(effector: Effector) -> Float[Array, "2"]:
        forces = (rounded(load.force_on(effector, trial, clock)) for load in loads)
        return sum(forces, start=jnp.zeros(2))

    return force
