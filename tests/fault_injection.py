"""Kill trainings at random moments and damage their checkpoints; see that nothing is lost.

python tests/fault_injection.py kills --count 50
python tests/fault_injection.py damages --count 200

A smaller dose of the same is in the test suite. Every run is a process of its own, started as a
user would start it.
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
from pathlib import Path

import numpy as np

from agents import Checkpoints, History
from agents.__main__ import main
from agents.storage.runs import CHECKPOINTED_ROWS

TINY = ["--n-batches", "1200", "--batch-size", "2", "--log-step", "20", "--hidden-size", "4"]
TINY += ["--max-steps-in-episode", "5", "--motor-noise", "0.1", "--checkpoint-seconds", "0"]
KINDS = {"single": TINY, "replicates": [*TINY, "--n-replicates", "2", "--hidden-type", "rnn"]}
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
    process = subprocess.Popen(
        command(*arguments, "--out", folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
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


def damaged(content: bytes, other: bytes) -> tuple[str, bytes]:
    """A file that is not the one that was written."""
    place = random.randrange(len(content))
    kind = random.choice(["cut", "flipped", "emptied", "swapped", "overwritten"])
    if kind == "cut":
        return kind, content[:place]
    if kind == "flipped":
        flipped = bytearray(content)
        flipped[place] ^= 1 << random.randrange(8)
        return kind, bytes(flipped)
    if kind == "emptied":
        return kind, b""
    if kind == "swapped":
        return kind, other
    length = random.randrange(1, 200)
    return kind, content[:place] + random.randbytes(length) + content[place + length :]


def damages(count: int, root: Path, kinds: list[str]) -> None:
    """Damage checkpoints and histories of stopped runs, and resume each in this process."""
    stopped = {}
    for kind, arguments in KINDS.items():
        check(run(*arguments, "--out", root / kind))
        stopped[kind] = folder = root / f"{kind} stopped"
        process = subprocess.Popen(
            command(*arguments, "--out", folder),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while updates_kept(folder) < 100:
            time.sleep(0.02)
        process.terminate()
        if process.wait() != 128 + signal.SIGTERM:
            raise AssertionError(f"SIGTERM ended a run with status {process.returncode}")
    outcomes: Counter[str] = Counter()
    for index in range(count):
        kind = random.choice(kinds)
        other = next(name for name in KINDS if name != kind)
        folder = root / "damaged"
        shutil.copytree(stopped[kind], folder)
        *checkpoints, history = *Checkpoints(folder).files(), Checkpoints(folder).rows_path
        foreign = Checkpoints(stopped[other]).files()[0].read_bytes()
        hit = random.choice([checkpoints[:1], checkpoints[:1], checkpoints[:2], [history]])
        how = []
        for path in hit:
            name, content = damaged(path.read_bytes(), foreign)
            how.append(f"{path.suffix[1:]} {name}")
            path.write_bytes(content)
        status, printed = resume_here(folder)
        told = "The history up to" if hit == [history] else f"{hit[0]} cannot"
        if "Traceback" in printed or told not in printed:
            raise AssertionError(f"{how}: {printed}")
        outcome = "refused" if len(hit) == 2 else "recovered"
        if status != {"recovered": 0, "refused": 2}[outcome]:
            raise AssertionError(f"{how}, expected was {outcome}: {printed}")
        differing = differences(root / kind, folder) if outcome == "recovered" else []
        if hit == [history]:
            # The losses of updates whose rows are lost are gaps; all else is as it was.
            differing = [name for name in differing if not name.startswith("history ")]
        if differing:
            raise AssertionError(f"{how}: recovered with another {', '.join(differing)}")
        outcomes[outcome] += 1
        print(f"{kind} {index}: {' and '.join(how)}: {outcome}", flush=True)
        shutil.rmtree(folder)
    print(dict(outcomes))


def resume_here(folder: Path) -> tuple[int, str]:
    """Exit status and output of resuming a run in this process, without what JAX needs to start."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            main(["train", "--resume", str(folder)])
        except SystemExit as stop:
            return int(stop.code or 0), printed.getvalue()
    return 0, printed.getvalue()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["kills", "damages"])
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    random.seed(options.seed)
    with tempfile.TemporaryDirectory() as root:
        {"kills": kills, "damages": damages}[options.what](options.count, Path(root), options.kinds)
    print(f"{options.count} {options.what}: nothing was lost.")
