"""Whether an experiment is a linear-quadratic problem, and which part is at fault if it is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int

from agents.optimum.experiment import Experiment, enable_x64
from fbx_env import Channel, Clock, Effector, Load, LossTerm, ReachEnv
from fbx_env.env import clock_of
from fbx_env.senses import flat_feedback, sensory_channels

if TYPE_CHECKING:
    from agents.optimum.linear_quadratic import Steps

N_CHECKED = 64
"""Steps whose affinity is checked, of those that differ."""

N_PROBED = 8
"""Steps that are not affine at which the part at fault is looked for."""

SCALES = (1e-2, 1.0, 1e2)
"""Sizes of the random points between which functions are checked."""

ALONG = np.array([-1.0, 0.0, 1.0, 2.0])
"""Positions on a line at which they are evaluated."""

VARIABLE = (
    *("before", "after", "plant_before", "plant_after", "command", "control"),
    *("previous_control", "load", "target"),
)
"""The parts of a transition in which a loss term may be quadratic."""

DIFFERENCES = {
    1: np.array([[1.0, -2.0, 1.0, 0.0], [0.0, 1.0, -2.0, 1.0]]),
    2: np.array([[-1.0, 3.0, -3.0, 1.0]]),
}
"""By degree, differences of values at ``ALONG`` that vanish for such polynomials."""


class NoOptimumError(ValueError):
    """The optimum, or the best known loss, of an experiment cannot be found; it says why."""


def check_finite(*numbers: Any) -> None:
    """Raise ``NoOptimumError`` if a number is not finite."""
    if not all(np.isfinite(each).all() for each in numbers):
        raise NoOptimumError(
            "the optimum cannot be computed in float64: numbers grow past all bounds; distances, "
            "or the plant's rates of change for its time step, are far too large"
        )


def refuse(*obstacles: str) -> None:
    """Raise ``NoOptimumError`` that says what rules out the exact optimum."""
    raise NoOptimumError(
        "the optimum is known exactly only where steps are affine in state and command, the loss "
        f"is quadratic and the noise Gaussian; that rules out {', '.join(obstacles)}; without "
        "noise, best_known_loss and evaluate(..., n_starts=8) look for the best known loss"
    )


def check_is_linear_quadratic(steps: Steps) -> None:
    """Raise ``NoOptimumError`` that names what is not affine, quadratic or Gaussian.

    Along straight lines through state and command, and through the noise, steps must be affine and
    losses quadratic, to rounding.
    """
    experiment, random = steps.experiment, np.random.default_rng(4)
    steps = steps.some(random.permutation(len(steps.trial))[:N_CHECKED])
    if experiment.draws_others:
        refuse("noise that is not drawn by jax.random.normal")
    room = (
        np.minimum(
            experiment.high - experiment.resting_command,
            experiment.resting_command - experiment.low,
        )
        / 2
    )

    def draw(scale: float) -> Float[np.ndarray, "1 whole_point"]:
        command = random.uniform(-1, 1, experiment.n_controls) * np.minimum(scale, room)
        return np.concatenate([scale * random.normal(size=experiment.n_states), command])[None]

    normals = random.normal(size=(1, experiment.n_normals))
    nothing, quiet = 0 * draw(1.0), 0 * normals
    lines = [(nothing, quiet, draw(scale), quiet) for scale in SCALES]
    if normals.size:
        lines += [(nothing, normals, draw(1.0), quiet), (draw(1.0), quiet, nothing, normals)]
    for point, noise, way, noise_way in lines:
        outcomes = [
            steps.outcome(point + along * way, noise + along * noise_way) for along in ALONG
        ]
        affine = np.stack([np.concatenate([one.state, one.observation], 1) for one in outcomes])
        losses = np.stack([one.losses for one in outcomes])
        if not (is_polynomial(affine, 1) and is_polynomial(losses, 2)):
            at_fault = _at_fault(steps.some(_failing(affine, losses)[:N_PROBED]))
            refuse(*(at_fault or ["this experiment, in a part that could not be singled out"]))


def is_polynomial(values: Float[np.ndarray, "4 *shape"], degree: int) -> bool:
    """Whether values at ``ALONG`` are those of polynomials of a degree, to rounding."""
    size = np.abs(values).max(axis=0)
    remaining = np.abs(np.tensordot(DIFFERENCES[degree], values, axes=1)).max(axis=0)
    # Keep <=: it is False for NaN, which is to be refused.
    return bool(np.all(remaining <= 1e-8 * size + 1e-12 * size.max(initial=0.0)))


def _failing(
    affine: Float[np.ndarray, "4 steps states"], losses: Float[np.ndarray, "4 steps terms"]
) -> Int[np.ndarray, " failing"]:
    """The indices of the steps whose values at ``ALONG`` are not those of the polynomials."""
    kept = [
        is_polynomial(state, 1) and is_polynomial(loss, 2)
        for state, loss in zip(affine.swapaxes(0, 1), losses.swapaxes(0, 1), strict=True)
    ]
    return np.flatnonzero(~np.array(kept))


def _at_fault(steps: Steps) -> list[str]:
    """The parts that are not affine, and the terms of the loss that are not quadratic.

    They are those of the first of the steps at which there are any.
    """
    with enable_x64(True):
        for trial, time in zip(steps.trial.tolist(), steps.time.tolist(), strict=True):
            parts = _parts(steps.experiment, trial, time)
            at_fault = [
                name
                for name, degree, function, example in parts
                if not _fits(degree, function, example)
            ]
            if at_fault:
                return at_fault
    return []


def _fits(degree: int, function: Callable[..., Any], example: tuple[Any, ...]) -> bool:
    """Whether a function of such arguments is a polynomial of a degree along random lines."""
    vector, restore = ravel_pytree(example)
    random = np.random.default_rng(5)

    @jax.jit
    @jax.vmap
    def values(point: Float[Array, " point"]) -> Float[Array, " value"]:
        return ravel_pytree(function(*restore(point)))[0]

    for scale in SCALES:
        start, way = scale * random.normal(size=(2, vector.size))
        if not is_polynomial(np.asarray(values(start + ALONG[:, None] * way)), degree):
            return False
    return True


def _parts(
    experiment: Experiment, trial: int, time: int
) -> Iterator[tuple[str, int, Callable[..., Any], tuple[Any, ...]]]:
    """Each part: what it is, the degree it may have, its function, and arguments of this."""
    key = jax.random.key(0)
    params, state = experiment.example(trial, time)
    plant, task, dt = params.plant, params.task, jnp.asarray(params.dt)
    now = clock_of(state, params)
    free, fixed = eqx.partition(
        state.trial, lambda leaf: experiment.trial_in_state and eqx.is_inexact_array(leaf)
    )
    effector, rest = plant.effector(state.plant), jnp.asarray(experiment.resting_command)

    def called(kind: str, part: Any) -> str:
        return f"the {kind} {type(part).__name__}"

    def move(state: Any, control: Any, force: Any) -> Any:
        after = plant.step(state, control, lambda effector: force, dt)
        return after, plant.effector(state), plant.feedback(state)

    def show(free: Any) -> Any:
        trial = eqx.combine(free, fixed)
        return task.target(trial, now), task.cue(trial, now)

    yield called("plant", plant), 1, move, (state.plant, rest, jnp.zeros(2))
    yield called("task", task), 1, show, (free,)
    for load in params.loads:
        push = partial(_push, load, fixed, now)
        yield called("load", load), 1, push, (effector, free)
    motor = (state.motor, rest)
    yield called("motor channel", params.motor), 1, partial(_pass, params.motor, key, now), motor
    feedback = flat_feedback(plant, state.plant)
    for name, channel in sensory_channels(params, feedback).items():
        signal = (state.senses[name], feedback[name])
        yield called("sensory channel", channel), 1, partial(_pass, channel, key, now), signal
    _, transition = ReachEnv().transition(key, state, rest, params)
    variable = [name for name in VARIABLE if experiment.trial_in_state or name != "target"]
    values = tuple(getattr(transition, name) for name in variable)
    for term in params.loss:

        def cost(*values: Any, term: LossTerm = term) -> Any:
            return term.cost(transition.replace(**dict(zip(variable, values, strict=True))))

        yield f"the loss term {term.name}", 2, cost, values


def _push(load: Load, fixed: Any, now: Clock, effector: Effector, free: Any) -> Any:
    return load.force_on(effector, eqx.combine(free, fixed), now)


def _pass(channel: Channel, key: Any, now: Clock, state: Any, signal: Any) -> Any:
    return channel.step(key, state, signal, now)
