"""How the loss of given commands depends on the plant: one gradient through whole trials.

python examples/mass_gradient.py [--quick]
"""

import argparse

import jax
import jax.numpy as jnp

import fbx_env


def main() -> None:
    parser = argparse.ArgumentParser(description="Differentiate a trial by the plant's numbers.")
    parser.add_argument("--quick", action="store_true", help="a short trial")
    n_steps = 10 if parser.parse_args().quick else 99

    env, params = fbx_env.make(max_steps_in_episode=n_steps, damping=0.1)
    commands = 0.1 * jax.random.normal(jax.random.key(0), (n_steps, 2))
    trial = fbx_env.Trial(start=(0.0, 0.0), goal=(0.3, 0.4))

    def loss(params: fbx_env.ReachParams) -> jax.Array:
        key = jax.random.key(1)  # Unused as long as there is no noise.
        _, state = env.reset_trial(key, trial, params)
        _, rewards = jax.lax.scan(
            lambda state, command: env.step_env(key, state, command, params)[1:3], state, commands
        )
        return -jnp.sum(rewards)

    gradient = jax.grad(loss)(params)
    print(f"d loss / d mass    {gradient.plant.mass:+.6f} per kg")
    print(f"d loss / d damping {gradient.plant.damping:+.6f} per N s/m")
    print(f"d loss / d dt      {gradient.dt:+.6f} per s")


if __name__ == "__main__":
    main()
