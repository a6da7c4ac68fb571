"""Build the package, install it in fresh environments, and see that the main paths work.

python tests/fresh_environments.py         # both of what follows
python tests/fresh_environments.py newest  # the wheel, with the newest versions that are allowed
python tests/fresh_environments.py oldest  # the sdist, with the oldest ones

It needs `build`, makes virtual environments in a temporary folder, and takes some minutes.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
WHICH = ("newest", "oldest")
SMALL = ["--n-batches", "5", "--batch-size", "4", "--hidden-size", "4"]
SHORT = ["--max-steps-in-episode", "9"]
COMMANDS = [
    ["train", *SMALL, *SHORT, "--motor-delay", "1", "--load", "curl", "--out", "run"],
    ["evaluate", "run", "--mass", "2"],
    ["plot", "run"],
    ["train", *SMALL, "--env", "MuscleArmReach-v0", "--n-replicates", "2", "--out", "arm"],
]
OTHER_PATHS = """
import gymnasium, gymnax, jax, numpy as np
from gymnasium.utils.env_checker import check_env
from agents import optimal_loss
from fbx_env.registration import IDS, make

for id in IDS:
    env, params = gymnax.make(id)
    obs, state = env.reset(jax.random.key(0), params)
    env.step(jax.random.key(1), state, np.zeros(state.control.shape, np.float32), params)
    check_env(gymnasium.make(id).unwrapped, skip_render_check=True)
for mode in ("NextStep", "SameStep", "Disabled"):
    envs = gymnasium.make_vec("fbx_env:PointMassReach-v0", num_envs=3, autoreset_mode=mode)
    envs.reset(seed=0)
    envs.step(np.zeros((3, 2), np.float32))
_, params = make()
assert abs(optimal_loss(params, params.task.validation_trials()).total - 1.374965e-4) < 1e-9
"""


def oldest(requirements: list[str]) -> list[str]:
    """The requirements with their lower bounds as versions."""
    return [each.partition(",")[0].replace(">=", "==") for each in requirements]


def installations(built: Path, which: str) -> list[list[str]]:
    """What pip is asked to install, in this order."""
    if which == "newest":
        return [[str(next(built.glob("*.whl")))]]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [oldest(project["dependencies"]), ["--no-deps", str(next(built.glob("*.tar.gz")))]]


def try_out(built: Path, which: str, folder: Path) -> None:
    """Install into a fresh environment and use it."""
    venv.create(folder / "venv", with_pip=True)
    python = str(folder / "venv" / "bin" / "python")

    def run(*arguments: str) -> None:
        subprocess.run([python, *arguments], cwd=folder, check=True, stdout=sys.stderr)

    begun = time.perf_counter()
    for requirements in installations(built, which):
        print(f"+ pip install {' '.join(requirements)}", flush=True)
        run("-m", "pip", "install", "-q", *requirements)
    installed = time.perf_counter()
    for command in COMMANDS:
        run("-m", "agents", *command)
    run("-W", "ignore", "-c", OTHER_PATHS)
    tried = time.perf_counter()
    print(f"{which}: installed in {installed - begun:.0f} s, tried in {tried - installed:.0f} s")


def main() -> None:
    """Build, install and try."""
    parser = argparse.ArgumentParser(description="Try the package in fresh environments.")
    parser.add_argument("which", nargs="?", choices=WHICH, help="both if not given")
    which = parser.parse_args().which
    chosen = WHICH if which is None else (which,)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = [sys.executable, "-m", "build", "--outdir", str(folder / "dist"), str(ROOT)]
        subprocess.run(command, check=True, stdout=sys.stderr)
        for each in chosen:
            (folder / each).mkdir()
            try_out(folder / "dist", each, folder / each)


if __name__ == "__main__":
    main()
