"""Whether trials start, and have their targets, where a plant can be put."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from fbx_env.params import ReachParams
from fbx_env.parts.draws.drawing import draw, draw_trial, with_drawn
from fbx_env.parts.plants.plant import Plant
from fbx_env.parts.tasks.trial import Trial


def is_out_of_reach(plant: Plant, state: Any, start: Float[Array, "2"]) -> Bool[Array, ""]:
    """Whether a plant is elsewhere than at the start at which ``init`` should have put it."""
    distance = jnp.linalg.norm(plant.effector(state).pos - start)
    is_there: Bool[Array, ""] = distance <= 1e-4 * (1 + jnp.linalg.norm(start))
    return ~is_there


@jax.jit
def _are_out_of_reach(plant: Plant, start: Float[Array, "*trials 2"]) -> Bool[Array, "*trials"]:
    def one(start: Float[Array, "2"]) -> Bool[Array, ""]:
        return is_out_of_reach(plant, plant.init(start), start)

    return (jax.vmap(one) if start.ndim > 1 else one)(start)


def check_trials(params: ReachParams, trials: Trial) -> None:
    """Check given trials as far as they are known: that they fit, and can be reached.

    Args:
        params: the experiment.
        trials: one trial, or several along a leading axis.

    Raises:
        ValueError: if a start or goal is out of reach, or epochs are longer than a trial.
    """
    trials.run_checks("__check_params__", params)
    for name in ("start", "goal"):
        place = jnp.asarray(getattr(trials, name))
        beyond = _are_out_of_reach(params.plant, place)
        if not isinstance(beyond, jax.core.Tracer) and np.any(beyond):
            far = np.reshape(place, (-1, 2))[np.argmax(beyond)]
            raise ValueError(out_of_reach(params.plant, far, name))


def out_of_reach(
    plant: Plant, place: Float[Array, "2"] | Float[np.ndarray, "2"], what: str = "start"
) -> str:
    """The message about a place that a plant does not reach."""
    return (
        f"{what} must be within the reach of {type(plant).__name__}, got {place.tolist()} [m]; if "
        "it is the task's, give it another workspace, or make an id of this body, which has its own"
    )


def check_task(params: ReachParams, n_trials: int = 64) -> None:
    """Check that the trials of an experiment are within the reach of its plant, where known.

    Looks at starts and targets of the validation trials and of some that are drawn; call it before
    a training.

    Args:
        params: the experiment.
        n_trials: how many trials to draw.

    Raises:
        ValueError: if a start or a target is out of reach.
    """
    check_trials(params, params.task.validation_trials())
    for places, beyond in (_validation_places(params), _drawn_places(params, n_trials)):
        if not isinstance(beyond, jax.core.Tracer) and beyond.any():
            trial, place = np.argwhere(beyond)[0]
            what = "target" if place else "start"
            raise ValueError(out_of_reach(params.plant, places[trial, place], what))


def _places(
    params: ReachParams, trial: Trial
) -> tuple[Float[Array, "places 2"], Bool[Array, " places"]]:
    """Where a trial starts, and then its target at each step; and which are out of reach."""

    def target(step: Int[Array, ""]) -> Float[Array, "2"]:
        return params.task.target(trial, params.clock(step, trial)).pos

    targets = jax.vmap(target)(jnp.arange(params.max_steps_in_episode + 1))
    places = jnp.concatenate([trial.start[None], targets])
    return places, _are_out_of_reach(params.plant, places)


@jax.jit
def _validation_places(
    params: ReachParams,
) -> tuple[Float[Array, "trials places 2"], Bool[Array, "trials places"]]:
    return jax.vmap(_places, (None, 0))(params, params.task.validation_trials())


@partial(jax.jit, static_argnames="n_trials")
def _drawn_places(
    params: ReachParams, n_trials: int
) -> tuple[Float[Array, "trials places 2"], Bool[Array, "trials places"]]:
    def one(key: PRNGKeyArray) -> tuple[Float[Array, "places 2"], Bool[Array, " places"]]:
        key_start, trial = draw_trial(key, params)
        return _places(with_drawn(params, draw(key_start, params)), trial)

    return jax.vmap(one)(jax.random.split(jax.random.key(0), n_trials))
