"""Optimisers that users bring: which are accepted, and what they are called with."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PyTree

from fbx_env import checks


def checked_optimizer(optimizer: Any) -> optax.GradientTransformation:
    """Return an optimiser of optax, or raise ``TypeError``; ``optax.MultiSteps`` is one."""
    if isinstance(optimizer, optax.MultiSteps):
        optimizer = optimizer.gradient_transformation()
    checked: optax.GradientTransformation = checks.instance(
        "optimizer", optimizer, optax.GradientTransformation
    )
    return checked


def take_step(
    optimizer: optax.GradientTransformation,
    loss: Callable[[PyTree], Float[Array, ""]],
    parameters: PyTree,
    opt_state: PyTree,
    value: Float[Array, ""],
    gradient: PyTree,
) -> tuple[PyTree, PyTree]:
    """Return an optimiser's steps and its next state.

    Line searches and schedules on plateaus ask for the loss beside the gradient, most optimisers
    for nothing, and some, such as ``optax.contrib.sam``, refuse what they do not ask for.

    Args:
        optimizer: of optax.
        loss: of the parameters.
        parameters: where the loss has this ``value`` and ``gradient``.
        opt_state: the optimiser's state.
    """
    known = inspect.signature(optimizer.update).parameters
    extras: dict[str, Any] = {"value": value, "grad": gradient, "value_fn": loss}
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values()):
        extras = {name: extra for name, extra in extras.items() if name in known}
    if "grad_fn" in known:  # Line searches refuse it where it is not asked for.
        extras["grad_fn"] = lambda parameters, _: jax.grad(loss)(parameters)
    update: Any = optimizer.update
    # Optimisers mix whole numbers with others, also where that is otherwise forbidden.
    with jax.numpy_dtype_promotion("standard"):
        steps, opt_state = update(gradient, opt_state, parameters, **extras)
    return steps, opt_state


def first_steps(optimizer: optax.GradientTransformation, parameters: PyTree) -> PyTree:
    """Return an optimiser's first steps on a sum of squares, which depend on all that it does."""

    def loss(parameters: PyTree) -> Float[Array, ""]:
        return jnp.square(optax.tree.norm(parameters))

    value, gradient = jax.value_and_grad(loss)(parameters)
    return take_step(optimizer, loss, parameters, optimizer.init(parameters), value, gradient)[0]
