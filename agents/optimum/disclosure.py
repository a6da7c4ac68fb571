"""Whether the first observation of a trial tells all that there is to know about it."""

from __future__ import annotations

from functools import partial

import jax
import numpy as np
from jaxtyping import Array, Float

from agents.optimum.experiment import Experiment
from agents.optimum.linear_quadratic import all_steps, signatures, summary
from fbx_env import ReachParams, Trial
from fbx_env.parts.draws.drawing import draw, draw_trial

N_OTHERS = 8
"""How many trials of the task one is compared with."""


def is_shown(experiment: Experiment, params: ReachParams) -> bool:
    """Whether trials that begin with the same observation are the same to a controller.

    Those that are tried have one field, or one drawn number, of another trial of the task each.
    """
    leaves, structure = jax.tree.flatten(experiment.context)
    own = [np.repeat(leaf[:1], N_OTHERS, axis=0) for leaf in leaves]
    versions = [own]
    for index, other in enumerate(jax.tree.leaves(_others(params))):
        versions.append([*own[:index], np.asarray(other, own[index].dtype), *own[index + 1 :]])
    mixed = [np.concatenate(parts) for parts in zip(*versions, strict=True)]
    steps = all_steps(experiment.with_context(jax.tree.unflatten(structure, mixed)))
    observed = steps.some(steps.time == 0).move().observation
    moved = steps.move()
    sums = (summary(moved.state)[:, None], summary(moved.gradient)[:, None])
    asked = np.concatenate([*signatures(steps), *sums], axis=1).reshape(len(observed), -1)
    same_observation = np.all(np.isclose(observed, observed[0]), axis=1)
    same_trial = np.all(np.isclose(asked, asked[0]), axis=1)
    return bool(np.all(same_trial[same_observation]))


@jax.jit
def _others(params: ReachParams) -> tuple[Trial, tuple[Float[Array, "..."], ...]]:
    """Other trials of the task, and the numbers that are drawn for them."""
    keys = jax.random.split(jax.random.key(0), N_OTHERS)
    keys, trials = jax.vmap(partial(draw_trial, params=params))(keys)
    return trials, jax.vmap(partial(draw, params=params))(keys)
