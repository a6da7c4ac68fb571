"""A search among local optima of the commands of trials: parts of commands are moved in time.

The activation of a muscle rises faster than it falls, so that single strong commands, each some
steps after the last one, cost less than steady ones. There are about as many local optima as ways
to place them, and Newton's method changes how strong they are, but hardly when they are.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from agents.optimum.experiment import Experiment
from agents.optimum.newton import (
    AGREEMENT,
    FIRST_DAMPING,
    OneTrial,
    call,
    derivatives_of,
    newton_step,
    optimised,
    total_losses,
)
from fbx_env import Trial

N_LARGEST = 24
"""Commands of a trial that are moved, one at a time."""

SHIFTS = (-5, -4, -3, -2, -1, 1, 2, 3, 4, 5)
"""Steps by which they are moved."""

SHARES = (0.5, 0.95)
"""Of a command that are moved."""

REMAINDERS = (0.5, 0.75, 1.0)
"""Of what is moved that arrive: two commands in one step need less than both in two."""

N_NEWTON_STEPS = 3
"""After a move."""

N_TRIES = 5
"""Moves of which none lowers the loss of a trial end its search."""

MAX_ROUNDS = 100


def searched(
    experiment: Experiment,
    commands: Float[np.ndarray, "trials steps controls"],
    which: Bool[np.ndarray, " trials"],
) -> Float[np.ndarray, "trials steps controls"]:
    """Commands with a lower loss, where moves lead to one.

    In each round, every trial takes its best move, with some Newton steps after it, if that lowers
    the loss, and otherwise its next best one in the next round.

    Args:
        experiment: whose commands are searched for.
        commands: of local optima, from which the search begins.
        which: the trials whose commands are searched for; those of others stay as they are.
    """
    commands, loss = commands.copy(), total_losses(experiment, commands)
    n_failures = np.where(which, 0, N_TRIES)
    each = np.arange(len(commands))
    for _ in range(MAX_ROUNDS):
        if np.all(n_failures >= N_TRIES):
            break
        (moved,) = call(_best_moves, experiment, commands)
        moved = moved[each, np.minimum(n_failures, N_TRIES - 1)]
        moved = optimised(experiment, moved, N_NEWTON_STEPS)
        after = total_losses(experiment, moved)
        falls = (after < (1 - AGREEMENT) * loss) & (n_failures < N_TRIES)
        commands[falls], loss[falls] = moved[falls], after[falls]
        n_failures = np.where(falls, 0, n_failures + 1)
    return commands


@jax.jit
def _best_moves(
    fixed: Any, trials: Trial, drawn: Any, commands: Float[Array, "trials steps controls"]
) -> tuple[Float[Array, "trials tries steps controls"]]:
    """The commands after those moves of each trial that lead to the least losses, best first.

    All later commands answer to what a move does to the states, as in a Newton step.
    """

    def one(items: tuple[Trial, Any, Array]) -> Float[Array, "tries steps controls"]:
        trial, drawn, commands = items
        whole = OneTrial._make((*fixed, trial, drawn))
        states, _, _ = whole.run(lambda _, command: command, commands)
        steps = derivatives_of(whole, states, commands)
        _, answer, _ = newton_step(steps, jnp.zeros(()), jnp.asarray(FIRST_DAMPING))
        moved, losses = jax.vmap(lambda moved: whole.answered(states, moved, answer))(
            _moves(commands)
        )
        losses = jnp.where(jnp.isfinite(losses), losses, jnp.inf)
        return moved[jax.lax.top_k(-losses, N_TRIES)[1]]

    # One trial after the other, as there are more than a thousand moves of each.
    return (jax.lax.map(one, (trials, drawn, commands)),)


def _moves(commands: Float[Array, "steps controls"]) -> Float[Array, "moves steps controls"]:
    """Commands of which one of the largest is moved to another step, in part or nearly whole."""
    n_steps, n_controls = commands.shape
    _, largest = jax.lax.top_k(jnp.abs(commands).ravel(), min(N_LARGEST, commands.size))

    def moved(
        place: Int[Array, ""],
        shift: Int[Array, ""],
        share: Float[Array, ""],
        remainder: Float[Array, ""],
    ) -> Float[Array, "steps controls"]:
        step, control = place // n_controls, place % n_controls
        amount = share * commands[step, control]
        to = jnp.clip(step + shift, 0, n_steps - 1)
        return commands.at[step, control].add(-amount).at[to, control].add(remainder * amount)

    ways = jnp.meshgrid(largest, *map(jnp.asarray, (SHIFTS, SHARES, REMAINDERS)))
    return jax.vmap(moved)(*(each.ravel() for each in ways))
