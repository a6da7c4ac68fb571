"""The command ``python -m agents plot``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from agents.commands import options
from agents.commands.evaluate import command_of, params_of_first
from agents.experiment import Experiment
from agents.policies import count_replicates
from agents.reports.figures import draw_all
from agents.storage.files import locked
from agents.storage.history import History
from agents.storage.models import load_model
from agents.storage.runs import CONFIG, HISTORY, MODEL, key_from
from fbx_env import ReachEnv, ReachParams, checks, rollout, tree_take


@dataclass(frozen=True)
class Plot:
    """Draw every figure of a run into its folder."""

    run_folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """Folder of the run."""
    replicate: int = 0
    """The replicate whose reaches and activity are shown, if there are several."""
    format: Literal["png", "pdf", "svg"] = "png"
    """Of the figures; the animation is a GIF."""
    seed: int = 0
    """For noise, and for the units and trials that are shown."""
    experiment: tyro.conf.Suppress[Experiment] = field(default_factory=Experiment)

    def run(self) -> None:
        """Draw the figures."""
        policy, params = load_model(self.run_folder)
        params = self.experiment.applied_to(params)
        with locked(self.run_folder):
            names = self._draw(policy, params)
        print(f"Drawn into {self.run_folder}: {', '.join(names)}.")

    def _draw(self, policy: Any, params: ReachParams) -> list[str]:
        env = ReachEnv()
        command = command_of(self.run_folder)
        untrained = None if command is None else command.untrained(env, params)
        if untrained is not None and not _are_of_one_kind(untrained, policy):
            raise ValueError(
                f"{self.run_folder} is not a run: its {CONFIG} is not that of its {MODEL}"
            )
        key_rollout, key_figures = jax.random.split(key_from(self.seed))
        n_replicates = count_replicates(policy)
        index = checks.whole(
            "replicate", self.replicate, at_least=0, at_most=(n_replicates or 1) - 1
        )
        if n_replicates is not None:
            policy = tree_take(policy, index)
            untrained = None if untrained is None else tree_take(untrained, index)
        trials = params.task.validation_trials()
        trajectory = rollout(env, params, policy, trials, key_rollout)
        if not np.isfinite(trajectory.pos).all() or not np.isfinite(trajectory.activity).all():
            raise ValueError(
                f"the model in {self.run_folder} cannot be drawn: its trials are not finite"
            )
        before = None
        if untrained is not None:
            before = rollout(env, params, untrained, trials, key_rollout)
        history = History() if command is None else History.load(self.run_folder / HISTORY)
        return draw_all(
            self.run_folder,
            history,
            trajectory,
            before,
            params.task,
            progress="iteration" if command is None else command.progress,
            format=self.format,
            key=key_figures,
        )


def _are_of_one_kind(one: Any, other: Any) -> bool:
    """Whether two policies differ in numbers alone."""
    kinds = [
        (jax.tree.structure(each), [jnp.shape(leaf) for leaf in jax.tree.leaves(each)])
        for each in (one, other)
    ]
    return bool(kinds[0] == kinds[1])


def parse(words: Sequence[str], prog: str) -> Plot:
    """Read the options; those of the experiment are of the run among them."""
    command: Plot = options.parse(Plot, words, prog, params_of_first(words))
    return command
