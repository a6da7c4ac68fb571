"""rl_zoo3: its training script, with a line of hyperparameters for the id.

In an environment with `pip install "rl_zoo3"`; ran with 2.9.2.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

ID = "PointMassReach-v0"
HYPERPARAMETERS = f"""
{ID}:
  n_timesteps: 792
  policy: MlpPolicy
  n_envs: 2
  n_steps: 99
  batch_size: 198
  gamma: 0.995
"""

with tempfile.TemporaryDirectory() as folder:
    config = Path(folder) / "ppo.yml"
    config.write_text(HYPERPARAMETERS)
    command = [sys.executable, "-m", "rl_zoo3.train", "--algo", "ppo", "--env", ID]
    command += ["--gym-packages", "fbx_env", "--conf-file", str(config), "--log-folder", folder]
    command += ["--env-kwargs", "time_in_observation:True", "--eval-freq", "-1", "--verbose", "0"]
    subprocess.run(command, check=True)
    assert list(Path(folder).glob(f"ppo/{ID}_1/{ID}.zip"))
print("rl_zoo3: its script has trained and saved")
