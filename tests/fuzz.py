"""Random command lines, keywords and calls: each runs or is refused with a message.

python tests/fuzz.py --command-lines 500 --keywords 500 --calls 5000

A smaller dose is in the test suite.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import random
import shutil
import signal
import tempfile
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

import jax
import numpy as np
from fuzz_calls import fuzz_calls

import fbx_env
from agents.__main__ import main

TINY = {"--n-batches": "1", "--batch-size": "1", "--hidden-size": "2"}
TINY |= {"--max-steps-in-episode": "2"}
NONSENSE = ["nan", "inf", "-inf", "-1", "abc", "", "None", "1e999", "--", "½", "0x10", "[1]"]
WHOLE = ["1", "2", "0", "1.5", "True", "99999999999999999999", *NONSENSE]
REAL = ["0.5", "1", "2e-3", "0", "-0.0", "1e-40", "1e38", "1e300", *NONSENSE]
OPTIONS: dict[str, list[str]] = {
    **dict.fromkeys(["--n-batches", "--batch-size", "--log-step", "--max-steps-in-episode"], WHOLE),
    **dict.fromkeys(["--hidden-size", "--encoding-size", "--n-replicates", "--seed"], WHOLE),
    **dict.fromkeys(["--sensory-delay", "--motor-delay"], WHOLE),
    **dict.fromkeys(["--mass", "--damping", "--dt", "--max-force", "--time-exponent"], REAL),
    **dict.fromkeys(["--sensory-noise", "--motor-noise", "--signal-noise"], REAL),
    **dict.fromkeys(["--position-weight", "--final-velocity-weight", "--command-weight"], REAL),
    **dict.fromkeys(["--learning-rate", "--clip-norm"], REAL),
    **dict.fromkeys(["--hidden-weight", "--checkpoint-seconds"], REAL),
    "--hidden-type": ["gru", "rnn", "mlp", "lstm", "gro", ""],
    "--workspace": ["0 0 1 1", "1 1 0 0", "0 0 0 0", "nan 0 1 1", "0 0 1", "a b c d"],
    "--env": ["PointMassReach-v0", "PointMassHold-v0", "PointMass", ""],
    "--load": ["curl", "curl elastic", "curl curl", "curly", ""],
    "--strength": REAL,
    "--resume": ["nowhere", "", "."],
    "--debug-nans": ["", "yes"],
    "--time-in-observation": ["", "yes"],
    "--overwrite": ["", "yes"],
    **dict.fromkeys(["--mas", "-x", "--no-such", "stray"], REAL),
}
LOOKING = {
    **dict.fromkeys(["--eval-grid-n", "--eval-n-directions", "--seed", "--replicate"], WHOLE),
    **dict.fromkeys(["--eval-distance", "--mass"], REAL),
    "--format": ["png", "pdf", "gif"],
    "--no-such": REAL,
}
SECONDS = 120


def random_options(options: dict[str, list[str]]) -> list[str]:
    words = []
    for option in random.sample(sorted(options), random.choice([1, 1, 2, 3])):
        words += [option, *random.choice(options[option]).split(" ")]
    return words


def random_command_line(out: Path, finished: Path) -> list[str]:
    """Mostly trainings; where every value is allowed, they are tiny."""
    command = random.choices(["train", "evaluate", "plot", "tran"], [12, 4, 2, 1])[0]
    if command in ("evaluate", "plot"):
        where = random.choice([finished, finished, finished, out / "nowhere", out.parent])
        return [command, str(where), *random_options(LOOKING)]
    tiny = [word for pair in TINY.items() for word in pair]
    return [command, *tiny, "--out", str(out), *random_options(OPTIONS)]


def outcome(words: list[str], out: Path) -> str:
    """What a command line leads to.

    Raises:
        AssertionError: if it leaves a traceback, no message, or half a run.
    """
    printed, told = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(told), no_hanging(words):
        try:
            main(words)
            status = 0
        except SystemExit as stop:
            status = int(stop.code or 0)
    files = {path.name for path in out.iterdir()} if out.exists() else set()
    assert not any(name.startswith(".") for name in files), (words, files)
    if status:
        # A line of ours, or a few of tyro's.
        message = told.getvalue().split("error: ")[-1].strip()
        assert message, (words, told.getvalue())
        assert len(message.splitlines()) < 30, (words, message)
        assert "Traceback" not in told.getvalue(), (words, told.getvalue())
    if words[0] == "train" and status in (0, 1) and "--help" not in words:
        expected = {"config.json", "history.csv", "policy.model"}
        assert expected <= files, (words, files)
        assert ("metrics.json" in files) == (status == 0), (words, files)
    elif files:
        # Too much for the machine: nothing was trained, and nothing looks as if it had been.
        assert files == {"config.json"}, (words, files)
        assert "too much for the machine" in told.getvalue(), (words, told.getvalue())
    return {0: "ran", 1: "training stopped", 2: "refused"}[status]


@contextlib.contextmanager
def no_hanging(words: list[str]) -> Any:
    def stop(*_: Any) -> None:
        raise AssertionError(f"{words}: no end after {SECONDS} seconds")

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)


VALUES: list[Any] = [
    *(0, 1, 2, -1, 0.5, 1e-40, 1e38, 1e300, 10**400, True, None, "1", b"1", "abc"),
    *(float("nan"), float("inf"), complex(1, 2), object(), [], [1, 2], {}, {"command": 1e-4}),
    *({"command": -1}, {"no such": 1}, {1: 2}, np.zeros((2, 2)), np.eye(2), np.float64(0.3)),
    *(np.int8(2), np.array("a"), np.array([1.0]), ((-1, -1), (1, 1)), ((1, 1), (-1, -1))),
    *(jax.numpy.ones(()), jax.random.key(0), fbx_env.PointMass(), fbx_env.SimpleReaches()),
    *(fbx_env.CommandCost(), fbx_env.Loss((fbx_env.CommandCost(),)), fbx_env.MotorChannel()),
    *(fbx_env.SensoryChannel(delay=2), fbx_env.PointMass, lambda: 1, range(3), iter([1])),
]
KEYWORDS = [
    *(number.keyword for number in fbx_env.describe().numbers),
    *("plant", "task", "sensory", "proprioception", "motor", "loads", "loss", "draws"),
    *("loss_weights", "id", "no_such", "Mass"),
]


def outcome_of_keywords(keywords: dict[str, Any]) -> str:
    """What ``make`` and one step of what it made lead to."""
    try:
        env, params = fbx_env.make(**keywords)
        key = jax.random.key(0)
        trial = params.task.sample(key)
        _, state = env.reset_trial(key, trial, params)
        env.step_env(key, state, jax.numpy.ones(2), params)
    except (ValueError, TypeError) as error:
        where = traceback.extract_tb(error.__traceback__)[-1].filename
        told_by_us = Path(fbx_env.__file__).parent in Path(where).parents
        if not told_by_us or len(str(error)) < 10:
            raise AssertionError(f"{keywords}: {error}, in {where}") from error
        return "refused"
    return "ran"


def random_keywords() -> dict[str, Any]:
    names = random.sample(KEYWORDS, random.choice([1, 1, 2, 3]))
    return {name: random.choice(VALUES) for name in names}


def fuzz_command_lines(count: int, root: Path) -> Counter[str]:
    finished, out = root / "finished", root / "out"
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        main(["train", *(word for pair in TINY.items() for word in pair), "--out", str(finished)])
    outcomes: Counter[str] = Counter()
    for _ in range(count):
        outcomes[outcome(random_command_line(out, finished), out)] += 1
        shutil.rmtree(out, ignore_errors=True)
    return outcomes


def fuzz_keywords(count: int) -> Counter[str]:
    return Counter(outcome_of_keywords(random_keywords()) for _ in range(count))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--command-lines", type=int, default=500)
    parser.add_argument("--keywords", type=int, default=500)
    parser.add_argument("--calls", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    random.seed(options.seed)
    print("Keywords:", dict(fuzz_keywords(options.keywords)), flush=True)
    print("Calls:", dict(fuzz_calls(options.calls, VALUES)), flush=True)
    with tempfile.TemporaryDirectory() as root:
        print("Command lines:", dict(fuzz_command_lines(options.command_lines, Path(root))))
