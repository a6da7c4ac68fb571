"""One policy for each of many masses, all trained by one vmap over whole training runs.

python examples/mass_range.py          # about a minute
python examples/mass_range.py --quick  # a few seconds, to see that it runs
"""

import argparse

import jax
import jax.numpy as jnp

import fbx_env
from agents import BPTTConfig, GRUPolicy, evaluate, train_scan
from fbx_env import tree_take


def main() -> None:
    parser = argparse.ArgumentParser(description="Train policies for a range of masses.")
    parser.add_argument("--quick", action="store_true", help="only a few updates")
    config = BPTTConfig(n_batches=10 if parser.parse_args().quick else 1500)
    env, params = fbx_env.make()

    def with_mass(mass: jax.Array) -> fbx_env.ReachParams:
        return params.replace(plant=params.plant.replace(mass=mass))

    def train_for(mass: jax.Array, key: jax.Array) -> tuple[GRUPolicy, dict[str, jax.Array]]:
        """A whole training run, as a pure function of the mass and a key."""
        key_policy, key_train = jax.random.split(key)
        policy = GRUPolicy(8, 2, 50, key=key_policy)
        return train_scan(policy, with_mass(mass), config, key=key_train)

    masses = jnp.array([0.5, 1.0, 2.0, 4.0])
    keys = jax.random.split(jax.random.key(0), len(masses))
    policies, reports = jax.jit(jax.vmap(train_for))(masses, keys)
    losses = reports["total"]

    trials = params.task.validation_trials()
    print("mass [kg]   first loss   last loss   times the optimum of that mass")
    for index, mass in enumerate(masses):
        policy = tree_take(policies, index)
        metrics, _ = evaluate(policy, env, with_mass(mass), trials, key=jax.random.key(1))
        print(
            f"{mass:9.2f}{losses[index, 0]:13.2e}{losses[index, -1]:12.2e}"
            f"{metrics['ratio_to_optimum']:12.3f}"
        )


if __name__ == "__main__":
    main()
