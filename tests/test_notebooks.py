"""The notebooks run from top to bottom, show their results, and can be interrupted."""

import re
from pathlib import Path

import nbformat
import pytest
from execute_notebooks import EXAMPLES, code_cells, execute
from jupyter_client.manager import start_new_kernel

NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))
N_PICTURES = {"tutorial": 8, "force_field_adaptation": 4, "muscle_arm": 4}
COUNTS = r"\b(n_batches|batch_size|n_baseline|n_field|n_washout|updates_per_block)=[1-9]\d*"

TRAIN = """
import jax
from agents import BPTTConfig, Checkpoints, GRUPolicy, train
from fbx_env import make

env, params = make(max_steps_in_episode=4)
policy = GRUPolicy(8, 2, 3, key=jax.random.key(0))
config = BPTTConfig(n_batches=10**6, batch_size=2, log_step=10)
where = Checkpoints("kept", resume=True)
model, history = train(policy, env, params, config, key=jax.random.key(1), checkpoints=where)
"""
LAST_STATE = """
import sys
print(len(sys.last_value.history), type(sys.last_value.policy).__name__)
"""


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def path(request):
    return request.param


def test_every_notebook_is_tested():
    assert {path.stem for path in NOTEBOOKS} == N_PICTURES.keys()


@pytest.mark.slow
def test_notebook_runs(path, tmp_path):
    """As it is written, but for the number and size of batches and phases."""
    notebook = nbformat.read(path, as_version=4)
    for cell in code_cells(notebook):
        cell.source = re.sub(COUNTS, r"\1=2", cell.source)
    execute(notebook, tmp_path)


def test_notebook_shows_its_results(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [each for each in outputs if each.output_type == "error"]
    assert not [each for each in outputs if each.get("name") == "stderr"]
    pictures = [each for each in outputs if "image/png" in each.get("data", {})]
    assert len(pictures) == N_PICTURES[path.stem]
    assert path.stat().st_size < 1_000_000
    assert str(Path.home()) not in path.read_text()


@pytest.fixture
def kernel(tmp_path):
    manager, client = start_new_kernel(kernel_name="python3", cwd=str(tmp_path))
    yield manager, client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def run_and_interrupt(kernel, code, after):
    """What a cell printed, and how it ended; it is interrupted once it has printed ``after``."""
    manager, client = kernel
    printed, error = "", None

    def see(message):
        nonlocal printed, error
        content = message["content"]
        if message["msg_type"] == "error":
            error = content
        if message["msg_type"] == "stream":
            before, printed = printed, printed + content["text"]
            if after in printed and after not in before:
                manager.interrupt_kernel()

    client.execute_interactive(code, timeout=120, output_hook=see)
    return printed, error


@pytest.mark.slow
def test_an_interrupted_kernel_keeps_the_last_state_and_resumes(kernel):
    printed, error = run_and_interrupt(kernel, TRAIN, "Training iteration 10:")
    assert error["ename"] == "Interrupted"
    said, state, how = error["traceback"]
    n_updates = int(re.search(r"stopped after (\d+) updates", said)[1])
    assert n_updates >= 11
    assert "sys.last_value.policy" in state
    assert "Checkpoints('kept', resume=True)" in how
    kept, _ = run_and_interrupt(kernel, LAST_STATE, "never")
    assert kept.split() == [str(n_updates), "GRUPolicy"]

    resumed = f"Resuming after {n_updates} updates"
    printed, error = run_and_interrupt(kernel, TRAIN, resumed)
    assert resumed in printed
    assert error["ename"] == "Interrupted"
