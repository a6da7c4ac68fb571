"""Infer mass and damping from noisy recorded movements: a posterior instead of a best guess.

A sampler of blackjax (NUTS) explores which bodies could have made the recordings, with gradients
through the environment. Then the posterior itself is put to the test: over many recordings of other
bodies, drawn from the prior, a 90 % interval must contain the truth in 90 % of the cases.

Needs blackjax: pip install blackjax

python examples/inference.py          # a minute on two cores
python examples/inference.py --quick  # few samples, to see that it runs
"""

import argparse
from typing import Any

import blackjax
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import fbx_env
from agents import OpenLoopPolicy, OptimalPolicy
from fbx_env import PointMass, plot

ENV, PARAMS = fbx_env.make(max_steps_in_episode=40, eval_n_directions=3)
TRIALS = PARAMS.task.validation_trials()
SENSOR_NOISE = 0.01
"""Standard deviation of the error of recorded positions [m]."""
PRIOR_MEAN, PRIOR_STD = jnp.log(jnp.array([1.5, 0.8])), jnp.array([0.4, 0.6])
"""Of the logarithms of mass [kg] and damping [N s/m], which are normal and independent."""
TRUTH = jnp.array([1.9, 0.5])


COMMANDS = fbx_env.rollout(ENV, PARAMS, OptimalPolicy(PARAMS), TRIALS, jax.random.key(0)).command


def paths(logarithms: jax.Array) -> jax.Array:
    """Where a body of this mass and damping goes under the commands [m]."""
    mass, damping = jnp.exp(logarithms)
    params = PARAMS.replace(plant=PointMass(mass=mass, damping=damping))
    key = jax.random.key(0)  # Unused, as the movements have no noise.

    def path(commands: jax.Array, trial: fbx_env.Trial) -> jax.Array:
        return fbx_env.rollout(ENV, params, OpenLoopPolicy(commands), trial, key).pos

    return jax.vmap(path)(COMMANDS, TRIALS)


def record(key: jax.Array, logarithms: jax.Array) -> jax.Array:
    """Noisy recordings of the movements [m]."""
    exact = paths(logarithms)
    return exact + SENSOR_NOISE * jax.random.normal(key, exact.shape)


def sample_posterior(key: jax.Array, recorded: jax.Array, n_samples: int) -> jax.Array:
    """Samples of the logarithms of mass and damping, ``(n_samples, 2)``."""

    def log_density(logarithms: jax.Array) -> jax.Array:
        errors = (paths(logarithms) - recorded) / SENSOR_NOISE
        prior = (logarithms - PRIOR_MEAN) / PRIOR_STD
        return -0.5 * (jnp.sum(jnp.square(errors)) + jnp.sum(jnp.square(prior)))

    key_warmup, key_samples = jax.random.split(key)
    warmup = blackjax.window_adaptation(blackjax.nuts, log_density)
    (state, settings), _ = warmup.run(key_warmup, PRIOR_MEAN, num_steps=n_samples)
    step = blackjax.nuts(log_density, **settings).step

    def advance(state: Any, key: jax.Array) -> tuple[Any, jax.Array]:
        state, _ = step(key, state)
        return state, state.position

    return jax.lax.scan(advance, state, jax.random.split(key_samples, n_samples))[1]


def share_below_truth(key: jax.Array, n_samples: int) -> jax.Array:
    """The share of posterior samples below the truth, for a body that is drawn from the prior."""
    key_body, key_sensor, key_sampler = jax.random.split(key, 3)
    truth = PRIOR_MEAN + PRIOR_STD * jax.random.normal(key_body, (2,))
    samples = sample_posterior(key_sampler, record(key_sensor, truth), n_samples)
    return jnp.mean(samples < truth, axis=0)


def coverage(shares: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """How often the central interval of each level contains the truth."""
    return np.array([np.mean(np.abs(shares - 0.5) <= level / 2) for level in levels])


def draw(samples: jax.Array, shares: np.ndarray) -> plt.Figure:
    """The posterior of one recording, and the calibration over many."""
    figure, (ax_posterior, ax_coverage) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
    ax_posterior.plot(*samples.T, ".", ms=3, color="#0072b2", alpha=0.5, label="posterior")
    ax_posterior.plot(*TRUTH, "+", ms=16, mew=2, color="#d55e00", label="truth")
    ax_posterior.set(xlabel="Mass [kg]", ylabel="Damping [N s/m]")
    ax_posterior.legend(frameon=False)
    levels = np.linspace(0, 1, 21)
    spread = 1.96 * np.sqrt(levels * (1 - levels) / len(shares))
    ax_coverage.fill_between(
        levels, levels - spread, levels + spread, color="0.88", label="calibrated: 95 % of results"
    )
    for index, (name, style) in enumerate({"mass": "o-", "damping": "s--"}.items()):
        ax_coverage.plot(levels, coverage(shares[:, index], levels), style, ms=4, label=name)
    ax_coverage.set(
        xlabel="Level of the interval", ylabel="Share of recordings in which\nit contains the truth"
    )
    ax_coverage.legend(frameon=False)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description="Sample the posterior of mass and damping.")
    parser.add_argument("--quick", action="store_true", help="few samples")
    n_samples, n_recordings = (40, 4) if parser.parse_args().quick else (400, 200)

    keys = jax.random.split(jax.random.key(0), 3)
    recorded = record(keys[0], jnp.log(TRUTH))
    samples = jnp.exp(jax.jit(sample_posterior, static_argnums=2)(keys[1], recorded, n_samples))
    for name, unit, values, truth in zip(
        ("mass", "damping"), ("kg", "N s/m"), samples.T, TRUTH, strict=True
    ):
        low, high = jnp.quantile(values, jnp.array([0.05, 0.95]))
        print(f"{name}: 90 % interval {low:.3f} to {high:.3f} {unit}, truth {truth:.3f} {unit}")

    calibrate = jax.jit(jax.vmap(share_below_truth, in_axes=(0, None)), static_argnums=1)
    shares = np.asarray(calibrate(jax.random.split(keys[2], n_recordings), n_samples))
    for index, name in enumerate(("mass", "damping")):
        contained = coverage(shares[:, index], np.array([0.9]))[0]
        print(f"{name}: 90 % intervals contain it in {contained:.0%} of {n_recordings} recordings")
    plot.save_figure(draw(samples, shares), "inference.png", dpi=130)
    print("The picture is inference.png.")


if __name__ == "__main__":
    main()
