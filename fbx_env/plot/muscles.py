"""Figures of the laws that muscles obey."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fbx_env import checks
from fbx_env.figures.colors import PALETTE
from fbx_env.parts.plants.integration import Integration
from fbx_env.parts.plants.muscles.activation import ActivationDynamics
from fbx_env.parts.plants.muscles.muscle import Muscle
from fbx_env.plot import style

LENGTHS = np.linspace(0.5, 1.6, 221)
"""Of fibres [optimal lengths]."""

VELOCITIES = np.linspace(-15.0, 15.0, 301)
"""At which fibres lengthen [optimal lengths/s]."""

ACTIVATIONS = (1.0, 0.5, 0.25)
"""At which force over velocity is shown."""

LINES = tuple(zip(("-", "--", ":"), PALETTE[:3], strict=True))
"""Dashes and colours."""

TICK = 0.001
"""Between points of the time course of activation [s]."""

N_EXCITED, N_RELAXED = 150, 250
"""Points with full excitation, and then with none."""


def muscle_curves(
    muscle: Muscle, optimal_length: float = 0.1, axes: Sequence[Axes] | np.ndarray | None = None
) -> tuple[Figure, np.ndarray]:
    """Draw how a muscle's force depends on length and velocity, and how activation follows.

    Force over length is that of a fully active and of a relaxed muscle at rest, and the difference
    between the two; force over velocity is at the optimal length; and activation over time is
    with full excitation for 0.15 s, and then with none.

    Args:
        muscle: any kind.
        optimal_length: of its fibres [m], greater than 0.
        axes: three; a new figure if not given.

    Returns:
        Figure and axes.

    Raises:
        TypeError: if ``muscle`` is not a ``Muscle``.
        ValueError: for a length that is not allowed, or another number of axes.

    Example:
        >>> figure, axes = muscle_curves(fbx_env.KistemakerMuscle())
    """
    checks.instance("muscle", muscle, Muscle)
    optimal_length = checks.number("optimal_length", optimal_length, above=0)
    made = style.new_axes(1, 3, (9.6, 3.3))[1] if axes is None else axes
    flat = style.given_axes(made, 3)
    lowest = float(muscle.activation.min_activation)
    active, relaxed = (
        _force(muscle, optimal_length, level, LENGTHS, 0.0) for level in (1.0, lowest)
    )
    forces = {"active": active, "relaxed": relaxed, "difference": active - relaxed}
    for (label, force), (dashes, color) in zip(forces.items(), LINES, strict=True):
        flat[0].plot(LENGTHS, force, dashes, color=color, label=label)
    for level, (dashes, color) in zip(ACTIVATIONS, LINES, strict=True):
        force = _force(muscle, optimal_length, level, 1.0, VELOCITIES)
        flat[1].plot(VELOCITIES, force, dashes, color=color, label=f"activation {level:g}")
    excitation, activation = _step_response(muscle.activation)
    time = TICK * np.arange(len(activation))
    flat[2].plot(time, excitation, "--", color=style.GUIDE, label="excitation")
    flat[2].plot(time, activation, color=PALETTE[0], label="activation")
    style.tidy(flat[0], xlabel="Fibre length [l_opt]", ylabel="Force [F_max]")
    style.tidy(flat[1], xlabel="Velocity of lengthening [l_opt/s]", ylabel="Force [F_max]")
    style.tidy(flat[2], xlabel="Time [s]", ylabel="Activation")
    for ax in flat:
        ax.set_ylim(bottom=min(0.0, ax.get_ylim()[0]))
        # Above the axes: there is no place inside of them that every muscle leaves free.
        ax.legend(
            frameon=False, fontsize=style.SMALL, loc="lower center", bbox_to_anchor=(0.5, 1.0)
        )
    return style.figure_of(flat[0]), flat


def _force(
    muscle: Muscle,
    optimal_length: float,
    activation: float,
    length: Float[np.ndarray, " places"] | float,
    velocity: Float[np.ndarray, " places"] | float,
) -> Float[np.ndarray, " places"]:
    """As a fraction of the largest, with length and velocity in optimal lengths."""
    where = jnp.broadcast_arrays(
        *(jnp.asarray(x, float) for x in (activation, length, velocity, optimal_length))
    )
    level, relative, rate, optimal = where
    return np.asarray(muscle.tension(level, relative * optimal, rate * optimal, optimal))


def _step_response(
    dynamics: ActivationDynamics,
) -> tuple[Float[np.ndarray, " times"], Float[np.ndarray, " times"]]:
    """Excitation and activation of a muscle that is excited and then left alone."""
    pulse = jnp.repeat(jnp.array([1.0, 0.0]), jnp.array([N_EXCITED, N_RELAXED]))
    excitation = dynamics.bounded(pulse)[:, None]

    def move(activation: jax.Array, excitation: jax.Array) -> tuple[jax.Array, jax.Array]:
        after = Integration().advance(
            lambda level: dynamics.rate(excitation, level), activation, jnp.asarray(TICK)
        )
        return after, activation

    _, activation = jax.lax.scan(move, dynamics.bounded(jnp.zeros(1)), excitation)
    return np.asarray(excitation[:, 0]), np.asarray(activation[:, 0])
