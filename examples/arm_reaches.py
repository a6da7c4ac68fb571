"""Learn to reach with an arm that torques or muscles move, then to reach in a curl field.

python examples/arm_reaches.py            # torques: more than ten minutes on two cores
python examples/arm_reaches.py --muscles  # six muscles, with delayed senses: longer
python examples/arm_reaches.py --quick    # a few updates, to see that it runs
"""

import argparse

import jax
import jax.numpy as jnp

from agents import pairing
from fbx_env import CurlField, Trajectory, plot, tree_take

CURL = 10.0
"""Strength of the field [N s/m]: it pushes to the left of the movement."""


def sideways(reaches: Trajectory) -> float:
    """How far the hand is to the left of the straight line at most, as a mean over reaches [m]."""
    way = reaches.trial.goal - reaches.trial.start
    left = jnp.stack([-way[:, 1], way[:, 0]], axis=-1)
    left = left / jnp.linalg.norm(left, axis=-1, keepdims=True)
    off = ((reaches.pos - reaches.trial.start[:, None]) * left[:, None]).sum(-1)
    return float(off.max(axis=1).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a network to reach with an arm.")
    parser.add_argument("--muscles", action="store_true", help="six muscles instead of torques")
    parser.add_argument("--quick", action="store_true", help="a few updates")
    options = parser.parse_args()

    keys = jax.random.split(jax.random.key(0), 4)
    context = pairing(f"{'MuscleArm' if options.muscles else 'TwoLinkArm'}Reach-v0", key=keys[0])
    settings = {"n_batches": 3, "batch_size": 4} if options.quick else {}

    model, _ = context.train(key=keys[1], **settings)
    task = context.task
    plant = task.params.plant
    field = task.replace(params=task.params.replace(loads=(CurlField(CURL),)))
    reaches, pushed = (each.eval(model, key=keys[2]) for each in (task, field))
    plot.postures(reaches, plant)[0].savefig("arm_postures.png")
    plot.body_signals(tree_take(reaches, 0), plant)[0].savefig("arm_signals.png")
    plot.animate_reaches(reaches, "arm_reaches.gif", plant=plant)

    adapting = context.replace(model=model, task=field)
    adapted, _ = adapting.train(key=keys[3], **settings)
    learned, after = (each.eval(adapted, key=keys[2]) for each in (field, task))
    for name, each in {
        "without the field": reaches,
        "in the field, before learning": pushed,
        "in the field, after learning": learned,
        "without the field, after learning": after,
    }.items():
        print(f"{name}: {1e3 * sideways(each):.1f} mm to the left at most")


if __name__ == "__main__":
    main()
