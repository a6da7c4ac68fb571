"""Train a network on delayed reaches, then look at how it prepares, reacts and moves.

python examples/delayed_reaches.py          # some minutes on two cores
python examples/delayed_reaches.py --quick  # a few updates, to see that it runs
"""

import argparse

import jax
import jax.numpy as jnp
import numpy as np

from agents import pairing
from fbx_env import DelayedReachTrial, Task, measure, plot

N_WAITS = 5
"""Trials in each direction, with waits of different lengths."""


def centre_out(task: Task, key: jax.Array) -> DelayedReachTrial:
    """The validation reaches several times, each with random waits."""
    reaches = task.validation_trials()
    keys = jax.random.split(key, N_WAITS * len(reaches.start))
    start, goal = (jnp.tile(points, (N_WAITS, 1)) for points in (reaches.start, reaches.goal))
    never = jnp.zeros(len(keys), bool)
    return jax.vmap(task.sample)(keys).replace(start=start, goal=goal, is_catch=never)


def directional_share(activity: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """The share of each unit's variance over trials, ``(trials, units)``, between directions."""
    means = np.stack([activity[direction == each].mean(0) for each in np.unique(direction)])
    return means.var(0) / np.maximum(activity.var(0), 1e-12)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a network on delayed reaches.")
    parser.add_argument("--quick", action="store_true", help="a few updates")
    settings = {"n_batches": 3, "batch_size": 4} if parser.parse_args().quick else {}

    keys = jax.random.split(jax.random.key(0), 4)
    context = pairing("PointMassDelayedReach-v0", key=keys[0])
    model, _ = context.train(key=keys[1], **settings)
    task, params = context.task, context.task.params
    metrics, _ = task.evaluate(model, key=keys[2])
    print(f"{metrics['ratio_to_optimum']:.3f} times the optimum that is told when the go comes")

    trials = centre_out(params.task, keys[3])
    reaches = task.eval(model, key=keys[2], trials=trials)
    frame = measure(reaches, params)
    caught = task.eval(model, key=keys[2], trials=trials.replace(is_catch=~trials.is_catch))
    print(f"reaction time {1e3 * frame.reaction_time.mean():.0f} ms")
    print(f"drift before the go {1e3 * frame['drift'].mean():.2f} mm")
    drift = np.linalg.norm(caught.pos - caught.pos[:, :1], axis=-1).max(axis=1).mean()
    print(f"drift in catch trials {1e3 * drift:.2f} mm")

    # The first step in which the network sees the go, and those around it.
    go = np.asarray((reaches.epoch < 2).sum(axis=1) + 1)
    rows, activity = np.arange(len(go)), np.asarray(reaches.activity)
    size = {"before the go": activity[rows, go - 1], "after it": activity[rows, go + 5]}
    for when, at in size.items():
        share = directional_share(at, frame.direction.round(3).to_numpy())
        print(f"{when}, {share.mean():.0%} of the variance of a unit is between directions")

    # Two units that prepare, by how much they differ between directions, and two that move.
    prepared, moving = (np.argsort(-at.std(axis=0))[:2] for at in size.values())
    units = list(dict.fromkeys([*prepared.tolist(), *moving.tolist()]))
    plot.aligned_time_courses(reaches, params, units=units)[0].savefig("delayed_reaches.png")


if __name__ == "__main__":
    main()
