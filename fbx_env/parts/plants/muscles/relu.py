"""The simplest muscle."""

from __future__ import annotations

from fbx_env.parts.plants.muscles.activation import Muscles
from fbx_env.parts.plants.muscles.muscle import Muscle


class ReluMuscle(Muscle):
    """A muscle whose force is in proportion to activation, whatever its length and velocity."""

    def tension(
        self, activation: Muscles, length: Muscles, velocity: Muscles, optimal_length: Muscles
    ) -> Muscles:
        return activation
