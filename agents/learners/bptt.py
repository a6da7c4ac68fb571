"""Backpropagation through time, through the environment itself."""

from agents.bptt import BPTTConfig
from agents.commands.train import Train
from agents.learners.registry import Budget, Learner, register
from agents.recipes import RECIPES

register(
    Learner(
        name=Train.name,
        label="BPTT",
        command=Train.command,
        options=Train,
        budget=Budget(
            "n_batches",
            "updates",
            BPTTConfig.n_batches,
            "Updates of backpropagation through time.",
            {
                id: each.settings["n_batches"]
                for id, each in RECIPES.items()
                if "n_batches" in each.settings
            },
        ),
    )
)
