"""One policy for each of many masses, all trained by one vmap over whole training runs.

python examples/mass_range.py          # about a minute
python examples/mass_range.py --quick  # a few seconds, to see that it runs
"""

import argparse

import equinox as eqx
import jax
import jax.numpy as jnp

import fbx_env
from agents import BPTTConfig, GRUPolicy, evaluate
from agents.bptt import (
    Problem,
    default_optimizer,
    init_state,
    select_trainable,
    update_many,
)
from fbx_env import PointMass, tree_take


def main() -> None:
    parser = argparse.ArgumentParser(description="Train policies for a range of masses.")
    parser.add_argument("--quick", action="store_true", help="only a few updates")
    config = BPTTConfig(n_batches=10 if parser.parse_args().quick else 1500)

    env, params = fbx_env.make()
    masses = jnp.array([0.5, 1.0, 2.0, 4.0])
    optimizer = default_optimizer(config)

    def train_for(mass: jax.Array, key: jax.Array) -> tuple[GRUPolicy, jax.Array]:
        """A whole training run, as a pure function of the mass and a key."""
        key_policy, key_train = jax.random.split(key)
        policy = GRUPolicy(8, 2, 50, key=key_policy)
        trainable = select_trainable(policy, None)
        own = params.replace(plant=PointMass(mass=mass))
        state, reports = update_many(
            init_state(policy, trainable, optimizer, key_train),
            Problem(env, own, config.hidden_weight, trainable),
            optimizer,
            config.batch_size,
            length=config.n_batches,
            n_updates=jnp.asarray(config.n_batches),
        )
        return state.policy, reports["total"]

    keys = jax.random.split(jax.random.key(0), len(masses))
    policies, losses = eqx.filter_jit(eqx.filter_vmap(train_for))(masses, keys)

    trials = params.task.validation_trials()
    print("mass [kg]   first loss   last loss   times the optimum of that mass")
    for index, mass in enumerate(masses):
        own = params.replace(plant=PointMass(mass=mass))
        policy = tree_take(policies, index)
        metrics, _ = evaluate(policy, env, own, trials, key=jax.random.key(1))
        print(
            f"{mass:9.2f}{losses[index, 0]:13.2e}{losses[index, -1]:12.2e}"
            f"{metrics['ratio_to_optimum']:12.3f}"
        )


if __name__ == "__main__":
    main()
