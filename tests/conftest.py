"""Shared fixtures, and one cache of compiled programs for all workers and their subprocesses."""

import contextlib
import gc
import json
import os
import shutil
import signal
import tempfile
from dataclasses import dataclass
from pathlib import Path

import equinox as eqx
import hypothesis
import jax
import jax.numpy as jnp
import jaxtyping
import matplotlib as mpl
import numpy as np
import pytest
from compiler import be_quick

# Every annotation of the packages is checked while the tests run, shapes included.
jaxtyping.install_import_hook(["fbx_env", "agents"], "runtime_types.typechecker")

from fbx_env import make  # noqa: E402

mpl.use("agg")

# What compiles in its first example is slow there; the examples are the same in every run.
hypothesis.settings.register_profile("fbx_env", max_examples=40, deadline=None, derandomize=True)
hypothesis.settings.load_profile("fbx_env")

_raises = pytest.raises


@contextlib.contextmanager
def _raises_in_our_words(*arguments, **keywords):
    """What is refused at a boundary is refused by its own check, not by that of annotations."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        with _raises(*arguments, **keywords) as info:
            yield info
    finally:
        jaxtyping.config.update("jaxtyping_disable", before)


pytest.raises = _raises_in_our_words

MAPS = Path("/proc/self/maps")
MOST_MAPS = 15_000  # Linux lets a process have 65,530; every compiled program takes some

REFERENCES = ("delay0_untrained", "delay0_trained", "delay1_untrained", "delay1_trained")


def pytest_configure(config):
    """Most of the suite's time is compilation, and much of it is of the same programs."""
    if "PYTEST_XDIST_WORKER" not in os.environ and "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        folder = tempfile.mkdtemp(prefix="fbx-env-compiled-")
        os.environ["JAX_COMPILATION_CACHE_DIR"] = folder
        os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
        os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    # JAX was imported before the variables were set, except in workers and subprocesses.
    jax.config.update("jax_compilation_cache_dir", os.environ["JAX_COMPILATION_CACHE_DIR"])
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    # Tracing makes many objects that stay; to look for garbage among them took a tenth of the time.
    gc.set_threshold(200_000, 20, 100)
    # Scripts start their background jobs with SIGINT ignored, and this may be one.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Compile as the test asks for."""
    be_quick(item.get_closest_marker("optimised") is None)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item, nextitem):
    """Let compiled programs go before they have taken all that a process may map."""
    leaves_module = nextitem is None or nextitem.path != item.path
    if leaves_module and MAPS.exists() and MAPS.read_bytes().count(b"\n") > MOST_MAPS:
        jax.clear_caches()
        gc.collect()


@dataclass(frozen=True)
class Reference:
    """A recording of another implementation of the task, with given weights."""

    meta: dict
    arrays: dict[str, np.ndarray]

    def params(self):
        return make(
            mass=self.meta["mass"],
            dt=self.meta["dt"],
            max_steps_in_episode=self.meta["n_steps"] - 1,
            sensory_delay=self.meta["sensory_delay"],
            motor_delay=self.meta["motor_delay"],
        )

    def policy(self):
        from agents import GRUPolicy

        policy = GRUPolicy(8, 2, self.meta["hidden_size"], key=jax.random.key(0))
        names = ("gru_weight_ih", "gru_weight_hh", "gru_bias", "gru_bias_n")
        names += ("readout_weight", "readout_bias")
        return eqx.tree_at(
            lambda policy: (
                policy.cell.weight_ih,
                policy.cell.weight_hh,
                policy.cell.bias,
                policy.cell.bias_n,
                policy.readout.weight,
                policy.readout.bias,
            ),
            policy,
            [jnp.asarray(self.arrays[name], float) for name in names],
        )


def load_reference(name: str) -> Reference:
    with np.load(Path(__file__).parent / "data" / f"{name}.npz") as file:
        arrays = dict(file)
    return Reference(json.loads(str(arrays.pop("meta"))), arrays)


@pytest.fixture
def key():
    return jax.random.key(5678)


@pytest.fixture(params=REFERENCES)
def reference(request) -> Reference:
    return load_reference(request.param)


@pytest.fixture
def trained() -> Reference:
    """The recording of a trained network with delays, for tests that need a working policy."""
    return load_reference("delay1_trained")


@pytest.fixture
def unchecked():
    """Annotations are not checked, for tests of so many calls that it would take too long."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", before)


@pytest.fixture
def double_precision():
    with jax.enable_x64(True):
        yield
