"""From a plant's feedback to what the agent senses."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from fbx_env import checks
from fbx_env.params import ReachParams
from fbx_env.parts.channels.channel import Channel, Signal
from fbx_env.parts.clock import Clock
from fbx_env.parts.keys import key_of
from fbx_env.parts.plants.plant import MODALITIES, Plant


def flat_feedback(plant: Plant, state: Any) -> dict[str, Signal]:
    """The feedback of a plant, the quantities of each modality one after the other.

    Raises:
        ValueError: for a modality that there is not.
    """
    feedback = plant.feedback(state)
    for name in feedback:
        checks.choice(f"modality of {type(plant).__name__}", name, MODALITIES)
    return {name: jnp.concatenate(list(parts.values())) for name, parts in feedback.items()}


def sensory_channels(params: ReachParams, feedback: dict[str, Signal]) -> dict[str, Channel]:
    """The channels of the modalities that the agent senses.

    Raises:
        ValueError: if there is a channel for a modality that the plant does not feed back.
    """
    channels = {"vision": params.sensory}
    if params.proprioception is not None:
        channels["proprioception"] = params.proprioception
    missing = sorted(set(channels) - set(feedback))
    if missing:
        raise ValueError(
            f"feedback of {type(params.plant).__name__} must have {', '.join(missing)}, for which "
            f"there is a channel; it has {', '.join(feedback)}"
        )
    return channels


def sense(
    key: PRNGKeyArray,
    channels: dict[str, Channel],
    states: dict[str, Any],
    feedback: dict[str, Signal],
    clock: Clock,
) -> tuple[dict[str, Signal], dict[str, Any]]:
    """The signals that come out of the sensory channels, and their states after that."""
    sensed, after = {}, {}
    for index, (name, channel) in enumerate(channels.items()):
        own_key = key if index == 0 else key_of(key, index)
        sensed[name], after[name] = channel.step(own_key, states[name], feedback[name], clock)
    return sensed, after
