"""The loss of a reach."""

from __future__ import annotations

from fbx_env.parts.losses.command import CommandCost
from fbx_env.parts.losses.final_velocity import FinalVelocityCost
from fbx_env.parts.losses.loss import Loss
from fbx_env.parts.losses.position import PositionCost


def reach_loss() -> Loss:
    """The environment's loss of a simple reach: position, final velocity and command."""
    return PositionCost() + FinalVelocityCost() + CommandCost()
