"""The base of every plant."""

from __future__ import annotations

import abc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from fbx_env.parts.component import Component, Scalar

MODALITIES = ("vision", "proprioception")
"""The senses there are, in the order in which they are observed."""

Feedback = dict[str, dict[str, Float[Array, "_"]]]
"""Of each modality, the sensed quantities by name, such as ``{"vision": {"position": pos}}``."""


class Effector(Component):
    """The part of the plant that has to reach the goal.

    Attributes:
        pos: position [m], shape ``(2,)``.
        vel: velocity [m/s], shape ``(2,)``.
    """

    pos: Float[Array, "*trials 2"]
    vel: Float[Array, "*trials 2"]


Load = Callable[[Effector], Float[Array, "2"]]
"""The external force [N] on an effector, wherever it is within a step."""


@dataclass(frozen=True)
class Control:
    """One of the numbers that command a plant.

    Attributes:
        name: of the number, such as ``"force x"``.
        unit: of the number, such as ``"N"``; empty for none.
        low, high: bounds to which the environment clips the command, before the motor channel,
            whose noise may exceed them.
    """

    name: str
    unit: str
    low: Scalar
    high: Scalar


NamedUnits = tuple[tuple[str, str], ...]
"""The name and the unit of each number of a command."""

FORCE_IN_PLANE: NamedUnits = (("force x", "N"), ("force y", "N"))
"""A command that is one force in the plane, and shown as such; any other is shown by number."""


class Plant(Component, abc.ABC):
    """A body with a state that a command changes. A new body is a new subclass.

    A plant's state is any pytree; its methods act on one state, without a batch axis.

    The environment clips commands to the bounds of ``controls``; motor noise comes after that, and
    ``step`` must not clip it again. Only the equations of a body may, as those of muscles, whose
    excitation ends at 0 and 1.
    """

    @property
    @abc.abstractmethod
    def controls(self) -> tuple[Control, ...]:
        """The numbers of a command, in order."""

    @abc.abstractmethod
    def init(self, position: Float[Array, "2"]) -> Any:
        """The state at rest with the effector at ``position`` [m]; not finite if out of reach."""

    @abc.abstractmethod
    def step(
        self, state: Any, control: Float[Array, " controls"], load: Load, dt: Float[Array, ""]
    ) -> Any:
        """The state one control step later.

        Args:
            state: before the step.
            control: held during the step, in the units of ``controls``: the command within its
                bounds, and then what the motor channel made of it, which may be beyond.
            load: the external force [N] on the effector, to be asked wherever it is needed.
            dt: duration of the step [s].
        """

    @abc.abstractmethod
    def effector(self, state: Any) -> Effector:
        """Position and velocity of the effector."""

    @abc.abstractmethod
    def feedback(self, state: Any) -> Feedback:
        """The sensed quantities before delay and noise, by modality.

        ``vision``, which every plant gives, has position and velocity of the effector;
        ``proprioception`` has what joints or muscles tell.
        """


def control_bounds(plant: Plant) -> tuple[Float[Array, " controls"], Float[Array, " controls"]]:
    """The lowest and the highest command that a plant takes as it is."""
    low, high = ([getattr(each, end) for each in plant.controls] for end in ("low", "high"))
    return jnp.stack([jnp.asarray(bound, float) for bound in low]), jnp.stack(
        [jnp.asarray(bound, float) for bound in high]
    )


def named_units(plant: Plant) -> NamedUnits:
    """The name and the unit of each number that commands a plant."""
    return tuple((control.name, control.unit) for control in plant.controls)
