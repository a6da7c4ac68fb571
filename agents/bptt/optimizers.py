"""Optimisers that users bring: which are accepted, and what they are called with."""

from __future__ import annotations

import inspect
from typing import Any

import jax
import jax.numpy as jnp
import optax

from fbx_env import checks


def checked_optimizer(optimizer: Any) -> optax.GradientTransformation:
    """Return an optimiser of optax, or raise ``TypeError``; ``optax.MultiSteps`` is one."""
    if isinstance(optimizer, optax.MultiSteps):
        optimizer = optimizer.gradient_transformation()
    return checks.instance("optimizer", optimizer, optax.GradientTransformation)


def accepting_extras(
    optimizer: optax.GradientTransformation,
) -> optax.GradientTransformationExtraArgs:
    """Return an optimiser that takes every extra argument, and passes on those it knows.

    Line searches and schedules on plateaus ask for the loss beside the gradient, most optimisers
    for nothing, and some, such as ``optax.contrib.sam``, refuse what they do not ask for.
    """
    parameters = inspect.signature(optimizer.update).parameters.values()
    takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    known = {parameter.name for parameter in parameters}

    def update(updates: Any, state: Any, params: Any = None, **extras: Any) -> Any:
        taken = {name: value for name, value in extras.items() if takes_all or name in known}
        return optimizer.update(updates, state, params, **taken)

    return optax.GradientTransformationExtraArgs(optimizer.init, update)


def one_step(optimizer: optax.GradientTransformation, parameters: Any) -> Any:
    """Return the first step of an optimiser on the sum of squares, which depends on all it does."""

    def loss(parameters: Any) -> Any:
        return jnp.square(optax.tree.norm(parameters))

    value, gradient = jax.value_and_grad(loss)(parameters)
    steps, _ = accepting_extras(optimizer).update(
        gradient,
        optimizer.init(parameters),
        parameters,
        value=value,
        grad=gradient,
        value_fn=loss,
        grad_fn=lambda parameters, _: jax.grad(loss)(parameters),
    )
    return steps
