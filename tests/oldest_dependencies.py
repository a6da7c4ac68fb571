"""Install the oldest versions that pyproject.toml allows, and see that the main paths work.

python tests/oldest_dependencies.py

It makes a virtual environment in a temporary folder, and takes some minutes.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
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


def main() -> None:
    """Install and try."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pins = oldest(project["dependencies"])
    print(f"+ {' '.join(pins)}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        venv.create(Path(folder) / "venv", with_pip=True)
        python = str(Path(folder) / "venv" / "bin" / "python")
        install = [python, "-m", "pip", "install", "-q"]
        for arguments in (
            [*install, *pins],
            [*install, "--no-deps", str(ROOT)],
            *([python, "-m", "agents", *command] for command in COMMANDS),
            [python, "-W", "ignore", "-c", OTHER_PATHS],
        ):
            subprocess.run(arguments, cwd=folder, check=True, stdout=sys.stderr)
    print("The oldest allowed versions work.")


if __name__ == "__main__":
    main()
