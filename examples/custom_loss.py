"""Loss terms of one's own: reaches that are smooth, and reaches that are straight.

python examples/custom_loss.py          # about a minute
python examples/custom_loss.py --quick  # a few seconds, to see that it runs
"""

import argparse
from pathlib import Path

import jax
import jax.numpy as jnp

from agents import point_mass_nn_simple_reaches
from fbx_env import LossTerm, Transition, plot


class Jerk(LossTerm):
    """Squared rate of change of the force [N^2/s^2], which is the jerk of a unit mass."""

    name = "jerk"

    def cost(self, transition: Transition) -> jax.Array:
        rate = (transition.control - transition.previous_control) / transition.clock.dt
        return jnp.sum(jnp.square(rate))


class Straightness(LossTerm):
    """Squared distance [m^2] from the line that joins start and goal."""

    name = "straightness"

    def cost(self, transition: Transition) -> jax.Array:
        trial = transition.trial
        way, gone = trial.goal - trial.start, transition.after.pos - trial.start
        cross = way[0] * gone[1] - way[1] * gone[0]
        return jnp.square(cross) / jnp.sum(jnp.square(way))


def main() -> None:
    parser = argparse.ArgumentParser(description="Train with two loss terms of your own.")
    parser.add_argument("--quick", action="store_true", help="only a few updates")
    parser.add_argument("--out", type=Path, default=Path("custom_loss.png"), help="the picture")
    arguments = parser.parse_args()

    context = point_mass_nn_simple_reaches(key=jax.random.key(0))
    task = context.task.with_loss(context.task.loss + 1e-7 * Jerk() + Straightness(weight=0.1))
    print("Weights:", task.weights)
    model, history = context.replace(task=task).train(
        n_batches=10 if arguments.quick else 2000, log_step=500, key=jax.random.key(1)
    )
    _, losses = task.eval_with_loss(model, key=jax.random.key(2))
    for term, loss in losses.items():
        print(f"{term:<16}{loss:.3e}")
    figure, _ = plot.loss_history(history)
    figure.savefig(arguments.out, dpi=130)


if __name__ == "__main__":
    main()
