"""Do muscles that work against each other pull together more where the world is unstable?

A network learns to reach with an arm of six muscles, its senses late, without a field and in one
that pushes the hand away from the straight line, the more so the farther it has come.

When this was tried, they hardly did: antagonists were both 2.60 % active in the field, and 2.56 %
without it.

python examples/co_contraction.py          # two trainings: eight minutes on two cores
python examples/co_contraction.py --quick  # a few updates, to see that it runs
"""

import argparse
from typing import ClassVar

import jax
import jax.numpy as jnp

from agents import pairing
from fbx_env import Clock, Effector, Load, Trajectory, Trial, number

ANTAGONISTS = (
    ("pectoralis", "deltoid"),
    ("brachioradialis", "lateral triceps"),
    ("biceps", "long triceps"),
)


class DivergentField(Load):
    """A force away from the line from start to goal, in proportion to the distance from it.

    After Burdet and others, Nature 414:446 (2001).
    """

    name: ClassVar[str] = "divergent"

    strength: float = number("force by distance", default=50.0, unit="N/m", at_least=0)

    def force_on(self, effector: Effector, trial: Trial, clock: Clock) -> jax.Array:
        way = trial.goal - trial.start
        left = jnp.array([-way[1], way[0]]) / jnp.sqrt(jnp.sum(way**2) + 1e-12)
        return self.strength * ((effector.pos - trial.start) @ left) * left


def co_contraction(reaches: Trajectory, names: tuple[str, ...]) -> float:
    """The lower activation of each two antagonists, as a mean over pairs, steps and reaches."""
    pairs = jnp.array([[names.index(name) for name in pair] for pair in ANTAGONISTS])
    return float(reaches.plant.activation[..., pairs].min(-1).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a muscle arm in an unstable world.")
    parser.add_argument("--quick", action="store_true", help="a few updates")
    options = parser.parse_args()

    keys = jax.random.split(jax.random.key(0), 3)
    settings = {"n_batches": 3, "batch_size": 4} if options.quick else {}
    # The hand is pushed by noise, too: without it, it could stay on the line with no effort.
    noise = {"motor_noise": 0.02, "signal_noise": 0.1}
    for name, loads in {"no field": (), "divergent field": (DivergentField(),)}.items():
        context = pairing("MuscleArmReach-v0", loads=loads, key=keys[0], **noise)
        model, _ = context.train(key=keys[1], **settings)
        reaches, losses = context.task.eval_with_loss(model, key=keys[2])
        level = co_contraction(reaches, context.task.params.plant.geometry.names)
        miss = float(jnp.sqrt(jnp.square(reaches.pos[:, -1] - reaches.trial.goal).sum(-1)).mean())
        print(
            f"{name}: antagonists are both {100 * level:.2f} % active, the hand ends "
            f"{1e3 * miss:.1f} mm from the goal, loss {float(losses['total']):.2e}"
        )


if __name__ == "__main__":
    main()
