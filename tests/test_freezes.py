"""What is frozen does not move while it is, and learns before and after."""

import equinox as eqx
import jax
import numpy as np
import pytest

from agents import BPTTConfig, Checkpoints, Freeze, GRUPolicy, train, train_replicates
from agents.bptt.algorithm import init_state, make_setup, update
from fbx_env import make

SIZES = {"n_batches": 6, "batch_size": 2, "log_step": 2}


def cell(policy):
    return policy.cell


@pytest.fixture(scope="module")
def problem():
    env, params = make(max_steps_in_episode=4)
    return GRUPolicy(8, 2, 3, key=jax.random.key(0)), env, params


def trained(problem, *freezes, **options):
    config = BPTTConfig(**SIZES, freezes=freezes)
    return train(*problem, config, key=jax.random.key(1), write=None, **options)[0]


def assert_close(one, other):
    for a, b in zip(*map(jax.tree.leaves, (one, other)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


@pytest.mark.optimised
def test_what_is_frozen_all_along_is_what_does_not_learn(problem):
    frozen = trained(problem, Freeze(cell))
    assert eqx.tree_equal(frozen.cell, problem[0].cell)
    assert_close(frozen, trained(problem, where_train=lambda policy: policy.readout))
    assert_close(trained(problem, Freeze(cell, 0.5, 0.5)), trained(problem))


@pytest.mark.parametrize(
    ("freeze", "moving"),
    [(Freeze(cell, end=0.5), [3, 4, 5]), (Freeze(cell, start=0.5), [0, 1, 2])],
)
def test_it_learns_before_and_after(problem, freeze, moving):
    policy, env, params = problem
    setup = make_setup(policy, env, params, BPTTConfig(**SIZES, freezes=(freeze,)), None, None)
    state = init_state(policy, setup, jax.random.key(1))
    step = eqx.filter_jit(update)
    moved = []
    for index in range(6):
        before, (state, _) = state.policy, step(state, setup)
        assert not np.array_equal(before.readout.weight, state.policy.readout.weight)
        if not eqx.tree_equal(before.cell, state.policy.cell):
            moved.append(index)
    # At the end of training the rate is small, but not zero.
    assert moved == moving


def test_every_replicate_is_frozen(problem):
    _, env, params = problem
    keys = jax.random.split(jax.random.key(2), 2)
    policies = eqx.filter_vmap(lambda key: GRUPolicy(8, 2, 3, key=key))(keys)
    config = BPTTConfig(**SIZES, freezes=(Freeze(lambda policy: policy.cell.weight_hh),))
    after, _ = train_replicates(policies, env, params, config, keys=keys, write=None)
    np.testing.assert_array_equal(after.cell.weight_hh, policies.cell.weight_hh)
    assert not np.allclose(after.cell.weight_ih, policies.cell.weight_ih, atol=1e-5)


def test_a_training_with_another_freeze_is_not_resumed(problem, tmp_path):
    class Crash(Exception):
        pass

    def crash(text):
        if text.startswith("Training iteration 2"):
            raise Crash

    def run(freeze, checkpoints=None, write=None):
        config = BPTTConfig(**SIZES, freezes=(freeze,))
        key = jax.random.key(1)
        return train(*problem, config, key=key, checkpoints=checkpoints, write=write)[0]

    freeze = Freeze(cell, end=0.5)
    with pytest.raises(Crash):
        run(freeze, Checkpoints(tmp_path, every_updates=1), crash)
    resume = Checkpoints(tmp_path, resume=True)
    for other in (Freeze(cell, end=0.6), Freeze(lambda policy: policy.readout, end=0.5)):
        with pytest.raises(ValueError, match="freezes"):
            run(other, resume)
    assert eqx.tree_equal(run(freeze, resume), run(freeze))


@pytest.mark.parametrize(
    ("arguments", "error", "named"),
    [
        ((3,), TypeError, "where must be a function of the policy, got 3"),
        ((cell, -0.1), ValueError, "start must be finite and at least 0"),
        ((cell, 0.0, 1.1), ValueError, "end must be .* at most 1, got 1.1"),
        ((cell, 0.6, 0.5), ValueError, "start must be at most end, got 0.6 and 0.5"),
    ],
)
def test_a_freeze_that_cannot_be_is_refused(arguments, error, named):
    with pytest.raises(error, match=named):
        Freeze(*arguments)


def test_a_freeze_of_what_the_policy_does_not_have_is_named(problem):
    with pytest.raises(ValueError, match="where of a freeze must return parts .*weight_hh"):
        trained(problem, Freeze(lambda policy: policy.cel))
    with pytest.raises(TypeError, match="freezes must be a Freeze, got 3"):
        BPTTConfig(freezes=(3,))
