"""Find the masses and the moments of inertia of an arm from recorded movements, by gradients.

python examples/arm_inertia.py          # about half a minute
python examples/arm_inertia.py --quick  # fewer steps, to see that it runs
"""

import argparse

import jax
import jax.numpy as jnp
import optax

from fbx_env import TwoLinkArm

DT = 0.01
N_STEPS, N_MOVEMENTS = 50, 16
SENSOR_NOISE = 0.001
"""Standard deviation of the error of recorded joint angles [rad]."""


def arm(logarithms: dict[str, jax.Array]) -> TwoLinkArm:
    """The arm whose numbers have these logarithms, which makes all of them positive."""
    plant = TwoLinkArm()
    return plant.replace(skeleton=plant.skeleton.replace(**jax.tree.map(jnp.exp, logarithms)))


def move(plant: TwoLinkArm, torques: jax.Array) -> jax.Array:
    """Joint angles under torques that are held for a step each, shape (steps, 2)."""

    def step(state, torque):
        state = plant.step(state, torque, lambda effector: jnp.zeros(2), jnp.asarray(DT))
        return state, state.angle

    start = plant.state_at(angle=(0.8, 1.6))
    return jax.lax.scan(step, start, torques)[1]


def main() -> None:
    parser = argparse.ArgumentParser(description="Recover an arm's inertia from recordings.")
    parser.add_argument("--quick", action="store_true", help="fewer steps")
    n_updates = 5 if parser.parse_args().quick else 400

    key_torque, key_sensor = jax.random.split(jax.random.key(0))
    skeleton = TwoLinkArm().skeleton
    true = {"mass": jnp.array([1.9, 1.3]), "inertia": jnp.array([0.012, 0.028])}
    # Random torques that last for ten steps each.
    levels = 0.8 * jax.random.normal(key_torque, (N_MOVEMENTS, N_STEPS // 10, 2))
    torques = jnp.repeat(levels, 10, axis=1)
    all_moves = jax.vmap(move, in_axes=(None, 0))
    recorded = all_moves(arm(jax.tree.map(jnp.log, true)), torques)
    recorded += SENSOR_NOISE * jax.random.normal(key_sensor, recorded.shape)

    def error(logarithms: dict[str, jax.Array]) -> jax.Array:
        return jnp.mean((all_moves(arm(logarithms), torques) - recorded) ** 2)

    guess = {name: jnp.log(jnp.asarray(getattr(skeleton, name))) for name in true}
    optimizer = optax.adam(optax.cosine_decay_schedule(0.05, n_updates))

    @jax.jit
    def update(guess, state):
        value, gradient = jax.value_and_grad(error)(guess)
        change, state = optimizer.update(gradient, state)
        return optax.apply_updates(guess, change), state, value

    state = optimizer.init(guess)
    for _ in range(n_updates):
        guess, state, value = update(guess, state)
    print(f"error of joint angles {float(value) ** 0.5:.4f} rad, noise {SENSOR_NOISE} rad")
    # Movements depend on these three sums alone: no recording tells more.
    found, right = inertias(arm(guess)), inertias(arm(jax.tree.map(jnp.log, true)))
    for name in right:
        off = abs(found[name] / right[name] - 1)
        print(f"{name}: {found[name]:.4f} kg m^2 instead of {right[name]:.4f}, {off:.2%} off")


def inertias(plant: TwoLinkArm) -> dict[str, float]:
    """The moments of inertia [kg m^2] on which movements depend."""
    of = plant.skeleton
    upper_arm, forearm = of.inertia + of.mass * of.centre_of_mass**2
    return {
        "arm": float(upper_arm + forearm + of.mass[1] * of.length[0] ** 2),
        "coupling": float(of.mass[1] * of.length[0] * of.centre_of_mass[1]),
        "forearm": float(forearm),
    }


if __name__ == "__main__":
    main()
