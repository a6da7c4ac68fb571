"""A movement that was seen, from which libraries of inference find the mass that moved."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fbx_env import make

MASS, NOISE = 2.0, 0.002

ENV, PARAMS = make(max_steps_in_episode=20)
COMMANDS = jax.random.normal(jax.random.key(0), (20, 2))


def path(mass: Float[Array, ""]) -> Float[Array, "20 2"]:
    """Where the commands take a point mass from rest [m]; differentiable."""
    params = PARAMS.replace(plant=PARAMS.plant.replace(mass=mass))
    trial = jax.tree.map(lambda leaf: leaf[0], PARAMS.task.validation_trials())
    _, state = ENV.reset_trial(jax.random.key(0), trial, params)

    def step(state, command):
        _, state, *_ = ENV.step_env(jax.random.key(0), state, command, params)
        return state, state.plant.pos

    return jax.lax.scan(step, state, COMMANDS)[1]


SEEN = path(jnp.array(MASS)) + NOISE * jax.random.normal(jax.random.key(1), (20, 2))
