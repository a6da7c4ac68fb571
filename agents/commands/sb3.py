"""The commands ``python -m agents sb3 LEARNER``, one for each recipe of Stable-Baselines3."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import time
from dataclasses import dataclass, field, make_dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import tyro

from agents.commands.shared import TrainingCommand, write_metrics
from agents.evaluation import N_RANDOM_TRIALS, evaluate, random_trials
from agents.experiment import refuse_interventions
from agents.learners.registry import Budget, Learner, learners, register
from agents.objective import ActivityCost, PolicyCost
from agents.sb3.recipe import Recipe
from agents.storage.models import load_model
from agents.storage.runs import key_from
from fbx_env import ReachEnv, ReachParams

PACKAGES = ("stable-baselines3", "sb3-contrib", "torch")


@dataclass(frozen=True)
class TrainSB3(TrainingCommand):
    """The options of all learners of Stable-Baselines3, and what their runs do."""

    files: ClassVar[tuple[str, ...]] = ("best.learner", "last.learner")

    tensorboard: bool = False
    """Log for TensorBoard, into the run's folder."""
    recipe: tyro.conf.Suppress[Recipe | None] = None

    @property
    def default_folder(self) -> str:
        return f"{self.name}-seed{self.seed}"

    @property
    def policy_costs(self) -> tuple[PolicyCost, ...]:
        return (ActivityCost(),)

    def untrained(self, env: ReachEnv, params: ReachParams) -> None:
        """Nothing: what the learner began with is not known."""

    def prepare(self) -> ReachParams:
        """Import the learners, and make the params."""
        learners()[self.name].check_installed()
        if self.tensorboard and importlib.util.find_spec("tensorboard") is None:
            raise ValueError("--tensorboard needs TensorBoard: pip install tensorboard")
        params = self.experiment.make()[1]
        refuse_interventions(params, self.name)
        return params

    def complete(self, folder: Path, prepared: ReachParams) -> None:
        """Train, then evaluate, draw and write everything into the folder."""
        from agents.sb3.files import LAST
        from agents.sb3.training import train_sb3

        started, cpu_started = time.perf_counter(), time.process_time()
        assert self.recipe is not None
        history = train_sb3(
            self.recipe,
            prepared,
            folder,
            seed=self.seed,
            resume=(folder / LAST).exists(),
            tensorboard=self.tensorboard,
        )
        policy, params = load_model(folder)
        key = key_from(self.seed)
        metrics = self.finish(folder, policy, params, history, key)
        random_metrics, _ = evaluate(policy, ReachEnv(), params, random_trials(params), key=key)
        metrics |= {
            "random_trials": random_metrics,
            "environment_steps": int(history["environment_steps"][-1]),
            "cpu_seconds": time.process_time() - cpu_started,
            "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
        }
        write_metrics(folder, metrics, started)
        ratio = random_metrics.get("ratio_to_optimum")
        print(
            f"On {N_RANDOM_TRIALS:,} random trials: environment's terms "
            f"{random_metrics['losses']['environment']:.3e}"
            + (f", {ratio:.3f} times the optimum" if ratio else "")
        )

    def tidy(self, folder: Path) -> None:
        """Keep everything: a learner may be trained further, or looked into."""


def register_recipe(recipe: Any, label: str) -> Learner:
    """Register a learner of Stable-Baselines3 by its recipe.

    Args:
        recipe: a class of recipes, all of whose numbers have defaults.
        label: what figures and tables call the learner.

    Example:
        >>> register_recipe(PPORecipe, "PPO")
    """
    command = f"sb3 {recipe.name}"
    options: Any = make_dataclass(
        f"Train{recipe.__name__.removesuffix('Recipe')}",
        [("recipe", Annotated[recipe, tyro.conf.arg(name="")], field(default_factory=recipe))],
        bases=(TrainSB3,),
        frozen=True,
        namespace={"name": recipe.name, "command": command, "__doc__": recipe.__doc__},
    )
    text = f"Environment steps of {label}."
    budget = Budget("total_steps", "steps", recipe.total_steps, text)
    needs = {"needs": "stable_baselines3", "extra": "sb3"}
    return register(Learner(recipe.name, label, command, options, budget, **needs))
