"""blackjax: the posterior of the mass, by its sampler.

In an environment with `pip install "blackjax"`; ran with 1.7.1.
"""

import blackjax
import jax
import jax.numpy as jnp
from movement import MASS, NOISE, SEEN, path


def log_density(log_mass):
    """Of the logarithm of the mass, a normal prior included."""
    errors = (path(jnp.exp(log_mass)) - SEEN) / NOISE
    return -0.5 * jnp.sum(jnp.square(errors)) - 0.5 * jnp.square(log_mass)


key_warmup, key_samples = jax.random.split(jax.random.key(2))
warmup = blackjax.window_adaptation(blackjax.nuts, log_density)
(state, parameters), _ = warmup.run(key_warmup, jnp.array(0.0), num_steps=200)
kernel = blackjax.nuts(log_density, **parameters)
_, states = jax.lax.scan(
    lambda state, key: (lambda new: (new, new))(kernel.step(key, state)[0]),
    state,
    jax.random.split(key_samples, 200),
)
mass = jnp.exp(states.position)
assert abs(jnp.mean(mass) - MASS) < 4 * jnp.std(mass)
assert jnp.std(mass) < 0.1
print(f"blackjax: mass {jnp.mean(mass):.2f} +- {jnp.std(mass):.2f} kg, was {MASS} kg")
