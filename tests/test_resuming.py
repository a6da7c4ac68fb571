"""A training that is stopped and resumed ends as if it had not been."""

import itertools
import os
import signal

import equinox as eqx
import jax
import numpy as np
import optax
import pytest

from agents import (
    BPTTConfig,
    Checkpoints,
    GRUPolicy,
    Interrupted,
    RNNPolicy,
    train,
    train_replicates,
)
from agents.storage import checkpoints as storage
from fbx_env import make

pytestmark = pytest.mark.optimised

CONFIG = BPTTConfig(n_batches=12, batch_size=2, log_step=5)
TIMES = {"seconds"}


def assert_same_training(one, other):
    (policy, history), (other_policy, other_history) = one, other
    assert eqx.tree_equal(policy, other_policy)
    assert history.columns.keys() == other_history.columns.keys()
    for name in history.columns.keys() - TIMES:
        np.testing.assert_array_equal(history[name], other_history[name])


def test_stopped_by_signals_and_resumed_is_bit_identical(key, tmp_path):
    env, params = make(max_steps_in_episode=4, motor_noise=0.1, sensory_delay=1)
    policy = GRUPolicy(8, 2, 3, key=key)
    whole = train(policy, env, params, CONFIG, key=key, write=None)

    def resume(write):
        where = Checkpoints(tmp_path, every_updates=4, resume=True)
        return train(policy, env, params, CONFIG, key=key, checkpoints=where, write=write)

    def interrupt_at(label, number):
        return lambda text: os.kill(os.getpid(), number) if text.startswith(label) else None

    with pytest.raises(Interrupted, match="the state after 1 updates is in") as stop:
        resume(interrupt_at("Training iteration 0", signal.SIGTERM))
    assert stop.value.signal == signal.SIGTERM
    with pytest.raises(Interrupted, match="the state after 6 updates is in"):
        resume(interrupt_at("Training iteration 5", signal.SIGINT))
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    lines = []
    assert_same_training(resume(lines.append), whole)
    assert lines[0] == f"Resuming after 6 updates, from {tmp_path / '000000006.checkpoint'}."
    # The last two are kept, and a training that is complete comes back without being made again.
    assert [path.name for path in Checkpoints(tmp_path).files()] == [
        "000000012.checkpoint",
        "000000008.checkpoint",
    ]
    assert_same_training(resume(lines.append), whole)
    assert lines[-1] == f"Resuming after 12 updates, from {tmp_path / '000000012.checkpoint'}."


def test_without_checkpoints_the_exception_has_policy_and_history(key):
    env, params = make(max_steps_in_episode=4, motor_noise=0.1, sensory_delay=1)
    policy = GRUPolicy(8, 2, 3, key=key)

    def interrupt(text):
        if text.startswith("Training iteration 5"):
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted, match="stopped after 6 updates") as stop:
        train(policy, env, params, CONFIG, key=key, write=interrupt)
    whole, history = train(policy, env, params, CONFIG, key=key, write=None)
    kept = stop.value.history
    assert len(kept) == 6
    np.testing.assert_array_equal(kept["training_total"], history["training_total"][:6])
    assert not eqx.tree_equal(stop.value.policy, policy)
    assert not eqx.tree_equal(stop.value.policy, whole)


class Crash(Exception):
    """What a test throws into a training."""


def crash_at(label):
    def write(text):
        if text.startswith(label):
            raise Crash

    return write


def test_replicates_that_crash_and_resume_are_bit_identical(key, tmp_path):
    env, params = make(max_steps_in_episode=4, signal_noise=0.1)
    keys = jax.random.split(key, 2)
    policies = eqx.filter_vmap(lambda key: RNNPolicy(8, 2, 3, key=key))(keys)

    def run(checkpoints, write=None):
        return train_replicates(
            policies, env, params, CONFIG, keys=keys, checkpoints=checkpoints, write=write
        )

    whole = run(None)
    with pytest.raises(Crash):
        run(Checkpoints(tmp_path, every_seconds=0), crash_at("Training iteration 10"))
    # What was written before the validation at iteration 10 is what there is.
    assert Checkpoints(tmp_path).files()[0].name <= "000000010.checkpoint"
    assert_same_training(run(Checkpoints(tmp_path, resume=True)), whole)


def test_only_the_same_training_is_resumed(key, tmp_path):
    env, params = make(max_steps_in_episode=4)
    policy = GRUPolicy(8, 2, 3, key=key)
    config = BPTTConfig(n_batches=1, batch_size=1)
    problem = (env, params, config)
    train(policy, *problem, key=key, checkpoints=Checkpoints(tmp_path), write=None)

    def refusal(policy=policy, params=params, config=config, key=key, optimizer=None):
        where = Checkpoints(tmp_path, resume=True)
        with pytest.raises(ValueError, match="000000001.checkpoint cannot be resumed") as refused:
            train(
                policy,
                env,
                params,
                config,
                key=key,
                optimizer=optimizer,
                checkpoints=where,
                write=None,
            )
        return str(refused.value)

    assert "config.learning_rate None, now 0.02" in refusal(
        config=BPTTConfig(1, 1, learning_rate=0.02)
    )
    assert "params.plant.mass float32 1.0, now float32 1.0000001" in refusal(
        params=params.replace(plant=params.plant.replace(mass=1.0000001))
    )
    assert "another structure" in refusal(
        params=params.replace(motor=params.motor.replace(delay=1))
    )
    assert "written with another key" in refusal(key=jax.random.key(1))
    assert "another state.policy" in refusal(policy=GRUPolicy(8, 2, 3, key=jax.random.key(1)))
    assert "optimizer" in refusal(optimizer=optax.adam(1e-3))
    with pytest.raises(ValueError, match="holds checkpoints of a training; resume it, or choose"):
        train(policy, *problem, key=key, checkpoints=Checkpoints(tmp_path), write=None)


def test_a_clock_that_jumps_and_stands_still_changes_nothing(key, tmp_path, monkeypatch):
    env, params = make(max_steps_in_episode=4, motor_noise=0.1)
    policy = GRUPolicy(8, 2, 3, key=key)
    whole = train(policy, env, params, CONFIG, key=key, write=None)
    times = itertools.cycle([0.0, 5.0, 5.0, -1e9, 1e9, 1e9, 3.0])
    for name in ("time", "perf_counter"):
        monkeypatch.setattr(storage.time, name, lambda: next(times))
    monkeypatch.setattr("tqdm.std.time", lambda: next(times))
    checkpoints = Checkpoints(tmp_path, every_seconds=1)
    jumped = train(policy, env, params, CONFIG, key=key, checkpoints=checkpoints, write=str)
    assert_same_training(jumped, whole)
    assert Checkpoints(tmp_path).files()[0].name == "000000012.checkpoint"
