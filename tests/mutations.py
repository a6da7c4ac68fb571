"""Break each equation of the contract once, and see that a test fails.

python tests/mutations.py

Each change is made in a copy of the project. The list below says what is broken, in which file, and
how; an entry whose text is no longer in its file ends the script.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).parent.parent
TESTS = [
    *("test_plants.py", "test_channels.py", "test_tasks.py", "test_losses.py"),
    *("test_properties.py", "test_rollout.py", "test_env.py", "test_bptt.py", "test_lqr.py"),
    "test_policies.py",
]
PLANTS, CHANNELS = "fbx_env/plants.py", "fbx_env/channels.py"
TASKS, LOSSES = "fbx_env/tasks.py", "fbx_env/losses.py"
ENV, ROLLOUT = "fbx_env/env.py", "fbx_env/rollout.py"
BPTT, LQR, POLICIES = "agents/bptt.py", "agents/lqr.py", "agents/policies.py"

MUTATIONS = [
    ("position moves with the velocity before the step", PLANTS,
     "pos=state.pos + dt * state.vel,", "pos=state.pos + dt * (state.vel + dt * acceleration),"),
    ("velocity integrates force over mass", PLANTS,
     "vel=state.vel + dt * acceleration)", "vel=state.vel + dt * dt * acceleration)"),
    ("damping opposes the velocity", PLANTS,
     "(force - self.damping * state.vel)", "(force + self.damping * state.vel)"),
    ("acceleration is divided by the mass", PLANTS,
     "self.damping * state.vel) / self.mass", "self.damping * state.vel) * self.mass"),
    ("a trial starts at rest", PLANTS,
     "Effector(pos=position, vel=jnp.zeros_like(position))",
     "Effector(pos=position, vel=0.01 * position)"),
    ("the observation has position before velocity", PLANTS,
     "jnp.concatenate([state.pos, state.vel])", "jnp.concatenate([state.vel, state.pos])"),
    ("the oldest value under way is sensed", CHANNELS,
     "return buffer[0] if", "return buffer[-1] if"),
    ("the buffer holds what is under way", CHANNELS,
     "jnp.concatenate([buffer[1:], newest[None]])", "jnp.concatenate([newest[None], buffer[1:]])"),
    ("until the delay is over, the initial state is sensed", CHANNELS,
     "jnp.tile(feedback, (self.delay, 1))", "jnp.tile(0 * feedback, (self.delay, 1))"),
    ("until the delay is over, the force is zero", CHANNELS,
     "jnp.zeros((self.delay, action_size))", "jnp.ones((self.delay, action_size))"),
    ("the force is limited per axis", CHANNELS,
     "-self.max_force, self.max_force)", "-self.max_force, 2 * self.max_force)"),
    ("noise has the standard deviation asked for", CHANNELS,
     "signal + std * jax.random.normal", "signal + std**2 * jax.random.normal"),
    ("signal-dependent noise is proportional to the force", CHANNELS,
     "self.signal_noise * limited)", "self.signal_noise * jnp.ones_like(limited))"),
    ("start and goal are uniform in the workspace", TASKS,
     "minval=low, maxval=high)", "minval=0.9 * low, maxval=high)"),
    ("start and goal are drawn apart", TASKS,
     "Trial(start=points[0], goal=points[1])", "Trial(start=points[0], goal=points[0])"),
    ("validation goals are at angles 2 pi k / n", TASKS,
     "2 * np.pi * np.arange(n_directions) / n_directions",
     "2 * np.pi * np.arange(n_directions) / (n_directions + 1)"),
    ("validation goals are at the distance", TASKS,
     "offsets = distance_m *", "offsets = 1.01 * distance_m *"),
    ("validation starts are interior grid points", TASKS,
     "grid_n + 2)[1:-1]", "grid_n + 2)[:-2]"),
    ("the goal velocity is zero", TASKS,
     "vel=jnp.zeros_like(trial.goal))", "vel=0.1 * jnp.ones_like(trial.goal))"),
    ("the cost of position rises with time", LOSSES,
     "transition.fraction**self.exponent * ", "transition.fraction ** (self.exponent - 1) * "),
    ("the cost of position is of the state after", LOSSES,
     "error = transition.after.pos - ", "error = transition.before.pos - "),
    ("velocity costs at the last step only", LOSSES,
     "jnp.where(transition.is_last, squared_norm(error), 0.0)", "squared_norm(error)"),
    ("the command costs, not the force", LOSSES,
     "squared_norm(transition.command)", "squared_norm(transition.force)"),
    ("the exponent is 6", LOSSES, "exponent: Scalar = 6.0", "exponent: Scalar = 5.0"),
    ("the weight of the command is 1e-5", LOSSES, "weight: Scalar = 1e-5", "weight: Scalar = 2e-5"),
    ("the reward is minus the loss", ENV,
     "reward = -sum(map(rounded", "reward = sum(map(rounded"),
    ("the trial ends after N steps", ENV,
     "state.time >= params.max_steps_in_episode", "state.time > params.max_steps_in_episode"),
    ("the weight in time is (t + 1) / N", ENV,
     "fraction = fraction_passed(next_state, params)", "fraction = fraction_passed(state, params)"),
    ("the goal comes before what is sensed", ENV,
     "        parts = [\n            params.task.cue(state.trial, fraction),\n"
     "            params.sensory.sense(key, state.sensory, feedback),\n        ]\n",
     "        parts = [\n            params.sensory.sense(key, state.sensory, feedback),\n"
     "            params.task.cue(state.trial, fraction),\n        ]\n"),
    ("there are 99 steps", ENV,
     "max_steps_in_episode: int = static(default=99)",
     "max_steps_in_episode: int = static(default=100)"),
    ("a step lasts 0.05 s", ENV, "dt: Scalar = 0.05", "dt: Scalar = 0.04"),
    ("the horizon is never a truncation", ENV,
     "return jnp.zeros((), bool)", "return state.time >= params.max_steps_in_episode"),
    ("the activity that costs is that after the step", ROLLOUT,
     "command, carry = policy(obs, carry, key=key_policy)",
     "command, _ = policy(obs, carry, key=key_policy)"),
    ("a trial's loss is the sum over its steps", BPTT, "jnp.mean(cost.sum(-1))", "jnp.mean(cost)"),
    ("the hidden term is the sum of squares", BPTT,
     "jnp.sum(jnp.square(trajectory.activity), (-2, -1))",
     "jnp.sum(jnp.abs(trajectory.activity), (-2, -1))"),
    ("gradients are clipped to a global norm", BPTT,
     "optax.chain(optax.clip_by_global_norm(config.clip_norm), muon)", "optax.chain(muon)"),
    ("trials and noise are drawn afresh at each update", BPTT,
     "jax.random.fold_in(state.key, state.iteration)", "jax.random.fold_in(state.key, 0)"),
    ("the derivative of the gated units", POLICIES,
     "by_update = (hidden - n) * z * (1 - z)", "by_update = (hidden - n) * z"),
]  # fmt: skip


def first_failing_test(folder: Path) -> str | None:
    """The test that fails first in a copy of the project; ``None`` if all pass."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-x",
        "-q",
        "--durations=0",
        "-p",
        "no:cacheprovider",
    ]
    result = subprocess.run(
        [*command, *(f"tests/{name}" for name in TESTS)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
    )
    failed = re.search(r"^(?:FAILED|ERROR) tests/(\S+)", result.stdout, re.MULTILINE)
    if failed is None and result.returncode:
        raise RuntimeError(result.stdout + result.stderr)
    return failed[1] if failed else None


def mutate(mutations: list[tuple[str, str, str, str]]) -> int:
    """Try each, print a table, and count those that no test noticed."""
    unnoticed = 0
    for what, name, old, new in mutations:
        with tempfile.TemporaryDirectory() as root:
            folder = Path(root) / "project"
            skipped = shutil.ignore_patterns(".git", ".venv", "__pycache__", ".hypothesis")
            shutil.copytree(PROJECT, folder, ignore=skipped)
            text = (folder / name).read_text()
            if text.count(old) != 1:
                raise ValueError(f"{name} holds this {text.count(old)} times: {old}")
            (folder / name).write_text(text.replace(old, new))
            test = first_failing_test(folder)
        unnoticed += test is None
        print(f"| {what} | {name} | {test or 'NOT NOTICED'} |", flush=True)
    return unnoticed


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="regular expression of equations to break")
    options = parser.parse_args()
    if (broken := first_failing_test(PROJECT)) is not None:
        sys.exit(f"{broken} fails before anything is broken")
    chosen = [mutation for mutation in MUTATIONS if re.search(options.only, mutation[0])]
    print("| equation | file | test that fails first |\n| --- | --- | --- |")
    unnoticed = mutate(chosen)
    print(f"{len(chosen)} broken, {unnoticed} not noticed.")
    sys.exit(unnoticed > 0)
