"""Learn to reach with an arm that torques or muscles move, then to reach in a curl field.

python examples/arm_reaches.py            # torques: a minute or two
python examples/arm_reaches.py --muscles  # six muscles, with delayed senses: some minutes twice
python examples/arm_reaches.py --quick    # a few updates, to see that it runs
"""

import argparse

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

from agents import pairing
from fbx_env import CurlField, Trajectory, VisiblePlant, plot, tree_take
from fbx_env.figures.colors import PALETTE

CURL = 10.0
"""Strength of the field [N s/m]: it pushes to the left of the movement."""


def sideways(reaches: Trajectory) -> float:
    """How far the hand is to the left of the straight line at most, as a mean over reaches [m]."""
    way = reaches.trial.goal - reaches.trial.start
    left = jnp.stack([-way[:, 1], way[:, 0]], axis=-1)
    left = left / jnp.linalg.norm(left, axis=-1, keepdims=True)
    off = ((reaches.pos - reaches.trial.start[:, None]) * left[:, None]).sum(-1)
    return float(off.max(axis=1).mean())


def draw(reaches: Trajectory, plant: VisiblePlant) -> plt.Figure:
    """The arm at the start and at the end of the reaches, and how two of them are moved."""
    figure = plt.figure(figsize=(9.5, 3.8), layout="constrained")
    grid = figure.add_gridspec(2, 2, width_ratios=(1.2, 1))
    plot.postures(reaches, plant, ax=figure.add_subplot(grid[:, 0]))
    above = figure.add_subplot(grid[0, 1])
    below = figure.add_subplot(grid[1, 1], sharex=above, sharey=above)
    # The third and the seventh of eight directions are away from the body and towards it.
    for ax, index, title in ((above, 2, "Reach away from the body"), (below, 6, "Towards it")):
        signals = jax.vmap(plant.signals)(tree_take(reaches.plant, index))
        shown = "Muscle activation" if "Muscle activation" in signals else "Joint rate [deg/s]"
        for color, (part, values) in zip(PALETTE, signals[shown].items(), strict=False):
            ax.plot(1e3 * reaches.time[index], values, color=color, label=part)
        ax.set(ylabel=shown, title=title)
    below.set_xlabel("Time [ms]")
    above.tick_params(labelbottom=False)
    above.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return figure


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
    draw(reaches, plant).savefig("arm_reaches.png", dpi=110)
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
