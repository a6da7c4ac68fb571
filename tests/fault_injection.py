"""Kill trainings at random moments and damage the files of runs; see that nothing is lost.

python tests/fault_injection.py kills --count 50
python tests/fault_injection.py damages

Runs that are killed are processes of their own, started as a user would start them. The second
damages every file of a run in the twenty ways of ``damages.py``. A smaller dose of both is in the
test suite.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from damages import DAMAGES, Surroundings, damage
from fuzz import no_hanging

from agents import Checkpoints, History
from agents.__main__ import main
from agents.storage.runs import CHECKPOINTED_ROWS

TINY = ["--n-batches", "1200", "--batch-size", "2", "--log-step", "20", "--hidden-size", "4"]
TINY += ["--max-steps-in-episode", "5", "--motor-noise", "0.1", "--checkpoint-seconds", "0"]
KINDS = {"single": TINY, "replicates": [*TINY, "--n-replicates", "2", "--hidden-type", "rnn"]}
QUIET: Any = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
TIMES = ("compile_seconds", "train_seconds", "wall_clock_seconds")


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "agents", "train", *map(str, arguments)]


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=300)


def check(process: subprocess.CompletedProcess[str]) -> None:
    if process.returncode or "Traceback" in process.stderr:
        raise AssertionError(f"{process.args} failed:\n{process.stdout}\n{process.stderr}")


def differences(one: Path, other: Path) -> list[str]:
    """In what two finished runs differ, times and the path of the run apart."""
    differing = [
        name
        for name in ("policy.model", "reaches.png")
        if (one / name).read_bytes() != (other / name).read_bytes()
    ]
    histories = [History.load(folder / "history.csv").columns for folder in (one, other)]
    for name in histories[0].keys() | histories[1].keys():
        if name != "seconds" and not np.array_equal(
            histories[0][name], histories[1][name], equal_nan=True
        ):
            differing.append(f"history {name}")
    metrics = [json.loads((folder / "metrics.json").read_text()) for folder in (one, other)]
    for each in metrics:
        for name in TIMES:
            del each[name]
    return differing + ["metrics"] * (metrics[0] != metrics[1])


def updates_kept(folder: Path) -> int:
    """After how many updates the last checkpoint is."""
    files = Checkpoints(folder).files()
    return int(files[0].stem) if files else 0


def kill_once(whole: Path, folder: Path, arguments: list[str], lifetime: float) -> str | None:
    """Kill a run at a random moment, go on with it, and compare.

    Returns:
        When it was killed; ``None`` if it had ended before.
    """
    process = subprocess.Popen(command(*arguments, "--out", folder), **QUIET)
    if random.random() < 0.5:
        # Half of the kills come while checkpoints are written, and not while JAX starts.
        while process.poll() is None and not updates_kept(folder):
            time.sleep(0.02)
        lifetime /= 4
    time.sleep(random.uniform(0, lifetime))
    process.kill()
    if process.wait() == 0:
        return None
    kept = updates_kept(folder)
    if (folder / "config.json").exists():
        process_again = run("--resume", folder)
    else:
        process_again = run(*arguments, "--out", folder)
    check(process_again)
    if "is finished" in process_again.stdout:
        moment = "with all written"
    else:
        moment = f"after {kept} updates" if kept else "before the first checkpoint"
        if kept and f"Resuming after {kept} updates" not in process_again.stdout:
            raise AssertionError(f"{kept} updates were kept, not used:\n{process_again.stdout}")
    differing = differences(whole, folder)
    if differing:
        raise AssertionError(f"killed {moment}: another {', '.join(differing)}")
    leftovers = [path.name for path in folder.iterdir() if path.name.startswith(".")]
    if leftovers or list(folder.glob("*.checkpoint")) or (folder / CHECKPOINTED_ROWS).exists():
        raise AssertionError(f"killed {moment}: left {leftovers}")
    return moment


def kills(count: int, root: Path, kinds: list[str]) -> None:
    """Kill runs of each kind."""
    for kind in kinds:
        arguments = KINDS[kind]
        whole = root / kind
        check(run(*arguments, "--out", whole))
        started = time.perf_counter()
        check(run(*arguments, "--out", root / f"{kind} again"))
        lifetime = time.perf_counter() - started
        killed = 0
        while killed < count // len(kinds):
            folder = root / f"{kind}-{killed}"
            moment = kill_once(whole, folder, arguments, lifetime)
            shutil.rmtree(folder)
            if moment is not None:
                print(f"{kind} {killed}: killed {moment}; resumed, bit-identical", flush=True)
                killed += 1


class Case(NamedTuple):
    """A file of a run, and the commands that meet it.

    Attributes:
        run: name of the run.
        pattern: of the file's name; the last of those that match is damaged.
        commands: what is tried, each on a fresh copy of the run.
    """

    run: str
    pattern: str
    commands: tuple[str, ...]


LOOK = ("evaluate", "plot")
CASES = [
    *(Case("single", name, LOOK) for name in ("config.json", "history.csv", "policy.model")),
    Case("single", "metrics.json", ("evaluate", "train --resume")),
    Case("single", "reaches.png", ("plot",)),
    Case("single", "evaluation.json", ("evaluate",)),
    Case("single", ".lock", ("evaluate",)),
    *(
        Case("single stopped", name, ("train --resume",))
        for name in ("config.json", "*.checkpoint")
    ),
    Case("single stopped", "training.history", ("train --resume",)),
    Case("single stopped", ".training.lock", ("train --resume",)),
    *(Case("ppo", name, ("sb3 ppo --resume",)) for name in ("last.learner", "history.csv")),
]
"""Every file that a command reads, and some that it writes."""

OF_LEARNER = ["--max-steps-in-episode", "5", "--n-envs", "2", "--rollout-steps", "10"]
OF_LEARNER += ["--batch-size", "10", "--n-epochs", "1", "--n-evaluations", "2"]


def damages(root: Path, damages: Sequence[str]) -> None:
    """Damage every file of a run in every way, and let the commands of this process meet it."""
    prepare_runs(root)
    outcomes: Counter[str] = Counter()
    faults = []
    for case in CASES:
        for how in damages:
            for command in case.commands:
                try:
                    outcome = meet(root, case, how, command)
                except AssertionError as error:
                    outcome = f"FAULT: {error}"
                    faults.append(outcome)
                print(f"{case.run}, {case.pattern} {how}: {command}: {outcome}", flush=True)
                outcomes[outcome.partition(":")[0]] += 1
    print(f"{len(CASES) * len(damages)} damaged files: {dict(outcomes)}")
    if faults:
        raise AssertionError("\n".join(faults))


def prepare_runs(root: Path) -> None:
    """Make finished runs, stopped ones, and others from which foreign files come."""
    for kind, arguments in KINDS.items():
        check(run(*arguments, "--out", root / kind))
        call("evaluate", root / kind)
        folder = root / f"{kind} stopped"
        process = subprocess.Popen(command(*arguments, "--out", folder), **QUIET)
        while updates_kept(folder) < 100:
            time.sleep(0.02)
        process.terminate()
        if process.wait() != 128 + signal.SIGTERM:
            raise AssertionError(f"SIGTERM ended a run with status {process.returncode}")
    for name, seed in (("ppo", "0"), ("ppo other", "1")):
        words = ["--total-steps", "40", "--seed", seed, "--out", str(root / name)]
        call("sb3 ppo", *OF_LEARNER, *words)
        (root / name / "metrics.json").unlink()


def meet(root: Path, case: Case, how: str, command: str) -> str:
    """Damage a file of a copy of a run, and let a command meet it.

    Returns:
        What the command did: "refused", "as if whole", or "went on".

    Raises:
        AssertionError: if something was executed, lost or reached outside of the folder, if there
            was no end, a traceback or no message, or if what came of it is not what it should be.
    """
    folder, around = root / "damaged", Surroundings(root / "outside", foreign(root, case))
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(root / case.run, folder)
    around.prepare()
    path = max(folder.glob(case.pattern), default=folder / case.pattern)
    damage(path, how, around)
    before = contents(folder)
    status, printed = call(command, folder)
    where = f"{command} with {path.name} {how}: status {status}\n{printed}"
    around.check()
    if "Traceback" in printed or status not in (0, 2):
        raise AssertionError(where)
    after = contents(folder)
    if status == 2:
        names_it = path.name in printed or str(folder) in printed
        if not names_it or len(printed.split("error: ")[-1].splitlines()) > 4:
            raise AssertionError(where)
        if lost := [name for name in before if after.get(name) != before[name]]:
            raise AssertionError(f"{where}\n{lost} changed")
        return "refused"
    if "resume" in command and case.run in KINDS.keys() | {f"{kind} stopped" for kind in KINDS}:
        whole = root / case.run.removesuffix(" stopped")
        if after["policy.model"] != (whole / "policy.model").read_bytes():
            raise AssertionError(f"{where}\nanother policy")
    kept = [name for name in READ if name in before and after.get(name) != before[name]]
    if kept and "resume" not in command:
        raise AssertionError(f"{where}\n{kept} changed")
    return "as if whole" if path.name not in printed else "went on"


READ = ("config.json", "history.csv", "metrics.json", "policy.model")
"""What looking at a run leaves as it is."""


def foreign(root: Path, case: Case) -> bytes:
    """The content of such a file of another run."""
    other = {"single": "replicates", "single stopped": "replicates stopped", "ppo": "ppo other"}
    found = max((root / other[case.run]).glob(case.pattern), default=None)
    return b"process 1 on another machine" if found is None else found.read_bytes()


def contents(folder: Path) -> dict[str, bytes | str]:
    """The files of a folder, or what is in their place."""
    return {
        path.name: path.read_bytes() if path.is_file() and not path.is_symlink() else "no file"
        for path in folder.iterdir()
    }


def call(command: str, *words: str | Path) -> tuple[int, str]:
    """Exit status and output of a command in this process, without what JAX needs to start."""
    printed = io.StringIO()
    with (
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(printed),
        no_hanging([command, *map(str, words)]),
    ):
        try:
            main([*command.split(), *map(str, words)])
        except SystemExit as stop:
            return int(stop.code or 0), printed.getvalue()
    return 0, printed.getvalue()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["kills", "damages"])
    parser.add_argument("--count", type=int, default=50, help="of kills")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    random.seed(options.seed)
    with tempfile.TemporaryDirectory() as root:
        if options.what == "kills":
            kills(options.count, Path(root), list(KINDS))
        else:
            damages(Path(root), DAMAGES)
    print("Nothing was executed, nothing lost, nothing hung.")
