"""Optimise the forces of a reach by gradients through the environment, beside the exact optimum.

Adam and the quasi-Newton method L-BFGS of optax begin with no force at all, and minimise the loss
of whole trials as a function of all their commands. Early commands matter far more than late ones,
which is hard on a method that does not estimate the curvature.

python examples/trajectory_optimisation.py          # a minute
python examples/trajectory_optimisation.py --quick  # a few iterations, to see that it runs
"""

import argparse
from collections.abc import Callable

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import optax

import fbx_env
from agents import OpenLoopPolicy, OptimalPolicy, optimal_loss
from fbx_env import CurlField, Trial, plot


def minimise(
    optimizer: optax.GradientTransformationExtraArgs,
    loss: Callable[[jax.Array], jax.Array],
    start: jax.Array,
    n_iterations: int,
) -> tuple[jax.Array, jax.Array]:
    """The last point of a descent, and the losses before each of its iterations."""

    def iterate(
        carry: tuple[jax.Array, optax.OptState], _: None
    ) -> tuple[tuple[jax.Array, optax.OptState], jax.Array]:
        point, state = carry
        value, gradient = jax.value_and_grad(loss)(point)
        step, state = optimizer.update(
            gradient, state, point, value=value, grad=gradient, value_fn=loss
        )
        return (optax.apply_updates(point, step), state), value

    first = (start, optimizer.init(start))
    (point, _), losses = jax.lax.scan(iterate, first, length=n_iterations)
    return point, losses


def main() -> None:
    parser = argparse.ArgumentParser(description="Optimise the forces of reaches by gradients.")
    parser.add_argument("--quick", action="store_true", help="a few iterations")
    n_iterations = 5 if parser.parse_args().quick else 2000

    # Commands arrive 0.1 s late, and a field pushes to the left: still, the optimum is known.
    env, params = fbx_env.make(motor_delay=2, loads=(CurlField(1.0),))
    trials = params.task.validation_trials()
    key = jax.random.key(0)  # Unused as long as there is no noise.
    optimum = optimal_loss(params, trials).total

    def loss(commands: jax.Array) -> jax.Array:
        def loss_of_trial(commands: jax.Array, trial: Trial) -> jax.Array:
            policy = OpenLoopPolicy(commands)
            return -fbx_env.rollout(env, params, policy, trial, key).reward.sum()

        return jax.vmap(loss_of_trial)(commands, trials).mean()

    schedule = optax.cosine_decay_schedule(0.1, n_iterations)
    optimizers = {"Adam": optax.adam(schedule), "L-BFGS": optax.lbfgs(memory_size=20)}
    nothing = jnp.zeros((len(trials.start), params.max_steps_in_episode, 2))
    figure, (ax_loss, ax_force) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    found = {}
    descend = jax.jit(minimise, static_argnums=(0, 1, 3))
    for (name, optimizer), style in zip(optimizers.items(), ("--", "-"), strict=True):
        found[name], losses = descend(optimizer, loss, nothing, n_iterations)
        ax_loss.loglog(1 + jnp.arange(n_iterations), losses / optimum - 1, style, label=name)
        print(f"{name}: {losses[-1] / optimum:.5f} times the optimum of {optimum:.3e}")
    ax_loss.set(xlabel="Iteration", ylabel="Loss above the optimum, relative to it")
    ax_loss.legend(frameon=False)

    # The first reach goes to the right, and the field pushes it to the left.
    exact = fbx_env.rollout(env, params, OptimalPolicy(params), trials, key)
    for axis, color in zip((0, 1), ("#0072b2", "#d55e00"), strict=True):
        ax_force.plot(exact.time[0, :-1], exact.command[0, :, axis], color=color, lw=4, alpha=0.35)
        ax_force.plot(
            exact.time[0, :-1], found["L-BFGS"][0, :, axis], color=color, label="xy"[axis]
        )
    ax_force.set(xlabel="Time [s]", ylabel="Command [N]", title="L-BFGS (pale: exact optimum)")
    ax_force.legend(frameon=False)
    plot.save_figure(figure, "trajectory_optimisation.png", dpi=130)
    print("The picture is trajectory_optimisation.png.")


if __name__ == "__main__":
    main()
