"""Whether trials start where a plant can be put."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from fbx_env.params import ReachParams
from fbx_env.parts.draws.drawing import draw, draw_trial, with_drawn
from fbx_env.parts.plants.plant import Plant
from fbx_env.parts.tasks.trial import Trial


def is_out_of_reach(plant: Plant, state: Any, start: Float[Array, "2"]) -> Bool[Array, ""]:
    """Whether a plant is elsewhere than at the start at which ``init`` should have put it."""
    distance = jnp.linalg.norm(plant.effector(state).pos - start)
    return ~(distance <= 1e-4 * (1 + jnp.linalg.norm(start)))


@jax.jit
def _are_out_of_reach(plant: Plant, start: Float[Array, "*trials 2"]) -> Bool[Array, "*trials"]:
    def one(start: Float[Array, "2"]) -> Bool[Array, ""]:
        return is_out_of_reach(plant, plant.init(start), start)

    return (jax.vmap(one) if start.ndim > 1 else one)(start)


def check_starts(params: ReachParams, trials: Trial) -> None:
    """Check that the plant can be put at the start of each trial, where both are known.

    Args:
        params: the experiment.
        trials: one trial, or several along a leading axis.

    Raises:
        ValueError: if a start is out of reach.
    """
    start = jnp.asarray(trials.start)
    beyond = _are_out_of_reach(params.plant, start)
    if not isinstance(beyond, jax.core.Tracer) and beyond.any():
        raise ValueError(out_of_reach(params.plant, start.reshape(-1, 2)[jnp.argmax(beyond)]))


def out_of_reach(plant: Plant, start: Float[Array, "2"] | Float[np.ndarray, "2"]) -> str:
    """The message about a start that a plant does not reach."""
    return f"start must be within the reach of {type(plant).__name__}, got {start.tolist()} [m]"


def check_task(params: ReachParams, n_trials: int = 64) -> None:
    """Check that the trials of an experiment start within the reach of its plant.

    Looks at the validation trials and at some that are drawn; call it before a training.

    Args:
        params: the experiment.
        n_trials: how many trials to draw.

    Raises:
        ValueError: if a start is out of reach.
    """
    check_starts(params, params.task.validation_trials())
    starts, beyond = _drawn_starts(params, n_trials)
    if beyond.any():
        raise ValueError(out_of_reach(params.plant, starts[jnp.argmax(beyond)]))


@partial(jax.jit, static_argnames="n_trials")
def _drawn_starts(
    params: ReachParams, n_trials: int
) -> tuple[Float[Array, "trials 2"], Bool[Array, " trials"]]:
    def one(key: PRNGKeyArray) -> tuple[Float[Array, "2"], Bool[Array, ""]]:
        key_start, trial = draw_trial(key, params)
        plant = with_drawn(params, draw(key_start, params)).plant
        return trial.start, is_out_of_reach(plant, plant.init(trial.start), trial.start)

    return jax.vmap(one)(jax.random.split(jax.random.key(0), n_trials))
