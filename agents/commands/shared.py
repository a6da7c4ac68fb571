"""The base of all commands that train: options, and the folder of a run."""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import shlex
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGINT
from typing import Annotated, Any, ClassVar, Self, final

import tyro
from jaxtyping import PRNGKeyArray

from agents.evaluation import evaluate, evaluate_replicates
from agents.experiment import Experiment
from agents.objective import PolicyCost
from agents.policies import count_replicates
from agents.reports.figures import FIGURES, draw_reaches, draw_training
from agents.storage.files import locked, remove_partial
from agents.storage.history import History
from agents.storage.interrupts import Interrupted
from agents.storage.runs import (
    CONFIG,
    METRICS,
    RUN_FILES,
    key_from,
    prepare_folder,
    read_json,
    summary,
    versions,
    write_json,
)
from fbx_env import ReachEnv, ReachParams, Trajectory, Trial, rollout, tree_take

NOT_KEPT = ("out", "overwrite", "resume", "computers", "debug_nans", "policy_costs")
"""Options that say nothing of the run itself, and what other options stand for."""


@dataclass(frozen=True)
class TrainingCommand(abc.ABC):
    """The options that every learner has, and the life of its run's folder."""

    name: ClassVar[str]
    """Of the learner."""
    command: ClassVar[str]
    """After ``python -m agents``."""
    beside_resume: ClassVar[tuple[str, ...]] = ()
    """Options that may be given when a run is resumed."""
    files: ClassVar[tuple[str, ...]] = ()
    """Files of its runs beside those of every run."""
    progress: ClassVar[str] = "environment_steps"
    """The column of the history over which losses are drawn."""

    out: Path | None = None
    """Folder of the run; if not given, one in runs/ that names learner and seed."""
    overwrite: bool = False
    """Replace the run that is in the folder."""
    resume: Annotated[Path | None, tyro.conf.arg(metavar="RUN")] = None
    """Resume a run that was stopped, from its last checkpoint, with its own settings; other options
    are refused, or make no difference where they are the default."""
    seed: int = 0
    """For initial weights, trials and noise."""
    experiment: tyro.conf.Suppress[Experiment] = field(default_factory=Experiment)

    @property
    @abc.abstractmethod
    def default_folder(self) -> str:
        """The name of the run's folder where none is given."""

    @property
    @abc.abstractmethod
    def policy_costs(self) -> tuple[PolicyCost, ...]:
        """The costs of the policy itself."""

    @abc.abstractmethod
    def untrained(self, env: ReachEnv, params: ReachParams) -> Any:
        """Return the policy, or replicates, with initial weights; ``None`` if it is not known."""

    @abc.abstractmethod
    def prepare(self) -> Any:
        """Do what may fail before anything is written.

        Returns:
            What ``complete`` needs; ``None`` if this process has nothing more to do.
        """

    @abc.abstractmethod
    def complete(self, folder: Path, prepared: Any) -> None:
        """Train, or resume training, and write what came of it into the locked folder."""

    @abc.abstractmethod
    def tidy(self, folder: Path) -> None:
        """Remove what only a run that is to be resumed needs."""

    @final
    def run(self) -> None:
        """Make a run, or complete one that was stopped."""
        command = self if self.resume is None else self.resumed(self.resume)
        key_from(command.seed)
        prepared = command.prepare()
        if prepared is None:
            return
        folder = self.resume or self.out or Path("runs") / self.default_folder
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder):
            if self.resume is None:
                figures = (f"{figure}.png" for figure in FIGURES)
                prepare_folder(folder, self.overwrite, (*RUN_FILES, *figures, *self.files))
                command.tidy(folder)
                write_json(folder / CONFIG, self.configuration())
            elif (folder / METRICS).exists():
                command.tidy(folder)
                print(f"The run in {folder} is finished; there is nothing to resume.")
                return
            remove_partial(folder)
            with advice_to_resume(folder, self.command):
                command.complete(folder, prepared)
            # Metrics come last: a run that has them is finished.
            command.tidy(folder)

    @final
    def finish(
        self, folder: Path, policy: Any, params: ReachParams, history: History, key: PRNGKeyArray
    ) -> dict[str, Any]:
        """Evaluate a trained policy, and draw its training and its reaches.

        Returns:
            The metrics, for ``write_metrics``.
        """
        trials = params.task.validation_trials()
        metrics, trajectory = evaluate_all(policy, params, trials, self.policy_costs, key)
        draw_training(folder, history, self.progress)
        draw_reaches(folder / "reaches.png", trajectory)
        seconds = {name: getattr(history, name) for name in ("compile_seconds", "train_seconds")}
        return {**metrics, **seconds}

    @final
    def configuration(self) -> dict[str, Any]:
        """The settings of the run, ready for JSON."""
        return {"learner": self.name, **_kept(dataclasses.asdict(self))}

    @final
    @classmethod
    def load(cls, folder: Path) -> Self:
        """Return the command by which the run in a folder was begun.

        Raises:
            ValueError: if the folder holds no run of this learner, or it cannot be read.
        """
        try:
            content = read_json(folder / CONFIG)
            learner = content.pop("learner")
            if learner != cls.name:
                raise ValueError(f"its learner is {learner}")
            command: Self = _from_json(cls, content)
            return command
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{folder} is not a run: {CONFIG} cannot be read ({error})") from error

    @final
    def resumed(self, folder: Path) -> Self:
        """Return the command by which the run in a folder was begun, to be continued.

        Raises:
            ValueError: if options are given that would change it.
        """
        defaults, given = _flat(type(self)()), _flat(self)
        beside = {"resume", *self.beside_resume}
        for name in self.beside_resume:
            value = getattr(self, name)
            beside |= _flat(value).keys() if dataclasses.is_dataclass(value) else {name}
        others = [
            "--from" if name == "start" else f"--{name.replace('_', '-')}"
            for name, value in given.items()
            if name not in beside and defaults.get(name) != value
        ]
        if others:
            raise ValueError(
                "a run that is resumed keeps its own settings; leave out what is given beside "
                f"--resume ({', '.join(others)})"
            )
        now = {name: getattr(self, name) for name in self.beside_resume}
        return dataclasses.replace(type(self).load(folder), **now)


def write_metrics(folder: Path, metrics: dict[str, Any], started: float) -> None:
    """Write and print the metrics of a run, which is finished then.

    Args:
        folder: of the run.
        metrics: of ``finish``, and others.
        started: when the command began, by ``time.perf_counter()``.
    """
    known = metrics.get("versions", {})
    ended = {"wall_clock_seconds": time.perf_counter() - started, "versions": versions() | known}
    write_json(folder / METRICS, {**metrics, **ended})
    print(f"\n{summary(metrics)}\n\nThe run is in {folder}.")


def evaluate_all(
    policy: Any,
    params: ReachParams,
    trials: Trial,
    policy_costs: Sequence[PolicyCost],
    key: PRNGKeyArray,
    n_starts: int = 0,
    keep_in: Path | None = None,
) -> tuple[dict[str, Any], Trajectory]:
    """Metrics, and the trajectory of the policy, or of the first replicate if there are several."""
    env = ReachEnv()
    how: dict[str, Any] = {
        "policy_costs": policy_costs,
        "n_starts": n_starts,
        "keep_in": keep_in,
        "key": key,
    }
    if count_replicates(policy) is None:
        return evaluate(policy, env, params, trials, **how)
    metrics = evaluate_replicates(policy, env, params, trials, **how)
    return metrics, rollout(env, params, tree_take(policy, 0), trials, key)


@contextlib.contextmanager
def advice_to_resume(folder: Path, command: str) -> Iterator[None]:
    """Add to what interrupts a run, and to files that cannot be written, how to resume it."""
    advice = f"resume it with: python -m agents {command} --resume {shlex.quote(str(folder))}"
    try:
        yield
    except Interrupted as stop:
        raise Interrupted(f"{stop}; {advice}", stop.signal, stop.policy, stop.history) from stop
    except KeyboardInterrupt as stop:
        raise Interrupted(f"in the middle of its work; {advice}", SIGINT) from stop
    except OSError as error:
        raise OSError(f"{error}; when that is mended, {advice}") from error


def _kept(settings: Any) -> Any:
    if isinstance(settings, dict):
        return {name: _kept(value) for name, value in settings.items() if name not in NOT_KEPT}
    return settings


def _from_json(kind: type, content: Any) -> Any:
    """A dataclass from its settings, those that are dataclasses included."""
    defaults, values = kind(), {}
    for name, value in content.items():
        default = getattr(defaults, name)
        if dataclasses.is_dataclass(default):
            value = _from_json(type(default), value)
        values[name] = tuple(value) if isinstance(default, tuple) else value
    return kind(**values)


def _flat(settings: Any) -> dict[str, Any]:
    """All options by name, on one level."""
    flat: dict[str, Any] = {}
    for each in dataclasses.fields(settings):
        value = getattr(settings, each.name)
        if isinstance(value, Experiment):
            parts = {"load": value.loads, "intervene": value.interventions}
            flat |= {"env": value.id, **parts, **value.numbers}
        elif dataclasses.is_dataclass(value):
            flat |= _flat(value)
        elif each.name != "policy_costs":
            flat[each.name] = value
    return flat
