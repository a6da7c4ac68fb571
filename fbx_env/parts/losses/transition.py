"""A control step, as loss terms are given it."""

from __future__ import annotations

from typing import Any

from jaxtyping import Array, Float, Int

from fbx_env.parts.clock import Clock
from fbx_env.parts.component import Component
from fbx_env.parts.plants.plant import Effector
from fbx_env.parts.tasks.trial import Trial


class Transition(Component):
    """One control step, as a loss term is given it.

    Attributes:
        trial: the trial it belongs to.
        target: where the effector should be after the step.
        before, after: the effector before and after the step.
        plant_before, plant_after: the plant's states.
        command: what the agent asked for, before limit, delay and noise.
        control: what acted during the step, in the units of the command.
        previous_control: what acted during the step before, zero in the first.
        load: the external force at the beginning of the step [N].
        clock: after the step; its ``progress`` is in (0, 1].
        epoch: the index of the epoch after the step.
    """

    trial: Trial
    target: Effector
    before: Effector
    after: Effector
    plant_before: Any
    plant_after: Any
    command: Float[Array, "*trials controls"]
    control: Float[Array, "*trials controls"]
    previous_control: Float[Array, "*trials controls"]
    load: Float[Array, "*trials 2"]
    clock: Clock
    epoch: Int[Array, "*trials"]
