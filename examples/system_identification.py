"""Find an unknown mass and damping from recorded reaches, by gradients through the physics.

python examples/system_identification.py          # about ten seconds
python examples/system_identification.py --quick  # fewer steps, to see that it runs
"""

import argparse

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

import fbx_env
from fbx_env import PointMass, ReachEnv, ReachParams, Trajectory

TRUE_MASS, TRUE_DAMPING = 1.7, 0.6
SENSOR_NOISE = 0.002
"""Standard deviation of the error of recorded positions [m]."""


class SpringAndDamper(eqx.Module):
    """Somebody who makes the reaches: pulled to the goal, and slowed down."""

    stiffness: jax.Array
    viscosity: jax.Array
    layout: dict[str, slice] = eqx.field(static=True)

    def __call__(
        self, obs: jax.Array, carry: None, *, key: jax.Array | None = None
    ) -> tuple[jax.Array, None]:
        way = obs[self.layout["goal_position"]] - obs[self.layout["vision_position"]]
        velocity = obs[self.layout["vision_velocity"]]
        return self.stiffness * way - self.viscosity * velocity, carry

    def initial_carry(self) -> None:
        return None

    def activity(self, carry: None) -> jax.Array:
        return jnp.zeros(0)


def record(key: jax.Array) -> tuple[jax.Array, Trajectory]:
    """Noisy positions of twenty reaches of the unknown mass, and the reaches themselves."""
    key_trials, key_sensor = jax.random.split(key)
    env, params = fbx_env.make(mass=TRUE_MASS, damping=TRUE_DAMPING)
    trials = jax.vmap(params.task.sample)(jax.random.split(key_trials, 20))
    policy = SpringAndDamper(jnp.array(2.0), jnp.array(1.5), env.observation_layout(params))
    reaches = fbx_env.rollout(env, params, policy, trials, key)
    noise = SENSOR_NOISE * jax.random.normal(key_sensor, reaches.pos.shape)
    return reaches.pos + noise, reaches


def replay(env: ReachEnv, params: ReachParams, reach: Trajectory) -> jax.Array:
    """Positions of one reach, if ``params`` were right, under the recorded commands."""
    key = jax.random.key(0)  # Unused as long as there is no noise.
    _, start = env.reset_trial(key, reach.trial, params)

    def step(state: fbx_env.ReachState, command: jax.Array) -> tuple[fbx_env.ReachState, jax.Array]:
        _, state, *_ = env.step_env(key, state, command, params)
        return state, params.plant.effector(state.plant).pos

    _, positions = jax.lax.scan(step, start, reach.command)
    return jnp.concatenate([reach.trial.start[None], positions])


def main() -> None:
    parser = argparse.ArgumentParser(description="Recover mass and damping from recordings.")
    parser.add_argument("--quick", action="store_true", help="fewer steps")
    n_steps = 10 if parser.parse_args().quick else 300

    recorded, reaches = record(jax.random.key(0))
    env, params = fbx_env.make()

    def guess(logarithms: dict[str, jax.Array]) -> ReachParams:
        """Mass and damping of any logarithm are positive, however long the steps."""
        return params.replace(plant=PointMass(**jax.tree.map(jnp.exp, logarithms)))

    def error(logarithms: dict[str, jax.Array]) -> jax.Array:
        replayed = jax.vmap(replay, in_axes=(None, None, 0))(env, guess(logarithms), reaches)
        return jnp.mean(jnp.square(replayed - recorded))

    optimizer = optax.adam(optax.cosine_decay_schedule(0.2, n_steps))
    logarithms = {"mass": jnp.log(1.0), "damping": jnp.log(0.1)}

    @jax.jit
    def descend(logarithms: dict, state: optax.OptState) -> tuple[dict, optax.OptState, jax.Array]:
        value, gradient = jax.value_and_grad(error)(logarithms)
        steps, state = optimizer.update(gradient, state)
        return optax.apply_updates(logarithms, steps), state, value

    state = optimizer.init(logarithms)
    for step in range(n_steps):
        logarithms, state, value = descend(logarithms, state)
        if step % 100 == 0 or step == n_steps - 1:
            plant = guess(logarithms).plant
            print(
                f"step {step:>3}: error {1e3 * jnp.sqrt(value):8.2f} mm, "
                f"mass {plant.mass:.4f} kg, damping {plant.damping:.4f} N s/m"
            )
    errors = [
        100 * abs(found / truth - 1)
        for found, truth in ((plant.mass, TRUE_MASS), (plant.damping, TRUE_DAMPING))
    ]
    print(f"The truth is {TRUE_MASS} kg and {TRUE_DAMPING} N s/m.")
    print(f"Mass is {errors[0]:.3f} % off, damping {errors[1]:.3f} %.")


if __name__ == "__main__":
    main()
