"""A check of one part, which says to its author what is wrong with it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fbx_env import checks
from fbx_env.checked_calls import (
    called,
    check_array,
    check_same,
    check_state,
    transformed,
    want,
)
from fbx_env.env import ReachEnv
from fbx_env.params import ReachParams
from fbx_env.parts.channels.channel import Channel
from fbx_env.parts.clock import Clock
from fbx_env.parts.component import Component
from fbx_env.parts.draws.draw import Draw
from fbx_env.parts.interventions.intervention import ActivityIntervention, NetworkIntervention
from fbx_env.parts.loads.load import Load
from fbx_env.parts.losses.loss import LossTerm
from fbx_env.parts.losses.transition import Transition
from fbx_env.parts.plants.plant import MODALITIES, Control, Effector, Plant
from fbx_env.parts.tasks.simple_reaches import SimpleReaches
from fbx_env.parts.tasks.task import Task
from fbx_env.parts.tasks.trial import Trial
from fbx_env.reach import is_out_of_reach


def check_part(part: Component, params: ReachParams | None = None) -> None:
    """Check that a part does what its role asks for, as ``check_env`` of Gymnasium does.

    Its methods are called on a few inputs: plain, under ``jax.jit``, ``jax.vmap`` and ``jax.grad``.

    Args:
        part: a plant, load, channel, task, loss term, draw or intervention on activity. Parts of
            these, as muscles of a plant or paths of a task, are checked with them.
        params: an experiment around it. A plant is started where the task's validation trials
            start. If not given, the original one; for a plant, small reaches around a place that it
            reaches.

    Raises:
        TypeError: if it is none of these, or a class.
        ValueError: saying which method gave what, and what is wanted.

    Example:
        >>> check_part(PointMass(mass=2.0))
    """
    role = next((kind for kind in _CHECKS if isinstance(part, kind)), None)
    if role is None:
        *names, last = (kind.__name__ for kind in _CHECKS)
        raise TypeError(
            f"part must be a {', '.join(names)} or {last}, got {part!r}{_advice_on(part)}"
        )
    host = _host(part) if params is None else checks.instance("params", params, ReachParams)
    _check_numbers(part, host)
    _CHECKS[role](part, host)


def _advice_on(value: Any) -> str:
    """What to do with a value that is no part to be checked."""
    if isinstance(value, type):
        return f"; give an instance, {value.__name__}(), not the class"
    if isinstance(value, NetworkIntervention):
        return "; it is checked by rollout, with a policy that has what it changes"
    if isinstance(value, Component):
        return "; part of another part, as muscles of a plant, it is checked with that"
    return ""


def _host(part: Component) -> ReachParams:
    """The original experiment; for a plant, one with trials within its reach, not at the origin."""
    places = [(x, y) for distance in (0.3, 0.6, 1.0) for x, y in ((0, distance), (distance, 0))]
    corners = 0.1 * jnp.array([[-1.0, -1.0], [1.0, 1.0]])
    if not isinstance(part, Plant):
        return ReachParams()
    tasks = (SimpleReaches(workspace=jnp.array(place) + corners) for place in places)
    hosts = [ReachParams(task=task) for task in tasks]
    return next((host for host in hosts if _can_start(part, host)), hosts[0])


def _can_start(plant: Plant, params: ReachParams) -> bool:
    """Whether nothing is known to keep a plant from the start of the validation trials."""
    start = params.task.validation_trials().start[0]
    try:
        return not is_out_of_reach(plant, plant.init(start), start)
    except Exception:  # The check of the method that fails will say so.
        return True


def _check_numbers(part: Component, params: ReachParams) -> None:
    """Check that all numbers are declared, under names that are free."""
    kind = type(part)
    declared = kind.declarations()
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        value = getattr(part, field.name)
        is_number = isinstance(value, int | float | jax.Array | np.ndarray)
        if is_number and not isinstance(value, bool) and field.name not in declared:
            raise ValueError(
                f"{kind.__name__}.{field.name} must be declared by number(...) or whole(...), so "
                f"that it is checked and described; it is just {value!r}"
            )
    taken = {field.name for field in dataclasses.fields(params)}
    for name, declaration in declared.items():
        if (declaration.keyword or name) in taken:
            raise ValueError(
                f"{kind.__name__}.{name} must have another name or keyword, make takes "
                f"{declaration.keyword or name!r} for something else"
            )


def _check_plant(plant: Plant, params: ReachParams) -> None:
    name = type(plant).__name__
    controls = called(plant, "controls", lambda: plant.controls)
    want(
        isinstance(controls, tuple) and all(isinstance(each, Control) for each in controls),
        f"{name}.controls must be a tuple of Control, got {controls!r}",
    )
    names = [each.name for each in controls]
    want(
        0 < len(names) == len(set(names)),
        f"{name}.controls must have one or more, each with a name of its own, got {names}",
    )
    position = params.task.validation_trials().start[0]
    start = called(plant, "init", lambda: plant.effector(plant.init(position)))
    _check_effector(f"{name}.effector", start)
    want(
        bool(jnp.allclose(start.pos, position, atol=1e-4)),
        f"{name}.init must put the effector at {position.tolist()} [m], where the first validation "
        f"trial of {type(params.task).__name__} starts, got {start.pos.tolist()}; if that is out "
        "of its reach, give check_part params with a task whose trials start within it",
    )
    want(not start.vel.any(), f"{name}.init must be at rest, got velocity {start.vel.tolist()}")
    state = transformed(plant, "init", position)
    check_state(f"{name}.init", state)
    for method in ("effector", "feedback"):
        transformed(plant, method, state)
    _check_feedback(name, plant.feedback(state))

    def step(plant: Plant, state: Any, control: Any, force: Any, dt: Any) -> Any:
        return plant.step(state, control, lambda effector: force, dt)

    for scale in (0.0, 0.3):
        control = scale * jnp.ones(len(controls))
        arguments = (state, control, scale * jnp.ones(2), jnp.asarray(params.dt))
        after = transformed(plant, "step", *arguments, function=step)
        check_same(f"{name}.step", state, after)
        state = after
    _check_motion(plant, start, state, jax.jit(partial(step, plant)), params)


def _check_motion(
    plant: Plant, start: Effector, state: Any, step: Callable[..., Any], params: ReachParams
) -> None:
    """Check that steps move the effector, and that its velocity is that of its position."""
    name, push = type(plant).__name__, (0.3 * jnp.ones(len(plant.controls)), 0.3 * jnp.ones(2))
    for _ in range(4):
        state = step(state, *push, jnp.asarray(params.dt))
    # Shorter than a step, so that the velocity hardly changes in it.
    short = 0.1 * jnp.asarray(params.dt)
    before, after = plant.effector(state), plant.effector(step(state, *push, short))
    want(
        bool((before.pos != start.pos).any() or before.vel.any()),
        f"{name}.step must move the effector, which is still at {start.pos.tolist()} [m] after 5 "
        "steps with 0.3 for each control and a force of 0.3 N along each axis",
    )
    rate = (after.pos - before.pos) / short
    rounding = 1e-6 * (1 + jnp.abs(before.pos)) / short
    allowed = rounding + 0.2 * jnp.linalg.norm(rate) + jnp.abs(after.vel - before.vel)
    want(
        bool((jnp.abs(rate - before.vel) <= allowed).all()),
        f"{name}.effector must give the rate of change of its position as its velocity, "
        f"{rate.tolist()} [m/s] in a step of {short:g} s, got {before.vel.tolist()}",
    )


def _check_load(load: Load, params: ReachParams) -> None:
    name = type(load).__name__
    _check_name(load)
    for transition in _transitions(params):
        now = transition.clock
        force = transformed(load, "force_on", transition.before, transition.trial, now)
        check_array(f"{name}.force_on", force, (2,))


def _check_channel(channel: Channel, params: ReachParams) -> None:
    name = type(channel).__name__
    signal = jnp.array([0.3, -0.2, 0.1, 0.4])
    state = transformed(channel, "init", signal)
    check_state(f"{name}.init", state)

    def step(channel: Channel, state: Any, signal: Any, key: Any, clock: Any) -> Any:
        return channel.step(key, state, signal, clock)

    for index in range(3):
        clock = Clock(jnp.asarray(index), jnp.asarray(params.dt), params.max_steps_in_episode)
        arguments = (state, signal, jax.random.key(index), clock)
        given = transformed(channel, "step", *arguments, function=step)
        want(
            isinstance(given, tuple) and len(given) == 2,
            f"{name}.step must return a signal and a state, got {given!r}",
        )
        check_array(f"{name}.step", given[0], signal.shape)
        check_same(f"{name}.step", state, given[1])
        state = given[1]


def _check_task(task: Task, params: ReachParams) -> None:
    name = type(task).__name__
    trial = called(task, "sample", lambda: task.sample(jax.random.key(0)))
    trials = called(task, "validation_trials", task.validation_trials)
    for method, value, n_axes in (("sample", trial, 1), ("validation_trials", trials, 2)):
        want(
            isinstance(value, Trial) and value.start.ndim == n_axes,
            f"{name}.{method} must return {'one Trial' if n_axes == 1 else 'a batch of trials'}, "
            f"got {value!r}",
        )
    first = jax.tree.map(lambda leaf: leaf[0], trials)
    check_same(f"{name}.validation_trials", trial, first)
    for step in (0, params.max_steps_in_episode // 2, params.max_steps_in_episode):
        clock = Clock(jnp.asarray(step), jnp.asarray(params.dt), params.max_steps_in_episode)
        _check_effector(f"{name}.target", transformed(task, "target", trial, clock))
        cue = transformed(task, "cue", trial, clock)
        want(isinstance(cue, dict), f"{name}.cue must return a dict of arrays, got {cue!r}")
        for part, value in cue.items():
            check_array(f"{name}.cue[{part!r}]", value, (jnp.size(value),))
        epoch = int(task.epoch(trial, clock))
        want(
            0 <= epoch < len(task.epoch_names),
            f"epoch_start of {name}'s trials must begin with 0 and have an entry for each of "
            f"{', '.join(task.epoch_names)}; step {step} is in epoch {epoch}",
        )


def _check_term(term: LossTerm, params: ReachParams) -> None:
    name = type(term).__name__
    for transition in _transitions(params):
        check_array(f"{name}.cost", transformed(term, "cost", transition), ())


def _check_draw(draw: Draw, params: ReachParams) -> None:
    name = type(draw).__name__
    want(
        draw.number in [each.name for each in params.numbers()],
        f"no number {draw.number!r} in the experiment of the check; give check_part params that "
        "have it",
    )
    default = jnp.asarray(params.number(draw.number).value, float)

    def sample(draw: Draw, default: Any, key: Any) -> Any:
        return draw.sample(key, default)

    value = transformed(draw, "sample", default, jax.random.key(0), function=sample)
    check_array(f"{name}.sample", value, default.shape)


def _check_intervention(intervention: ActivityIntervention, params: ReachParams) -> None:
    _check_name(intervention)
    activity = jnp.linspace(-0.5, 0.5, max(intervention.units, default=3) + 1)

    def on(intervention: ActivityIntervention, activity: Any, key: Any, clock: Clock) -> Any:
        return intervention.on(activity, clock, key)

    for step in (0, params.max_steps_in_episode - 1):
        clock = Clock(jnp.asarray(step), jnp.asarray(params.dt), params.max_steps_in_episode)
        after = transformed(intervention, "on", activity, jax.random.key(step), clock, function=on)
        check_array(f"{type(intervention).__name__}.changed", after, activity.shape)


_CHECKS: dict[type, Callable[[Any, ReachParams], None]] = {
    Plant: _check_plant,
    Load: _check_load,
    Channel: _check_channel,
    Task: _check_task,
    LossTerm: _check_term,
    Draw: _check_draw,
    ActivityIntervention: _check_intervention,
}


def _transitions(params: ReachParams) -> list[Transition]:
    """A step at rest on the target without a command; the first and the last step with one."""
    env, key = ReachEnv(), jax.random.key(0)
    _, state = env.reset_env(key, params)
    nothing = jnp.zeros_like(state.control)
    late = state.replace(time=state.time + params.max_steps_in_episode - 1)
    starts = ((state, nothing), (state, nothing + 0.1), (late, nothing + 0.1))
    still, *moved = (env.transition(key, *start, params)[1] for start in starts)
    return [still.replace(target=still.after), *moved]


def _check_effector(name: str, value: Any) -> None:
    want(isinstance(value, Effector), f"{name} must be an Effector, got {value!r}")
    for part in ("pos", "vel"):
        check_array(f"{name}.{part}", getattr(value, part), (2,))


def _check_feedback(name: str, feedback: Any) -> None:
    known = isinstance(feedback, dict) and set(feedback) <= set(MODALITIES)
    want(
        known
        and "vision" in feedback
        and all(isinstance(each, dict) for each in feedback.values()),
        f"{name}.feedback must be a dict with a dict of arrays for vision, and maybe one for "
        f"proprioception, got {feedback!r}",
    )
    for modality, quantities in feedback.items():
        for quantity, value in quantities.items():
            check_array(f"{name}.feedback {modality} {quantity}", value, (jnp.size(value),))


def _check_name(part: Any) -> None:
    want(bool(part.name), f"{type(part).__name__} must define a class attribute 'name' of its own")
