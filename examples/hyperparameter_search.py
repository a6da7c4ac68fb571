"""Search for hyperparameters: many trainings at once, in one compiled function.

A training is a pure function, so that `vmap` maps it over random settings of the optimiser. The
best quarter is trained anew for four times as long, as in successive halving (Jamieson and
Talwalkar, 2016).

python examples/hyperparameter_search.py          # two minutes on two cores
python examples/hyperparameter_search.py --quick  # a few updates, to see that it runs
"""

import argparse

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import optax

import fbx_env
from agents import BPTTConfig, GRUPolicy, optimal_loss, train_scan
from fbx_env import plot

Settings = dict[str, jax.Array]

RANGES = {"learning_rate": (1e-4, 1e-1), "clip_norm": (1e-2, 1e2), "one_minus_beta": (1e-2, 1.0)}
"""Each is drawn with a uniform logarithm; beta is the decay of Adam's first moment."""

ENV, PARAMS = fbx_env.make()
TRIALS = PARAMS.task.validation_trials()


def draw_settings(key: jax.Array, n: int) -> Settings:
    """Random settings, ``(n,)`` each."""
    keys = jax.random.split(key, len(RANGES))
    return {
        name: jnp.exp(jax.random.uniform(key, (n,), minval=jnp.log(low), maxval=jnp.log(high)))
        for key, (name, (low, high)) in zip(keys, RANGES.items(), strict=True)
    }


def train_with(settings: Settings, key: jax.Array, n_batches: int) -> jax.Array:
    """The loss on the validation trials after a training; infinite if it has diverged."""
    key_policy, key_train, key_rollout = jax.random.split(key, 3)
    optimizer = optax.chain(
        optax.clip_by_global_norm(settings["clip_norm"]),
        optax.adam(
            optax.cosine_decay_schedule(settings["learning_rate"], n_batches),
            b1=1 - settings["one_minus_beta"],
        ),
    )
    policy, _ = train_scan(
        GRUPolicy(8, 2, 50, key=key_policy),
        PARAMS,
        BPTTConfig(n_batches=n_batches),
        key=key_train,
        optimizer=optimizer,
    )
    loss = -fbx_env.rollout(ENV, PARAMS, policy, TRIALS, key_rollout).reward.sum(axis=-1).mean()
    return jnp.where(jnp.isfinite(loss), loss, jnp.inf)


def main() -> None:
    parser = argparse.ArgumentParser(description="Search for settings of an optimiser.")
    parser.add_argument("--quick", action="store_true", help="a few updates")
    n_settings, n_batches = (4, 3) if parser.parse_args().quick else (32, 300)

    optimum = optimal_loss(PARAMS, TRIALS).total
    settings = draw_settings(jax.random.key(0), n_settings)
    train_all = jax.jit(jax.vmap(train_with, in_axes=(0, None, None)), static_argnums=2)
    figure, axes = plt.subplots(1, 3, figsize=(10, 3.6), sharey=True, layout="constrained")
    for n_updates, marker, color in ((n_batches, "o", "#56b4e9"), (4 * n_batches, "D", "#d55e00")):
        ratios = train_all(settings, jax.random.key(1), n_updates) / optimum
        order = jnp.argsort(ratios)
        for ax, name in zip(axes, RANGES, strict=True):
            ax.loglog(
                settings[name], ratios - 1, marker, color=color, ms=5, label=f"{n_updates} updates"
            )
            ax.set_xlabel(name.replace("_", " "))
        best = {name: values[order[0]] for name, values in settings.items()}
        print(
            f"{len(ratios)} settings, {n_updates} updates: {ratios[order[0]]:.3f} times the "
            f"optimum at best, with {', '.join(f'{name} {best[name]:.2g}' for name in best)}"
        )
        settings = {name: values[order[: n_settings // 4]] for name, values in settings.items()}
    axes[0].set_ylabel("Validation loss above the optimum,\nrelative to it")
    axes[-1].legend(frameon=False)
    plot.save_figure(figure, "hyperparameter_search.png", dpi=130)
    print("The picture is hyperparameter_search.png.")


if __name__ == "__main__":
    main()
