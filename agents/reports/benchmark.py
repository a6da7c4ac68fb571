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
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from agents.bptt import BPTTConfig, train
from agents.bptt.algorithm import init_state, make_setup
from agents.bptt.compilation import MAX_CHUNK, compile_updates
from agents.bptt.devices import make_mesh
from agents.objective import make_objective, mean_loss
from agents.optimum import optimal_loss
from agents.policies import GRUPolicy, make_policy
from agents.storage.history import History
from fbx_env import ReachEnv, ReachParams, make

TUTORIAL_TARGET = 5.83e-4
"""Validation loss to which the tutorial of the field's other library trains."""


FEW_TRIALS = BPTTConfig.batch_size
"""Trials in an update of the main job."""


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
    """The size of an update of the weights; the defaults are the tutorial's."""

    id: str = "PointMassReach-v0"
    hidden_type: str = "gru"
    batch_size: int = 250
    n_steps: int = 99
    hidden_size: int = 50
    n_replicates: int = 1
    rematerialise: bool = False

    def operations(self) -> float:
        """Floating-point operations of the matrix products in one update of the default kind.

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
    """Some updates, compiled, to be run again and again; at most ``MAX_CHUNK``."""
    env, params = make(work.id, max_steps_in_episode=work.n_steps)
    config = BPTTConfig(
        n_batches=n_updates, batch_size=work.batch_size, rematerialise=work.rematerialise
    )
    sizes = env.observation_space(params).shape[0], len(params.plant.controls), work.hidden_size

    def new_policy(key: jax.Array) -> Any:
        return make_policy(work.hidden_type, *sizes, key=key)

    key = jax.random.key(0)
    setup = make_setup(new_policy(key), env, params, config, None, None)
    if work.n_replicates == 1:
        state = init_state(new_policy(key), setup, key)
    else:
        state = eqx.filter_vmap(lambda key: init_state(new_policy(key), setup, key))(
            jax.random.split(key, work.n_replicates)
        )
    mesh = None
    if devices is not None:
        mesh = make_mesh(devices, work.n_replicates, work.batch_size)
    make_updates = compile_updates(state, setup, mesh)
    return lambda: make_updates(state, n_updates)


def update_memory(work: Work, n_devices: int = 1) -> float:
    """Memory of each device for the gradient of one update, beside inputs and results [MiB]."""
    params = ReachParams(max_steps_in_episode=work.n_steps)
    objective = make_objective(ReachEnv(), params, rematerialise=work.rematerialise)
    key = jax.random.key(0)
    policies = eqx.filter_vmap(lambda key: GRUPolicy(8, 2, work.hidden_size, key=key))(
        jax.random.split(key, work.n_replicates)
    )
    keys = jax.random.split(key, work.batch_size // n_devices)
    trials = jax.vmap(params.task.sample)(keys)

    def gradients(policies: GRUPolicy) -> Any:
        return jax.vmap(jax.grad(lambda policy: mean_loss(policy, objective, trials, keys)[0]))(
            policies
        )

    used: Any = jax.jit(gradients).lower(policies).compile().memory_analysis()
    return float(used.temp_size_in_bytes) / 1024**2


def training_speed(
    devices: list[jax.Device] | None, repeats: int, n_updates: int = 20
) -> list[Row]:
    """Updates on the default work and on the tutorial's, which is larger, and replicates of it."""
    one, five = Work(), Work(n_replicates=5)
    product, operations = matrix_product()
    few = {kind: Work(batch_size=FEW_TRIALS, hidden_type=kind) for kind in ("gru", "lstm")}
    functions = {
        "product": product,
        "one": updates_of(one, n_updates, None),
        "five": updates_of(five, n_updates, None),
        **{kind: updates_of(work, n_updates, None) for kind, work in few.items()},
    }
    if devices is not None:
        functions["one, shared"] = updates_of(one, n_updates, devices)
        functions["five, shared"] = updates_of(five, n_updates, devices)
    seconds = median_seconds(functions, repeats)
    rate = operations / seconds["product"]
    rows = [
        Row(f"update of {FEW_TRIALS} trials, {kind.upper()}", 1e3 * seconds[kind] / n_updates, "ms")
        for kind in few
    ]
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
    that should get close to the optimum; they share what is compiled. To be called first in a
    process, so that nothing has been compiled before.
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
        _until("to 1.05 times the optimum", ratio <= 1.05, whole, short.compile_seconds),
        _until("to 1.02 times the optimum", ratio <= 1.02, whole, short.compile_seconds),
    ]


def _until(what: str, reached: np.ndarray, history: History, compiled_before: float = 0.0) -> Row:
    if not reached.any():
        return Row(what, float("nan"), "s", f"not reached in {len(history)} updates")
    index = int(np.argmax(reached))
    seconds = history["seconds"][index] + history.compile_seconds + compiled_before
    planned = f"after {index + 1} of {len(history)} updates, compilation included"
    return Row(what, float(seconds), "s", planned)


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
            "import jax; from agents.reports.benchmark import Work, most_memory, updates_of; "
            f"jax.block_until_ready(updates_of({work!r}, 1, None)()); print(most_memory())"
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
    """The time and memory of an update as one quantity grows.

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
    """Updates as batch, horizon, hidden size, replicates and devices grow by turns."""
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
            n_updates = min(MAX_CHUNK, max(1, round(2e10 / work.operations())))
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
