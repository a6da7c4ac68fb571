"""The operation that fails is found."""

import inspect
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents import BPTTConfig, GRUPolicy, TrainingError, train, train_replicates
from agents.bptt.faults import describe_fault, first_failure
from fbx_env import LossTerm, make
from fbx_env.parts.losses import loss as losses


class Distance(LossTerm):
    """Its gradient is not finite, because that of a square root is not at 0."""

    name = "distance"

    def cost(self, transition):
        zero = transition.command - jax.lax.stop_gradient(transition.command)
        return jnp.sqrt(jnp.sum(jnp.square(zero)))


def train_one(key, *problem):
    train(GRUPolicy(8, 2, 2, key=key), *problem, key=key, write=None)


def train_two(key, *problem):
    keys = jax.random.split(key, 2)
    policies = eqx.filter_vmap(lambda key: GRUPolicy(8, 2, 2, key=key))(keys)
    train_replicates(policies, *problem, keys=keys, write=None)


@pytest.mark.parametrize("training", [train_one, train_two])
def test_the_line_of_a_gradient_that_is_not_finite(training, key):
    env, params = make(max_steps_in_episode=2)
    params = params.replace(loss=params.loss + Distance())
    with jax.debug_nans(True), pytest.raises(TrainingError) as error:
        training(key, env, params, BPTTConfig(n_batches=3, batch_size=1))
    line = inspect.getsource(Distance.cost).splitlines()[-1].strip()
    message = str(error.value)
    assert "iteration 0: the gradient norm" in message
    assert message.endswith(f"test_faults.py, line {line_of(__file__, line)}: {line}")


def test_the_line_of_a_validation_loss_that_is_not_finite(key):
    env, params = make(max_steps_in_episode=2)
    config = BPTTConfig(n_batches=1, batch_size=1, learning_rate=1e30)
    policy = GRUPolicy(8, 2, 2, key=key)
    with jax.debug_nans(True), pytest.raises(TrainingError, match="validation loss") as error:
        train(policy, env, params, config, key=key, write=None)
    line = inspect.getsource(losses.squared_norm).splitlines()[-1].strip()
    assert str(error.value).endswith(f"loss.py, line {line_of(losses.__file__, line)}: {line}")


def line_of(path, text):
    """Where the last line with this text is."""
    lines = Path(path).read_text().splitlines()
    return max(number for number, line in enumerate(lines, 1) if line.strip() == text)


def test_debugging_changes_no_result(key):
    env, params = make(max_steps_in_episode=2)
    config = BPTTConfig(n_batches=2, batch_size=1)
    policy = GRUPolicy(8, 2, 2, key=key)
    plain, _ = train(policy, env, params, config, key=key, write=None)
    with jax.debug_nans(True):
        debugged, _ = train(policy, env, params, config, key=key, write=None)
    assert eqx.tree_equal(plain, debugged)


def test_all_terms_that_are_not_finite_are_named():
    rows = {name: np.array([1.0, np.nan]) for name in ("position", "command", "total")}
    assert "iteration 8: the loss terms position, command are not finite" in describe_fault(rows, 7)
    del rows["position"]
    assert "iteration 8: the loss term command is not finite" in describe_fault(rows, 7)


def test_no_failure_is_reported():
    assert first_failure(lambda: jnp.sin(1.0)).endswith("the fault is one of rounding")
