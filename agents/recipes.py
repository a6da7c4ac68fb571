"""Settings of training by id, where others than the default ones were found to be better."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from agents.policies import NetworkPolicy, make_policy
from agents.policies.readout import squared
from agents.policies.standardisation import Standardisation
from fbx_env import ReachEnv, ReachParams, SensoryChannel

STARTS_SEED = 0
"""Of the trials by whose starts observations are standardised."""


@dataclass(frozen=True)
class Recipe:
    """How a network is trained where nothing else is asked for.

    Attributes:
        hidden_weight: of the squared activity of its units.
        settings: fields of ``BPTTConfig``.
        experiment: keywords of ``fbx_env.make``.
        readout_scale: by which the first weights of its readout are multiplied.
        first_command: of a readout whose output is squared, where there is no activity, in units of
            the command; ``None`` for a linear readout, as there is for a plant of one's own whose
            controls can be negative.
        standardised: whether observations are standardised by those at the starts of trials.
    """

    hidden_weight: float = 1e-5
    settings: Mapping[str, Any] = field(default_factory=dict)
    experiment: Mapping[str, Any] = field(default_factory=dict)
    readout_scale: float = 1.0
    first_command: float | None = None
    standardised: bool = False

    def network(
        self,
        env: ReachEnv,
        params: ReachParams,
        hidden_type: str | Callable[..., Any],
        hidden_size: int,
        encoding_size: int | None,
        *,
        key: PRNGKeyArray,
    ) -> NetworkPolicy:
        """An untrained network for an experiment; arguments and errors as of ``make_policy``."""
        sizes = env.observation_space(params).shape[0], len(params.plant.controls)
        linear = make_policy(hidden_type, *sizes, hidden_size, encoding_size, key=key)
        readout = eqx.tree_at(
            lambda readout: readout.weight,
            linear.readout,
            self.readout_scale * linear.readout.weight,
        )
        if self.first_command is not None and _only_pulls(params):
            readout = squared(readout, self.first_command)
        policy: NetworkPolicy = eqx.tree_at(lambda policy: policy.readout, linear, readout)
        if self.standardised:
            with jax.ensure_compile_time_eval():  # Also where networks are made side by side.
                key = jax.random.key(STARTS_SEED)
                standardisation = Standardisation.of_starts(env, params, key)
            policy = eqx.tree_at(
                lambda policy: policy.standardisation,
                policy,
                standardisation,
                is_leaf=lambda leaf: leaf is None,
            )
        return policy


def _only_pulls(params: ReachParams) -> bool:
    """Whether no control of the plant can be negative."""
    with jax.ensure_compile_time_eval():  # Also where networks are made side by side.
        return all(np.min(control.low) >= 0 for control in params.plant.controls)


def recipe(id: str) -> Recipe:
    """Return the recipe of an id, which is the default one for most."""
    return RECIPES.get(id, Recipe())


RECIPES = {
    # Gradients are small at the end: clipped to 1, a single large one would undo the training.
    # Of six seeds, all end at 1.12 to 1.13 times the optimum.
    "PointMassDelayedReach-v0": Recipe(
        1e-7, {"n_batches": 5000, "batch_size": 16, "learning_rate": 0.03, "clip_norm": 0.01}
    ),
    "PointMassHold-v0": Recipe(1e-6, {"n_batches": 3000, "batch_size": 16, "learning_rate": 0.03}),
    "PointMassTrack-v0": Recipe(1e-6, {"n_batches": 3000, "learning_rate": 0.03}),
    "TwoLinkArmReach-v0": Recipe(settings={"n_batches": 3000, "batch_size": 16}, standardised=True),
    # The hand is seen after 70 ms, and the muscles are felt after 30 ms.
    "MuscleArmReach-v0": Recipe(
        0.0,
        {"n_batches": 15000, "batch_size": 32, "learning_rate": 0.008},
        {"sensory": SensoryChannel(delay=7), "proprioception": SensoryChannel(delay=3)},
        readout_scale=0.1,
        first_command=0.01,
        standardised=True,
    ),
}
