"""Learn to reach in curl fields that differ from trial to trial: with and without being told.

python examples/random_fields.py          # ten minutes on two cores
python examples/random_fields.py --quick  # a few updates, to see that it runs
"""

import argparse
from typing import Any

import jax
import matplotlib.pyplot as plt
import numpy as np

from agents import TrainingContext, optimal_loss, pairing
from fbx_env import ChoiceDraw, CurlField, NormalDraw, plot

STRENGTH = "loads.curl.strength"


def losses_by_strength(
    context: TrainingContext, model: Any, strengths: np.ndarray
) -> list[dict[str, float]]:
    """The losses on the validation trials, all in a field of one strength, for each of some."""
    (told,) = {draw.told for draw in context.task.params.draws}
    losses = []
    for strength in strengths:
        always = ChoiceDraw(STRENGTH, (float(strength),), told=told)
        task = context.task.replace(params=context.task.params.replace(draws=(always,)))
        reaches = task.eval(model, key=jax.random.key(2))
        optimum = optimal_loss(task.params, task.validation_trials, drawn=reaches.drawn)
        policy = float(-reaches.reward.sum(axis=-1).mean())
        losses.append({"policy": policy, "optimum": optimum.total})
    return losses


def main() -> None:
    parser = argparse.ArgumentParser(description="Train networks in random curl fields.")
    parser.add_argument("--quick", action="store_true", help="a few updates")
    options = parser.parse_args()
    settings = {"n_batches": 5000, "batch_size": 32}
    strengths = np.linspace(-2.5, 2.5, 11)
    if options.quick:
        settings, strengths = {"n_batches": 3, "batch_size": 2}, np.array([-1.0, 1.0])

    # Fields from a standard normal distribution [N s/m].
    probable = np.exp(-np.square(strengths) / 2)
    _, ax = plt.subplots(layout="constrained")
    for told, name, marker in ((True, "told the field", "o"), (False, "not told", "s")):
        draws = (NormalDraw(STRENGTH, 0.0, 1.0, told=told),)
        context = pairing(
            loads=(CurlField(1.0),), draws=draws, hidden_size=100, key=jax.random.key(0)
        )
        model, _ = context.train(key=jax.random.key(1), **settings)
        losses = losses_by_strength(context, model, strengths)
        policy, optimum = (np.array([each[who] for each in losses]) for who in losses[0])
        ax.plot(strengths, policy, marker=marker, label=name)
        mean, least = (np.average(each, weights=probable) for each in (policy, optimum))
        print(f"{name}: {mean:.3e}, {mean / least:.3f} times the optimum that knows the field")
        reaches = context.task.eval(model, key=jax.random.key(3))
        figure, _ = plot.effector_trajectories(reaches, by=STRENGTH)
        figure.savefig(f"random_fields_{name.split()[0]}.png")
    ax.plot(strengths, optimum, color="black", ls="--", label="optimum that knows the field")
    ax.set(xlabel="Strength of the curl field [N s/m]", ylabel="Loss", yscale="log")
    ax.legend()
    ax.figure.savefig("random_fields.png")


if __name__ == "__main__":
    main()
