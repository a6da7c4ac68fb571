"""Search for the numbers of a learner of Stable-Baselines3, in two rounds.

Settings are drawn around the recipe that is shipped, which is one of them. All are trained for half
of the steps; the best quarter is trained anew for all, with another seed. Successive halving, which
begins with less, preferred what learns fast to what comes close, as learning rates and exploration
fall with the steps. What counts is the best loss on random trials; that on the validation trials is
only shown. The recipes' docstrings say how their numbers were found.

python examples/search_baselines.py sac                   # 8 settings, half an hour on one core
python examples/search_baselines.py ppo --settings 16 --env PointMassDelayedReach-v0
python examples/search_baselines.py sac --quick           # a few steps, to see that it runs
"""

import argparse
import dataclasses
import math
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import fbx_env
from agents import optimal_loss
from agents.evaluation import random_trials
from agents.learners.ppo import PPORecipe
from agents.learners.recurrent_ppo import RecurrentPPORecipe
from agents.learners.sac import SACRecipe
from agents.sb3.recipe import Recipe
from agents.sb3.training import train_sb3

RECIPES = {recipe.name: recipe for recipe in (PPORecipe, RecurrentPPORecipe, SACRecipe)}
SHARED = {
    "learning_rate": (1e-3, 2e-3, 3e-3),
    "initial_log_std": (-1.75, -1.5, -1.2),
    "final_log_std": (-5.0, -4.5, -4.0, -3.5, -3.0),
    "hidden_sizes": ((64, 64), (128, 128)),
    "smallest_cost": (1e-6, 1e-5, 1e-4),
}
ON_POLICY = {
    "gae_lambda": (0.98, 0.99, 0.995),
    "n_epochs": (6, 10, 15),
    "batch_size": (1584, 3168),
}
CHOICES: dict[str, dict[str, tuple[Any, ...]]] = {
    "ppo": SHARED | ON_POLICY,
    "recurrent-ppo": SHARED | ON_POLICY | {"lstm_size": (32, 64)},
    "sac": SHARED
    | {
        "batch_size": (128, 256),
        "return_steps": (3, 5, 8),
        "memory": (20_000, 40_000, 80_000),
        "tau": (0.01, 0.02, 0.05),
    },
}
"""From which the numbers are drawn, each but the shipped one with the same probability."""

N_CHANGED = 3
"""Numbers of the shipped recipe that a setting changes."""

SMALL = {"n_envs": 4, "batch_size": 16}
"""So that few steps are enough for some updates, with ``--quick``."""


def draw_settings(shipped: Recipe, n: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    """The shipped recipe, and random changes to it."""
    choices = CHOICES[shipped.name]
    settings: list[dict[str, Any]] = [{}]
    while len(settings) < n:
        changes = {}
        for name in rng.choice(list(choices), N_CHANGED, replace=False).tolist():
            others = [each for each in choices[name] if each != getattr(shipped, name)]
            changes[name] = others[rng.integers(len(others))]
        settings.append(changes)
    return settings


def trained(recipe: Recipe, params: fbx_env.ReachParams, seed: int) -> dict[str, float]:
    """The losses of a training, at its best evaluation on random trials, and its time."""
    started = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        history = train_sb3(recipe, params, Path(folder), seed=seed, write=None)
    losses = {
        kind: np.sum([history[f"{kind}_{name}"] for name in params.loss.names], axis=0)
        for kind in ("training", "validation")
    }
    best = int(np.argmin(losses["training"]))
    of_best = {kind: float(loss[best]) for kind, loss in losses.items()}
    return {**of_best, "seconds": time.process_time() - started}


def main() -> None:
    parser = argparse.ArgumentParser(description="Search for the numbers of a learner.")
    parser.add_argument("learner", nargs="?", default="sac", choices=RECIPES)
    parser.add_argument("--env", default="PointMassReach-v0", help="id of the environment")
    parser.add_argument("--settings", type=int, default=8, help="how many at first")
    parser.add_argument("--steps", type=int, help="environment steps of the last; the recipe's")
    parser.add_argument("--seed", type=int, default=0, help="of settings and first trainings")
    parser.add_argument("--quick", action="store_true", help="a few steps")
    options = parser.parse_args()

    shipped = RECIPES[options.learner]
    _, params = fbx_env.make(options.env)
    n, steps = options.settings, options.steps or shipped().total_steps
    common: dict[str, Any] = {}
    if options.quick:
        n, steps, common = 2, 800, SMALL
    unit = {"training": 1.0, "validation": 1.0}
    try:
        trials = {"training": random_trials(params), "validation": params.task.validation_trials()}
        unit = {kind: optimal_loss(params, some).total for kind, some in trials.items()}
        print("Losses are times the optimum.")
    except ValueError as reason:
        print(f"Losses are as they are: {reason}.")

    settings = draw_settings(shipped(), n, np.random.default_rng(options.seed))
    spent = 0.0
    for seed, budget in enumerate((math.ceil(steps / 2), steps), start=options.seed):
        print(f"\n{budget:,} steps, seed {seed}")
        print("| random trials | validation | seconds | changes |")
        print("| ---: | ---: | ---: | --- |")
        results = []
        for changes in settings:
            numbers = {"total_steps": budget, **changes, **common}
            outcome = trained(dataclasses.replace(shipped(), **numbers), params, seed)
            spent += outcome["seconds"]
            results.append(outcome["training"])
            ratios = [outcome[kind] / unit[kind] for kind in ("training", "validation")]
            told = ", ".join(f"{name} {value}" for name, value in changes.items()) or "none"
            print(f"| {ratios[0]:.3g} | {ratios[1]:.3g} | {outcome['seconds']:.0f} | {told} |")
        settings = [settings[index] for index in np.argsort(results)[: math.ceil(n / 4)]]
    print(f"\n{spent / 60:.1f} minutes of processor time")


if __name__ == "__main__":
    main()
