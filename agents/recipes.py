"""Settings of training by id, where others than the default ones were found to be better."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fbx_env import SensoryChannel


@dataclass(frozen=True)
class Recipe:
    """How a network is trained where nothing else is asked for.

    Attributes:
        hidden_weight: of the squared activity of its units.
        settings: fields of ``BPTTConfig``.
        experiment: keywords of ``fbx_env.make``.
        readout_scale: by which the first weights of its readout are multiplied.
    """

    hidden_weight: float = 1e-5
    settings: Mapping[str, Any] = field(default_factory=dict)
    experiment: Mapping[str, Any] = field(default_factory=dict)
    readout_scale: float = 1.0


def recipe(id: str) -> Recipe:
    """Return the recipe of an id, which is the default one for most."""
    return _RECIPES.get(id, Recipe())


_RECIPES = {
    # Gradients are small at the end: clipped to 1, a single large one would undo the training.
    "PointMassDelayedReach-v0": Recipe(
        1e-7, {"n_batches": 5000, "learning_rate": 0.04, "clip_norm": 0.01}
    ),
    "PointMassHold-v0": Recipe(1e-6, {"learning_rate": 0.03}),
    "PointMassTrack-v0": Recipe(1e-6, {"learning_rate": 0.03}),
    "TwoLinkArmReach-v0": Recipe(settings={"n_batches": 5000, "batch_size": 64}),
    # Excitations are small: so are the first commands, and activity must not cost more than they
    # do. The hand is seen after 70 ms, and the muscles are felt after 30 ms.
    "MuscleArmReach-v0": Recipe(
        0.0,
        {"n_batches": 7000, "batch_size": 32, "learning_rate": 0.008},
        {"sensory": SensoryChannel(delay=7), "proprioception": SensoryChannel(delay=3)},
        readout_scale=0.1,
    ),
}
