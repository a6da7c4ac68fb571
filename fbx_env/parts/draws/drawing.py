"""Drawing the numbers of a trial, and the params with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from fbx_env.parts.keys import key_of
from fbx_env.parts.numbers import with_number
from fbx_env.parts.plants.plant import MODALITIES

if TYPE_CHECKING:
    from fbx_env.params import ReachParams
    from fbx_env.parts.tasks.trial import Trial


def draw(key: PRNGKeyArray, params: ReachParams) -> tuple[Float[Array, "..."], ...]:
    """Draw the numbers of a trial, each with a key of its own."""
    values = []
    for index, each in enumerate(params.draws, start=len(MODALITIES)):
        default = params.number(each.number).value
        default = jnp.asarray(0.0 if default is None else default, float)
        values.append(each.sample(key_of(key, index), default))
    return tuple(values)


def with_drawn(params: ReachParams, drawn: tuple[Float[Array, "..."], ...]) -> ReachParams:
    """The params of a trial: those of the experiment with the numbers drawn for it."""
    for each, value in zip(params.draws, drawn, strict=True):
        params = with_number(params, params.number(each.number).path, value)
    return params


def draw_trial(key: PRNGKeyArray, params: ReachParams) -> tuple[PRNGKeyArray, Trial]:
    """Draw a trial from the task, and the key for its numbers and its noise at the start."""
    key_trial, key_start = jax.random.split(key)
    task = with_drawn(params, draw(key_start, params)).task
    return key_start, task.sample(key_trial)
