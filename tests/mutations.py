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
    *("test_plants.py", "test_channels.py", "test_tasks.py", "test_losses.py", "test_loads.py"),
    *("test_draws.py", "test_perturbations.py", "test_properties.py", "test_rollout.py"),
    *("test_env.py", "test_objective.py", "test_bptt.py", "test_policies.py"),
]
PARTS = "fbx_env/parts"
POINT_MASS = f"{PARTS}/plants/point_mass.py"
CHANNEL, MOTOR = f"{PARTS}/channels/channel.py", f"{PARTS}/channels/motor.py"
SENSORY, REACHES = f"{PARTS}/channels/sensory.py", f"{PARTS}/tasks/simple_reaches.py"
POSITION, COMMAND = f"{PARTS}/losses/position.py", f"{PARTS}/losses/command.py"
FINAL_VELOCITY, CLOCK = f"{PARTS}/losses/final_velocity.py", f"{PARTS}/clock.py"
CURL, PULSE = f"{PARTS}/loads/curl_field.py", f"{PARTS}/loads/force_pulse.py"
WALLS, ELASTIC = f"{PARTS}/loads/force_channel.py", f"{PARTS}/loads/elastic_field.py"
ENV, ROLLOUT, PARAMS = "fbx_env/env.py", "fbx_env/rollout.py", "fbx_env/params.py"
OBJECTIVE, BPTT = "agents/objective.py", "agents/bptt/algorithm.py"
GRU = "agents/policies/gru.py"

MUTATIONS = [
    ("position moves with the velocity before the step", POINT_MASS,
     "pos=state.pos + dt * state.vel,", "pos=state.pos + dt * (state.vel + dt * acceleration),"),
    ("velocity integrates force over mass", POINT_MASS,
     "vel=state.vel + dt * acceleration)", "vel=state.vel + dt * dt * acceleration)"),
    ("damping opposes the velocity", POINT_MASS,
     "(force - self.damping * state.vel)", "(force + self.damping * state.vel)"),
    ("acceleration is divided by the mass", POINT_MASS,
     "self.damping * state.vel) / self.mass", "self.damping * state.vel) * self.mass"),
    ("a load adds to the force", POINT_MASS, "control + load(state)", "control - load(state)"),
    ("a trial starts at rest", POINT_MASS,
     "Effector(pos=position, vel=jnp.zeros_like(position))",
     "Effector(pos=position, vel=0.01 * position)"),
    ("the observation has position before velocity", POINT_MASS,
     '{"position": state.pos, "velocity": state.vel}',
     '{"velocity": state.vel, "position": state.pos}'),
    ("the oldest value under way comes out", CHANNEL, "return buffer[0], ", "return buffer[-1], "),
    ("the buffer holds what is under way", CHANNEL,
     "jnp.concatenate([buffer[1:], newest[None]])", "jnp.concatenate([newest[None], buffer[1:]])"),
    ("until the delay is over, the initial state is sensed", SENSORY,
     "filled(signal, self.delay)", "filled(0 * signal, self.delay)"),
    ("until the delay is over, the force is zero", ENV,
     "motor=params.motor.init(nothing)", "motor=params.motor.init(nothing + 1)"),
    ("the command is limited", ENV,
     "clip(command, low, high)", "clip(command, low, 2 * high)"),
    ("noise has the standard deviation asked for", CHANNEL,
     "signal + std * standard_normal", "signal + std**2 * standard_normal"),
    ("signal-dependent noise is proportional to the command", MOTOR,
     "self.signal_noise * command)", "self.signal_noise * jnp.ones_like(command))"),
    ("start and goal are uniform in the workspace", f"{PARTS}/tasks/workspace.py",
     "minval=low, maxval=high)", "minval=0.9 * low, maxval=high)"),
    ("start and goal are drawn apart", REACHES,
     "Trial(start=start, goal=goal)", "Trial(start=start, goal=start)"),
    ("validation goals are at angles 2 pi k / n", REACHES,
     "np.arange(self.eval_n_directions) / self.eval_n_directions",
     "np.arange(self.eval_n_directions) / (self.eval_n_directions + 1)"),
    ("validation goals are at the distance", REACHES,
     "offsets = self.eval_distance *", "offsets = 1.01 * self.eval_distance *"),
    ("validation starts are interior grid points", REACHES,
     "self.eval_grid_n + 2)[1:-1]", "self.eval_grid_n + 2)[:-2]"),
    ("the goal velocity is zero", REACHES,
     "vel=jnp.zeros_like(trial.goal))", "vel=0.1 * jnp.ones_like(trial.goal))"),
    ("the cost of position rises with time", POSITION,
     "return progress**self.exponent", "return progress ** (self.exponent - 1)"),
    ("the cost of position is of the state after", POSITION,
     "error = transition.after.pos - ", "error = transition.before.pos - "),
    ("velocity costs at the last step only", FINAL_VELOCITY,
     "jnp.where(transition.clock.is_last, squared_norm(error), 0.0)", "squared_norm(error)"),
    ("the command costs, not the control", COMMAND,
     "squared_norm(transition.command)", "squared_norm(transition.control)"),
    ("the exponent is 6", POSITION, "        default=6.0,", "        default=5.0,"),
    ("the weight of the command is 1e-5", COMMAND, "weight(1e-5)", "weight(2e-5)"),
    ("the reward is minus the loss", ENV, "return -sum(map(rounded", "return sum(map(rounded"),
    ("the trial ends after N steps", ENV,
     "state.time >= params.max_steps_in_episode", "state.time > params.max_steps_in_episode"),
    ("the weight in time is (t + 1) / N", ENV,
     "now.replace(step=now.step + 1)", "now.replace(step=now.step)"),
    ("the goal comes before what is sensed", ENV,
     "            **params.task.cue(state.trial, clock),\n"
     "            **{name: state.sensed[name] for name in MODALITIES if name in state.sensed},\n",
     "            **{name: state.sensed[name] for name in MODALITIES if name in state.sensed},\n"
     "            **params.task.cue(state.trial, clock),\n"),
    ("there are 99 steps", PARAMS, "default=99,", "default=100,"),
    ("a step lasts 0.05 s", PARAMS, 'default=0.05, unit="s"', 'default=0.04, unit="s"'),
    ("the horizon is never a truncation", ENV,
     "return jnp.zeros((), bool)", "return state.time >= params.max_steps_in_episode"),
    ("a curl field pushes to the left of the motion", CURL,
     "jnp.stack([-vector[1], vector[0]])", "jnp.stack([vector[1], -vector[0]])"),
    ("a spring pulls to its centre", ELASTIC, "return -self.stiffness", "return self.stiffness"),
    ("a pulse ends", PULSE,
     "has_begun & ~clock.has_reached(self.onset + self.duration, epoch=self.epoch)", "has_begun"),
    ("a channel is stiff in position", WALLS,
     "self.stiffness * off", "self.stiffness * speed"),
    ("a time is reached in the step that begins then", CLOCK,
     ".astype(float) + 1e-3 >=", ".astype(float) - 1 >="),
    ("the activity that costs is that after the step", ROLLOUT,
     "command, carry = act(policy,",
     "command, _ = act(policy,"),
    ("a trial's loss is the sum over its steps", OBJECTIVE,
     "jnp.mean(cost.sum(-1))", "jnp.mean(cost)"),
    ("the hidden term is the sum of squares", OBJECTIVE,
     "jnp.sum(jnp.square(trajectory.activity))", "jnp.sum(jnp.abs(trajectory.activity))"),
    ("gradients are clipped to a global norm", BPTT,
     "optax.chain(optax.clip_by_global_norm(rates.clip_norm), muon, shortened)",
     "optax.chain(muon, shortened)"),
    ("trials and noise are drawn afresh at each update", BPTT,
     "jax.random.fold_in(state.key, state.iteration)", "jax.random.fold_in(state.key, 0)"),
    ("the derivative of the gated units", GRU,
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
