"""numpyro: the posterior of the mass, by its sampler.

In an environment with `pip install "numpyro"`; ran with 0.22.0.
"""

import jax
import jax.numpy as jnp
import numpyro
from movement import MASS, NOISE, SEEN, path
from numpyro import distributions
from numpyro.infer import MCMC, NUTS


def model():
    mass = numpyro.sample("mass", distributions.LogNormal(0.0, 1.0))
    numpyro.sample("seen", distributions.Normal(path(mass), NOISE), obs=SEEN)


sampler = MCMC(NUTS(model), num_warmup=200, num_samples=200, progress_bar=False)
sampler.run(jax.random.key(2))
mass = sampler.get_samples()["mass"]
assert abs(jnp.mean(mass) - MASS) < 4 * jnp.std(mass)
assert jnp.std(mass) < 0.1
print(f"numpyro: mass {jnp.mean(mass):.2f} +- {jnp.std(mass):.2f} kg, was {MASS} kg")
