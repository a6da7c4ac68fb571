"""Training on several devices and in several processes: the same losses, and who does what."""

import json
import re
import signal
import socket
import subprocess
import sys
import time

import jax
import numpy as np
import pandas as pd
import pytest

from agents import Checkpoints, GRUPolicy, load_model, train
from agents.__main__ import main
from agents.bptt.devices import Computers, _check_free, make_mesh
from fbx_env import make

SMALL = ["--n-batches", "400", "--batch-size", "2", "--log-step", "100", "--hidden-size", "7"]
SMALL += ["--max-steps-in-episode", "10"]

ON_TWO_DEVICES = """
import json, jax
jax.config.update("jax_num_cpu_devices", 2)
import equinox as eqx, optax
from agents import BPTTConfig, GRUPolicy, TrainingError, train, train_replicates
from fbx_env import make

env, params = make(max_steps_in_episode=20, sensory_delay=2, motor_noise=0.1, sensory_noise=0.01)
config = BPTTConfig(n_batches=5, batch_size=6, log_step=2)
key = jax.random.key(3)
single = GRUPolicy(8, 2, 7, key=key)
found = {}

def note(name, history):
    columns = ("training_total", "validation_total", "gradient_norm")
    found.setdefault(name, []).append({column: history[column].tolist() for column in columns})

for devices in (None, jax.devices()):
    note("single", train(single, env, params, config, key=key, devices=devices, write=None)[1])
    for n_replicates in (2, 3):
        keys = jax.random.split(key, n_replicates)
        group = eqx.filter_vmap(lambda key: GRUPolicy(8, 2, 7, key=key))(keys)
        _, history = train_replicates(
            group, env, params, config, keys=keys, devices=devices, write=None
        )
        note(f"{n_replicates} replicates", history)
    keys = jax.random.split(key, 2)
    group = eqx.filter_vmap(lambda key: GRUPolicy(8, 2, 7, key=key))(keys)
    broken = eqx.tree_at(lambda p: p.readout.bias, group, group.readout.bias.at[1].set(1e30))
    try:
        train_replicates(broken, env, params, config, keys=keys, devices=devices, write=None)
    except TrainingError as error:
        found.setdefault("fault", []).append(str(error))
for devices in (None, jax.devices()[1:], jax.devices()[::-1]):
    history = train(
        single, env, params, config, key=key, optimizer=optax.lbfgs(), devices=devices, write=None
    )[1]
    note("line search", history)
try:
    train(single, env, params, BPTTConfig(batch_size=5), key=key, devices=jax.devices(), write=None)
except ValueError as error:
    found["uneven"] = str(error)
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def on_two_devices():
    done = subprocess.run(
        [sys.executable, "-c", ON_TWO_DEVICES], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("what", ["single", "2 replicates", "3 replicates"])
def test_two_devices_find_the_losses_of_one(on_two_devices, what):
    one, two = on_two_devices[what]
    for column, values in one.items():
        np.testing.assert_allclose(two[column], values, rtol=1e-3, err_msg=column)


def test_a_line_search_takes_the_same_steps_whatever_devices_there_are(on_two_devices):
    """The default device, another one, and both, the other one first."""
    default, *others = on_two_devices["line search"]
    for other in others:
        for column, values in default.items():
            np.testing.assert_allclose(other[column], values, rtol=1e-3, err_msg=column)


def test_a_fault_on_one_device_stops_both(on_two_devices):
    one, two = on_two_devices["fault"]
    assert "of replicate 1 is not finite" in one
    assert two == one


def free_port():
    with socket.socket() as listener:
        listener.bind(("localhost", 0))
        return listener.getsockname()[1]


def start_both(*arguments, each=((), ())):
    """Two processes of one training, each with one device and with arguments of its own."""
    address = f"localhost:{free_port()}"
    command = [sys.executable, "-m", "agents", "train", "--coordinator", address]
    return [
        subprocess.Popen(
            [*command, "--n-processes", "2", "--process", str(process), *arguments, *each[process]],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for process in range(2)
    ]


def wait_for_updates(process):
    """Both have found each other and compiled when the first one counts updates."""
    shown = ""
    deadline = time.monotonic() + 200
    while not re.search(r"Training iteration:.*\| [1-9]", shown):
        assert process.poll() is None, shown
        assert time.monotonic() < deadline, shown
        shown += process.stderr.read(1)


def losses_of(folder):
    return pd.read_csv(folder / "history.csv").drop(columns="seconds")


def run_both(*arguments):
    """What both processes print, as pairs of output and errors."""
    both = start_both(*arguments)
    outputs = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    return outputs


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a training by two processes, and what they print."""
    folder = tmp_path_factory.mktemp("devices") / "whole"
    return folder, run_both(*SMALL, "--out", str(folder))


@pytest.mark.optimised
def test_two_processes_train_as_one_and_the_first_one_reports(whole, tmp_path):
    folder, outputs = whole
    assert "Endpoint error" in outputs[0][0]
    assert "Endpoint error" not in outputs[1][0]
    main(["train", *SMALL, "--out", str(tmp_path / "one")])
    # Rounding differs, and grows from update to update.
    first = [losses_of(each).head(8) for each in (folder, tmp_path / "one")]
    pd.testing.assert_frame_equal(*first, rtol=1e-3)


@pytest.mark.optimised
def test_either_process_can_be_stopped_and_both_resume(whole, tmp_path):
    """The signal reaches the second process; the first one keeps the state."""
    folder = tmp_path / "stopped"
    both = start_both(*SMALL, "--out", str(folder))
    wait_for_updates(both[0])
    both[1].send_signal(signal.SIGTERM)
    outputs = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [128 + signal.SIGTERM] * 2, outputs
    assert f"resume it with: python -m agents train --resume {folder}" in outputs[0][1]
    run_both("--resume", str(folder))
    pd.testing.assert_frame_equal(losses_of(folder), losses_of(whole[0]))
    for one, other in zip(
        jax.tree.leaves(load_model(folder)[0]),
        jax.tree.leaves(load_model(whole[0])[0]),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)


def test_who_is_left_behind_ends_at_once_and_can_resume(tmp_path):
    """The other process is killed; waiting for it in order would take a minute and a half."""
    settings = ["--n-batches", "100000", "--batch-size", "2", "--max-steps-in-episode", "10"]
    folder = str(tmp_path / "run")
    both = start_both(*settings, "--checkpoint-seconds", "0", "--out", folder)
    wait_for_updates(both[0])
    both[1].kill()
    both[1].communicate()
    _, errors = both[0].communicate(timeout=60)
    assert both[0].returncode == 2, errors
    assert "error: the processes lost each other" in errors
    assert "Traceback" not in errors
    assert Checkpoints(folder).files()


def test_processes_with_different_trainings_are_refused(tmp_path):
    seeds = (["--seed", "0"], ["--seed", "5"])
    both = start_both(*SMALL, "--out", str(tmp_path / "run"), each=seeds)
    outputs = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [2, 2], outputs
    assert "a process was started with another training" in outputs[0][1]
    assert "the first process trains something else" in outputs[1][1]


def test_devices_share_replicates_before_trials():
    device = jax.devices()[0]
    assert make_mesh([device], 5, 3).devices.shape == (1, 1)


@pytest.mark.parametrize("devices", [[], ["cpu"], [None], 2, jax.devices()[0]])
def test_devices_must_be_devices(devices):
    with pytest.raises(TypeError, match="devices must be JAX devices such as jax.devices()"):
        make_mesh(devices, 1, 4)


def test_devices_must_be_different(key):
    env, params = make(max_steps_in_episode=2)
    devices = jax.devices() * 2
    with pytest.raises(ValueError, match="devices must be different from each other"):
        train(GRUPolicy(8, 2, 3, key=key), env, params, key=key, devices=devices, write=None)


def test_a_batch_must_be_shared_evenly(on_two_devices):
    assert on_two_devices["uneven"] == (
        "batch_size must be a multiple of 2, so that the 2 devices have as many trials each; got 5"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"devices": 0}, "devices must be at least 1, got 0"),
        ({"coordinator": "here"}, "coordinator must be auto or host:port, got 'here'"),
        ({"coordinator": "here:1"}, "n_processes and process must be given"),
        (
            {"coordinator": "here:1", "n_processes": 2, "process": 2},
            "process must be at most 1, got 2",
        ),
        ({"n_processes": 2}, "go with a coordinator"),
    ],
)
def test_computers_that_cannot_be_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Computers(**options)


def test_a_port_in_use_is_refused():
    with socket.socket() as listener:
        listener.bind(("", 0))
        listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(
            ValueError, match=f"coordinator must have a port that is free, got {port}"
        ):
            _check_free(port)
