"""What tells a training from others is named, by name and value."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from agents.storage.identity import (
    as_json,
    describe,
    differences,
    fingerprint,
    other_surroundings,
)
from fbx_env import PointMass, ReachParams

WEIGHTS = jnp.linspace(0, 1, 5)


def identity(
    learning_rate=0.1, mass=1.0, delay=0, where=True, key=0, weights=WEIGHTS, optimizer="one"
):
    params = ReachParams(plant=PointMass(mass=mass))
    params = params.replace(motor=params.motor.replace(delay=delay))
    exact = {"params": params, "trainable": (where, False, jnp.tanh), "key": jax.random.key(key)}
    described = describe(
        exact, {"policy": weights, "count": jnp.zeros((), int)}, optimizer=optimizer
    )
    return as_json({"config": {"learning_rate": learning_rate, "sizes": (1, 2)}, **described})


def test_the_same_training_does_not_differ():
    assert differences(identity(), identity()) == ""
    assert differences(identity(), identity(weights=WEIGHTS * (1 + 1e-6))) == ""
    nan = WEIGHTS.at[0].set(jnp.nan)
    assert differences(identity(weights=nan), identity(weights=nan)) == ""


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"learning_rate": 0.2}, "config.learning_rate 0.1, now 0.2"),
        ({"learning_rate": float(np.float32(0.2))}, "config.learning_rate 0.1, now 0.2"),
        ({"learning_rate": None}, "config.learning_rate 0.1, now None"),
        ({"mass": 1.5}, "params.plant.mass float32 1.0, now float32 1.5"),
        ({"mass": 1.0000001}, "params.plant.mass float32 1.0, now float32 1.0000001"),
        ({"delay": 2}, "another structure"),
        ({"where": False}, "trainable.0 True, now False"),
        ({"key": 1}, "key uint32 [0, 0], now uint32 [0, 1]"),
        ({"weights": WEIGHTS + 1}, "another policy"),
        ({"optimizer": "two"}, "optimizer one, now two"),
    ],
)
def test_what_differs_is_named(changes, words):
    assert differences(identity(), identity(**changes)) == words


def test_much_that_differs_is_cut_short():
    one, other = (as_json(describe({str(i): x for i in range(9)}, None)) for x in (1, 2))
    assert differences(one, other) == (
        "0 1, now 2; 1 1, now 2; 2 1, now 2; 3 1, now 2; 4 1, now 2 and 4 more"
    )


def test_a_setting_that_differs_is_named_alone():
    with jax.enable_x64(True):
        other = identity(mass=2.0)
    assert differences(identity(), other) == "jax_enable_x64 False, now True"
    with jax.default_matmul_precision("float32"):
        other = identity()
    assert differences(identity(), other) == "jax_default_matmul_precision None, now float32"


def test_other_versions_are_no_difference_but_functions_are_not_compared_then():
    one, other = identity(), identity(optimizer="two")
    other["surroundings"]["jax"] = "0.1"
    assert differences(one, other) == ""
    assert other_surroundings(one, other) == f"jax {jax.__version__}, now 0.1"
    assert other_surroundings(one, identity()) == ""


PARAMS = {"w": jnp.ones((3, 3)), "b": jnp.ones(3)}
TABLE = jnp.linspace(0, 1, 1000)


def from_table(table):
    """An optimiser whose learning rates are those of a table."""
    return optax.sgd(lambda count: jnp.asarray(table)[count])


@pytest.mark.parametrize(
    "optimizers",
    [
        (optax.adam(1e-3), optax.adam(1.0)),
        (optax.adam(1e-3), optax.adamw(1e-3)),
        (optax.sgd(0.1), optax.sgd(0.1, momentum=0.0)),
        (optax.sgd(0.1), optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(0.1))),
        tuple(optax.adam(optax.cosine_decay_schedule(0.1, n)) for n in (100, 200)),
        (from_table(jnp.linspace(0, 1, 1000)), from_table(TABLE.at[500].set(0.1))),
        (from_table(np.linspace(0, 1, 1000)), from_table(np.linspace(0, 1.0001, 1000))),
        (optax.contrib.muon(0.1), optax.contrib.muon(0.1, beta=0.9)),
    ],
)
def test_optimisers_are_distinguished_by_what_they_compute(optimizers):
    def of(optimizer):
        return fingerprint(optimizer.update, PARAMS, optimizer.init(PARAMS), PARAMS)

    one, other = map(of, optimizers)
    assert one != other
    assert one == of(optimizers[0])


def test_equal_optimisers_have_equal_fingerprints():
    def of(make):
        optimizer = make()
        shapes = eqx.filter_eval_shape(lambda: (PARAMS, optimizer.init(PARAMS), PARAMS))
        return fingerprint(optimizer.update, *shapes)

    def make():
        return optax.adam(lambda count: 0.1 / (1 + count))

    assert of(make) == of(make)
