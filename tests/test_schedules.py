"""Schedules change numbers of the experiment during training, and nothing else."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from agents import BPTTConfig, Checkpoints, GRUPolicy, Ramp, train, train_scan
from fbx_env import CurlField, make

RAMP = Ramp("loads.curl.strength", 0.0, 8.0)
SIZES = {"n_batches": 5, "batch_size": 2, "log_step": 2}


@pytest.fixture
def problem(key):
    env, params = make(max_steps_in_episode=4, loads=(CurlField(3.0),))
    return GRUPolicy(8, 2, 3, key=key), env, params


def test_a_ramp_goes_from_start_to_end(problem):
    params = problem[2]

    def strengths(ramp):
        return [float(ramp(jnp.float32(x), params).loads[0].strength) for x in (0, 0.25, 0.5, 1)]

    np.testing.assert_allclose(strengths(RAMP), [0, 2, 4, 8], rtol=1e-6)
    cosine = Ramp("loads.curl.strength", 0.0, 8.0, "cosine")
    np.testing.assert_allclose(strengths(cosine), [0, 4 - 8**0.5, 4, 8], rtol=1e-6, atol=1e-6)


def test_training_takes_each_number_in_its_update(problem, key):
    policy, _, params = problem
    seen = train_scan(policy, params, BPTTConfig(**SIZES, schedules=(RAMP,)), key=key)[1]
    first = train_scan(
        policy, params.replace(loads=(CurlField(0.0),)), BPTTConfig(**SIZES), key=key
    )[1]
    constant = Ramp("loads.curl.strength", 3.0, 3.0)
    same = train_scan(policy, params, BPTTConfig(**SIZES, schedules=(constant,)), key=key)[1]
    plain = train_scan(policy, params, BPTTConfig(**SIZES), key=key)[1]
    np.testing.assert_allclose(seen["total"][0], first["total"][0], rtol=1e-6)
    assert not np.allclose(seen["total"][1:], first["total"][1:], rtol=1e-6)
    np.testing.assert_allclose(same["total"], plain["total"], rtol=1e-5)


def test_validation_is_of_the_experiment_itself(problem, key):
    policy, env, params = problem

    def first_validation(schedules, params):
        # No step is made that could be seen, so that only the experiment differs.
        config = BPTTConfig(**SIZES, learning_rate=1e-12, schedules=schedules)
        return train(policy, env, params, config, key=key, write=None)[1]["validation_total"][0]

    there = first_validation((RAMP,), params)
    np.testing.assert_allclose(there, first_validation((), params), rtol=1e-6)
    other = first_validation((), params.replace(loads=(CurlField(0.0),)))
    assert not np.isclose(there, other, rtol=1e-6)


@pytest.mark.optimised
def test_stopped_and_resumed_is_bit_identical_and_another_schedule_is_refused(
    problem, key, tmp_path
):
    class Crash(Exception):
        pass

    def crash(text):
        if text.startswith("Training iteration 2"):
            raise Crash

    def run(schedules, checkpoints=None, write=None):
        config = BPTTConfig(**SIZES, schedules=schedules)
        return train(*problem, config, key=key, checkpoints=checkpoints, write=write)

    whole, history = run((RAMP,))
    with pytest.raises(Crash):
        run((RAMP,), Checkpoints(tmp_path, every_updates=1), crash)
    resume = Checkpoints(tmp_path, resume=True)
    with pytest.raises(ValueError, match="schedules"):
        run((Ramp("loads.curl.strength", 0.0, 9.0),), resume)
    with pytest.raises(ValueError, match="schedules"):
        run((lambda progress, params: params.replace(dt=0.05 + 0.01 * progress),), resume)
    policy, resumed = run((RAMP,), resume)
    assert eqx.tree_equal(policy, whole)
    np.testing.assert_array_equal(resumed["training_total"], history["training_total"])


@pytest.mark.parametrize(
    ("schedule", "named"),
    [
        (Ramp("loads.curl.strengt", 0.0, 1.0), "loads.curl.strength"),
        (Ramp("plant.mass", 1.0, 0.0), "mass"),
        (Ramp("max_steps_in_episode", 1.0, 2.0), "max_steps_in_episode"),
        (lambda _, params: params.replace(loads=()), "structure"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused(problem, key, schedule, named):
    with pytest.raises(ValueError, match=named):
        train(*problem, BPTTConfig(**SIZES, schedules=(schedule,)), key=key, write=None)
