"""Measurements of speed, each beside something measured in the same process at the same time.

What is compared takes turns, and medians of the turns are compared, so that the load of a shared
machine weighs on both. Seconds are those of this machine today; ratios travel better.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import gymnasium
import gymnax
import jax
import jax.numpy as jnp
import numpy as np
from gymnax.wrappers.gym import GymnaxToGymWrapper

from agents.bptt import (
    BPTTConfig,
    Problem,
    compile_training,
    default_optimizer,
    init_state,
    objective,
    select_trainable,
    train,
)
from agents.bptt.devices import make_mesh
from agents.lqr import optimal_loss
from agents.policies import GRUPolicy
from agents.sb3_command import import_sb3
from agents.sb3_recipes import PPORecipe
from agents.storage.history import History
from fbx_env import ReachEnv, ReachGymEnv, ReachParams, ReachVectorEnv

TUTORIAL_TARGET = 5.83e-4
"""Validation loss to which the tutorial of the field's other library trains."""


class Row(NamedTuple):
    """One line of the table.

    Attributes:
        what: was measured.
        value, unit: the figure.
        beside: what it is compared with, and its figure.
        ratio: of the two, by the words in ``beside``; ``None`` if there is no comparison.
    """

    what: str
    value: float
    unit: str
    beside: str = ""
    ratio: float | None = None


@dataclass(frozen=True)
class Work:
    """What an update of the weights works on; the defaults are the tutorial's."""

    batch_size: int = 250
    n_steps: int = 99
    hidden_size: int = 50
    n_replicates: int = 1
    rematerialise: bool = False

    def operations(self) -> float:
        """Floating-point operations of the matrix products in one update.

        A product of matrices takes one multiplication and one addition for each pair of numbers
        that meet; the backward pass takes two such products for each of the forward pass.
        """
        observation, command = 8, 2
        weights = self.hidden_size * (3 * (observation + self.hidden_size) + command)
        return 3.0 * 2 * self.n_replicates * self.batch_size * self.n_steps * weights


def median_seconds(functions: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Median time that each function takes, by turns, after a first call that does not count [s].

    Args:
        functions: by name; what they return is waited for.
        repeats: turns.
    """
    for function in functions.values():
        jax.block_until_ready(function())
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            started = time.perf_counter()
            jax.block_until_ready(function())
            seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(turns) for name, turns in seconds.items()}


def matrix_product(size: int = 2048) -> tuple[Callable[[], Any], float]:
    """A product of square float32 matrices, and how many operations it takes."""
    matrix = jax.random.normal(jax.random.key(0), (size, size))
    product = jax.jit(jnp.matmul)
    return lambda: product(matrix, matrix), 2.0 * size**3


def updates_of(work: Work, n_updates: int, devices: list[jax.Device] | None) -> Callable[[], Any]:
    """A stretch of updates, compiled, to be run again and again."""
    env, params = ReachEnv(), ReachParams(max_steps_in_episode=work.n_steps)
    config = BPTTConfig(
        n_batches=n_updates,
        batch_size=work.batch_size,
        log_step=n_updates,
        rematerialise=work.rematerialise,
    )
    optimizer = default_optimizer(config)

    def begin(key: jax.Array) -> Any:
        return init_state(GRUPolicy(8, 2, work.hidden_size, key=key), trainable, optimizer, key)

    key = jax.random.key(0)
    trainable = select_trainable(GRUPolicy(8, 2, work.hidden_size, key=key), None)
    if work.n_replicates > 1:
        key = jax.random.split(key, work.n_replicates)
    state = begin(key) if work.n_replicates == 1 else eqx.filter_vmap(begin)(key)
    problem = Problem(env, params, config.hidden_weight, trainable, work.rematerialise)
    mesh = None
    if devices is not None:
        mesh = make_mesh(devices, work.n_replicates, work.batch_size)
    trials = params.task.validation_trials()
    advance, _, _ = compile_training(
        state, problem, config, optimizer, trials, key, mesh, lambda _: None
    )
    return lambda: advance(state, n_updates)


def update_memory(work: Work, n_devices: int = 1) -> float:
    """Memory of each device for the gradient of one update, beside inputs and results [MiB]."""
    env, params = ReachEnv(), ReachParams(max_steps_in_episode=work.n_steps)
    problem = Problem(env, params, BPTTConfig.hidden_weight, None, work.rematerialise)
    key = jax.random.key(0)
    policies = eqx.filter_vmap(lambda key: GRUPolicy(8, 2, work.hidden_size, key=key))(
        jax.random.split(key, work.n_replicates)
    )
    keys = jax.random.split(key, work.batch_size // n_devices)
    trials = jax.vmap(params.task.sample)(keys)

    def gradients(policies: GRUPolicy) -> GRUPolicy:
        return jax.vmap(jax.grad(lambda policy: objective(policy, problem, trials, keys)[0]))(
            policies
        )

    used: Any = jax.jit(gradients).lower(policies).compile().memory_analysis()
    return float(used.temp_size_in_bytes) / 1024**2


def training_speed(devices: list[jax.Device] | None, repeats: int) -> list[Row]:
    """Updates on the tutorial's work, beside a matrix product, and five replicates of it."""
    n_updates = 20
    one, five = Work(), Work(n_replicates=5)
    product, operations = matrix_product()
    functions = {
        "product": product,
        "one": updates_of(one, n_updates, None),
        "five": updates_of(five, n_updates, None),
    }
    if devices is not None:
        functions["one, shared"] = updates_of(one, n_updates, devices)
        functions["five, shared"] = updates_of(five, n_updates, devices)
    seconds = median_seconds(functions, repeats)
    rate = operations / seconds["product"]
    rows = []
    for suffix, where in (("", "one device"), (", shared", f"{len(devices or ())} devices")):
        if f"one{suffix}" not in seconds:
            continue
        update = seconds[f"one{suffix}"] / n_updates
        rows.append(
            Row(
                f"update of 250 trials on {where}",
                1e3 * update,
                "ms",
                f"of the rate of a 2048 x 2048 product, {rate / 1e9:.0f} GFLOP/s",
                one.operations() / update / rate,
            )
        )
        rows.append(
            Row(
                f"update of five replicates on {where}",
                1e3 * seconds[f"five{suffix}"] / n_updates,
                "ms",
                "times one model",
                seconds[f"five{suffix}"] / seconds[f"one{suffix}"],
            )
        )
    return rows


def training_to_quality() -> list[Row]:
    """Seconds from calling ``train`` to given qualities, compilation included.

    A training that should only get as far as the tutorial is planned for fewer updates than one
    that should get close to the optimum. Called first in a process, nothing of the first training
    has been compiled before.
    """
    env, params = ReachEnv(), ReachParams()
    key_policy, key_train = jax.random.split(jax.random.key(0))
    policy = GRUPolicy(8, 2, 50, key=key_policy)
    optimum = optimal_loss(params, params.task.validation_trials()).total

    def trained(config: BPTTConfig) -> tuple[History, np.ndarray, np.ndarray]:
        _, history = train(policy, env, params, config, key=key_train, write=None)
        total = history["validation_total"]
        return history, total, (total - history["validation_hidden"]) / optimum

    short, total, _ = trained(BPTTConfig(n_batches=300, log_step=20))
    whole, _, ratio = trained(BPTTConfig(log_step=100))
    return [
        Row("compilation of update and validation", short.compile_seconds, "s"),
        _until(f"to a validation loss of {TUTORIAL_TARGET:.2e}", total <= TUTORIAL_TARGET, short),
        _until("to 1.05 times the optimum", ratio <= 1.05, whole),
        _until("to 1.02 times the optimum", ratio <= 1.02, whole),
    ]


def _until(what: str, reached: np.ndarray, history: History) -> Row:
    if not reached.any():
        return Row(what, float("nan"), "s", f"not reached in {len(history)} updates")
    index = int(np.argmax(reached))
    seconds = history["seconds"][index] + history.compile_seconds
    planned = f"after {index + 1} of {len(history)} updates, compilation included"
    return Row(what, float(seconds), "s", planned)


def random_play(env: Any, params: Any, n_envs: int, n_steps: int) -> Callable[[], Any]:
    """Steps of many gymnax environments with random actions, with new trials where they end."""
    space = env.action_space(params)

    @jax.jit
    def play(key: jax.Array) -> jax.Array:
        obs, state = jax.vmap(env.reset, (0, None))(jax.random.split(key, n_envs), params)

        def step(loop: Any, key: jax.Array) -> tuple[Any, None]:
            state, total = loop
            keys = jax.random.split(key, (2, n_envs))
            actions = jax.vmap(space.sample)(keys[0])
            obs, state, reward, *_ = jax.vmap(env.step, (0, 0, 0, None))(
                keys[1], state, actions, params
            )
            return (state, total + jnp.sum(obs) + jnp.sum(reward)), None

        return jax.lax.scan(step, (state, jnp.sum(obs)), jax.random.split(key, n_steps))[0][1]

    return lambda: play(jax.random.key(0))


def environment_speed(repeats: int) -> list[Row]:
    """Environment steps with random actions, beside two environments of gymnax."""
    rows = []
    for n_envs, n_steps in ((1024, 200), (16384, 50)):
        functions = {"ours": random_play(ReachEnv(), ReachParams(), n_envs, n_steps)}
        for other in ("Pendulum-v1", "PointRobot-misc"):
            env, params = gymnax.make(other)
            functions[other] = random_play(env, params, n_envs, n_steps)
        seconds = median_seconds(functions, repeats)
        for other in ("Pendulum-v1", "PointRobot-misc"):
            rows.append(
                Row(
                    f"{n_envs:,} environments with random actions",
                    n_envs * n_steps / seconds["ours"] / 1e6,
                    "million steps/s",
                    f"times gymnax's {other}",
                    seconds[other] / seconds["ours"],
                )
            )
    return rows


def gymnasium_speed(repeats: int) -> list[Row]:
    """Steps of one Gymnasium environment beside others, and of vectors of them."""
    n_steps = 300
    singles: dict[str, Any] = {
        "ours": ReachGymEnv(),
        "gymnax's wrapper": GymnaxToGymWrapper(*gymnax.make("Pendulum-v1")),
        "Gymnasium's Pendulum in NumPy": gymnasium.make("Pendulum-v1").unwrapped,
    }
    seconds = median_seconds(
        {name: _steps_of_one(env, n_steps) for name, env in singles.items()}, repeats
    )
    rows = [
        Row(
            "step of one Gymnasium environment",
            1e6 * seconds["ours"] / n_steps,
            "us",
            f"times {other}",
            seconds["ours"] / seconds[other],
        )
        for other in singles
        if other != "ours"
    ]
    n_envs = 1024
    many = ReachVectorEnv(n_envs)
    actions = np.zeros((n_envs, 2), np.float32)
    many.reset(seed=0)
    per_call = median_seconds({"ours": lambda: [many.step(actions) for _ in range(200)]}, repeats)
    rows.append(
        Row(
            f"ReachVectorEnv of {n_envs:,}",
            200 * n_envs / per_call["ours"] / 1e6,
            "million steps/s",
        )
    )
    return rows


def _steps_of_one(env: Any, n_steps: int) -> Callable[[], None]:
    env.reset(seed=0)
    action = np.zeros(env.action_space.shape, np.float32)

    def play() -> None:
        for index in range(n_steps):
            if index % 90 == 0:
                env.reset()
            env.step(action)

    return play


def sb3_speed(repeats: int) -> list[Row]:
    """Steps of the environments of Stable-Baselines3, and their share of the time of its PPO.

    Raises:
        ValueError: if the extra is not installed.
    """
    sb3 = import_sb3()
    n_envs = 1024
    many = sb3.ReachVecEnv(n_envs)
    many.reset()
    actions = np.zeros((n_envs, 2), np.float32)
    seconds = median_seconds({"ours": lambda: [many.step(actions) for _ in range(200)]}, repeats)
    recipe = PPORecipe(total_steps=100_000)
    env = sb3.make_learning_env(recipe, ReachParams(), 0)
    learner = sb3.make_learner(recipe, env, 0)
    inner, spent = env.unwrapped, [0.0]
    step_wait = inner.step_wait

    def timed_step_wait() -> Any:
        started = time.perf_counter()
        try:
            return step_wait()
        finally:
            spent[0] += time.perf_counter() - started

    inner.step_wait = timed_step_wait
    started = time.perf_counter()
    learner.learn(recipe.total_steps)
    whole = time.perf_counter() - started
    return [
        Row(
            f"ReachVecEnv of {n_envs:,}",
            200 * n_envs / seconds["ours"] / 1e6,
            "million steps/s",
        ),
        Row(
            f"PPO, {recipe.total_steps:,} steps in {recipe.n_envs} environments",
            whole,
            "s",
            "share of the environments",
            spent[0] / whole,
        ),
    ]


def import_seconds(repeats: int) -> list[Row]:
    """What ``import fbx_env`` adds to ``import gymnax``, each in processes of their own."""

    def run(code: str) -> None:
        subprocess.run([sys.executable, "-c", code], check=True)

    codes = {"ours": "import gymnax, fbx_env", "gymnax": "import gymnax"}
    seconds = median_seconds({name: partial(run, code) for name, code in codes.items()}, repeats)
    added = seconds["ours"] - seconds["gymnax"]
    return [
        Row(
            "import fbx_env, added to import gymnax",
            added,
            "s",
            f"times import gymnax, {seconds['gymnax']:.2f} s",
            added / seconds["gymnax"],
        )
    ]


def most_memory() -> float:
    """The most memory that this process has had [GiB]."""
    status = Path("/proc/self/status")
    if status.exists():
        # What getrusage says begins, on Linux, with what the parent of the process had.
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / 1024**2
    unit = 1024**3 if sys.platform == "darwin" else 1024**2
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def peak_memory() -> list[Row]:
    """Memory of a process that trains on 64 trials of 10,000 steps."""
    rows = []
    for rematerialise in (True, False):
        work = Work(batch_size=64, n_steps=10_000, rematerialise=rematerialise)
        code = (
            "import jax; from agents.benchmark import Work, most_memory, updates_of; "
            f"jax.block_until_ready(updates_of({work!r}, 2, None)()); print(most_memory())"
        )
        how = "steps computed anew" if rematerialise else "every step kept"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        if done.returncode:
            reason = (done.stderr.splitlines() or ["it was killed"])[-1]
            raise RuntimeError(f"with {how}, training ended with {done.returncode}: {reason}")
        gibibytes = float(done.stdout.splitlines()[-1])
        rows.append(Row(f"training on 64 trials of 10,000 steps, {how}", gibibytes, "GiB"))
    return rows


class Curve(NamedTuple):
    """What an update takes as one quantity grows.

    Attributes:
        quantity: what grows.
        values: of the quantity.
        seconds: of an update.
        mebibytes: of memory for an update, on each device.
    """

    quantity: str
    values: list[int]
    seconds: list[float]
    mebibytes: list[float]


def growth(devices: list[jax.Device] | None, repeats: int) -> Iterable[Curve]:
    """What an update takes as batch, horizon, hidden size, replicates and devices grow by turns."""
    n_devices = len(devices or (None,))
    batch_sizes = [n for n in (10, 50, 250, 1000) if n % n_devices == 0]
    works: dict[str, dict[int, Work]] = {
        "trials in a batch": {n: Work(batch_size=n) for n in batch_sizes},
        "steps in a trial": {n: Work(n_steps=n) for n in (25, 99, 400)},
        "hidden units": {n: Work(hidden_size=n) for n in (25, 50, 100, 200)},
        "replicates": {n: Work(n_replicates=n) for n in (1, 2, 5, 10)},
    }
    for quantity, by_value in works.items():
        seconds = []
        for work in by_value.values():
            n_updates = max(1, round(2e10 / work.operations()))
            run = updates_of(work, n_updates, devices)
            seconds.append(median_seconds({"": run}, repeats)[""] / n_updates)
        memory = [update_memory(work, n_devices) for work in by_value.values()]
        yield Curve(quantity, list(by_value), seconds, memory)
    if devices is not None:
        counts = [n for n in range(1, n_devices + 1) if Work().batch_size % n == 0]
        runs = {str(n): updates_of(Work(), 10, devices[:n]) for n in counts}
        by_count = median_seconds(runs, repeats)
        memory = [update_memory(Work(), n) for n in counts]
        yield Curve("devices", counts, [by_count[str(n)] / 10 for n in counts], memory)


def device_words(devices: list[jax.Device] | None) -> str:
    """The machine in a few words."""
    used = jax.devices()[:1] if devices is None else devices
    kinds = ", ".join(sorted({device.device_kind for device in used}))
    return f"{len(used)} JAX device(s) ({kinds}), {os.cpu_count()} processor cores"
