"""A saved model comes back as it was, and nothing else comes back."""

import json
from collections.abc import Callable
from enum import IntEnum
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_archive import forged

from agents import (
    BPTTConfig,
    CustomCellPolicy,
    GRUPolicy,
    OptimalPolicy,
    RNNPolicy,
    load_model,
    make_policy,
    pairing,
    save_model,
    train,
)
from agents.policies import POLICIES, count_replicates
from agents.storage import archive
from fbx_env import LossTerm, PointMass, ReachParams, make, number, rollout, tree_take


class LeakyCell(eqx.Module):
    """A user's own cell, with fields of every kind that can be saved."""

    weights: tuple[jax.Array, list[jax.Array]]
    table: dict[str, Any]
    plant: PointMass
    leak: float
    size: int = eqx.field(static=True)
    name: str | None = eqx.field(static=True)

    def __init__(self, input_size, hidden_size, *, key):
        w = 0.1 * jax.random.normal(key, (hidden_size, input_size))
        self.weights = (w, [jnp.zeros(hidden_size)])
        self.table = {"a.b": jnp.ones(()), "n": 3, "numpy": np.linspace(0, 1, 2), "key": key}
        self.plant = PointMass(mass=1.1)
        self.leak = 0.1
        self.size, self.name = hidden_size, None

    def __call__(self, inputs, hidden):
        drive = self.weights[0] @ inputs + self.weights[1][0]
        return hidden + self.leak * (jnp.tanh(drive) - hidden)


class DistantCost(LossTerm):
    """A user's own loss term."""

    name = "distant"
    exponent: Any = number("a number", default=0.1)

    def cost(self, transition):
        return jnp.sum(transition.after.pos**2) ** self.exponent


def custom(key):
    return CustomCellPolicy(LeakyCell, 8, 2, 5, key=key)


@pytest.mark.parametrize("encoding_size", [None, 4])
@pytest.mark.parametrize("kind", POLICIES)
def test_round_trip_is_exact(kind, encoding_size, key, tmp_path):
    _, params = make(mass=1.1, sensory_delay=2, motor_noise=0.3, loss_weights={"command": 3e-6})
    policy = make_policy(kind, 8, 2, 5, encoding_size, key=key)
    save_model(tmp_path / "new" / "folder", policy, params)
    loaded, loaded_params = load_model(tmp_path / "new" / "folder")
    assert type(loaded) is type(policy)
    assert eqx.tree_equal(policy, loaded, typematch=True)
    assert eqx.tree_equal(params, loaded_params, typematch=True)


def test_a_loaded_model_acts_as_before(key, tmp_path):
    env, params = make(sensory_delay=2, motor_noise=0.3, max_steps_in_episode=5)
    policy = make_policy("gru", 8, 2, 5, key=key)
    save_model(tmp_path, policy, params)
    trials = params.task.validation_trials()
    loaded, loaded_params = load_model(tmp_path)
    np.testing.assert_array_equal(
        rollout(env, params, policy, trials, key).pos,
        rollout(env, loaded_params, loaded, trials, key).pos,
    )


def test_a_cell_of_ones_own_comes_back(key, tmp_path):
    policy = custom(key)
    save_model(tmp_path, policy, make()[1])
    loaded = load_model(tmp_path)[0]
    assert eqx.tree_equal(policy, loaded, typematch=True)
    assert type(loaded.cell) is LeakyCell
    assert loaded.cell.table.keys() == policy.cell.table.keys()
    assert isinstance(loaded.cell.table["numpy"], np.ndarray)
    assert (loaded.cell.leak, loaded.cell.name) == (0.1, None)
    np.testing.assert_array_equal(loaded.cell.plant.mass, policy.cell.plant.mass)


def test_the_network_of_a_muscle_arm_comes_back(key, tmp_path):
    """With how observations are standardised, and a readout whose output is squared."""
    context = pairing("MuscleArmReach-v0", hidden_size=3, n_replicates=2, key=key)
    save_model(tmp_path, context.model, context.task.params)
    loaded = load_model(tmp_path)[0]
    assert eqx.tree_equal(context.model, loaded, typematch=True)
    assert loaded.standardisation == context.model.standardisation


def test_the_optimal_policy_comes_back(tmp_path):
    _, params = make(motor_delay=1)
    save_model(tmp_path, OptimalPolicy(params), params)
    assert eqx.tree_equal(load_model(tmp_path)[0], OptimalPolicy(params), typematch=True)


@pytest.mark.parametrize("kind", [*POLICIES, "custom"])
def test_replicates_come_back_together(kind, key, tmp_path):
    make_one = custom if kind == "custom" else lambda key: make_policy(kind, 8, 2, 5, 3, key=key)
    policies = eqx.filter_vmap(make_one)(jax.random.split(key, 4))
    save_model(tmp_path, policies, make()[1])
    loaded, _ = load_model(tmp_path)
    assert eqx.tree_equal(policies, loaded, typematch=True)
    assert count_replicates(loaded) == 4
    assert count_replicates(tree_take(loaded, 0)) is None


def test_the_leak_is_kept(key, tmp_path):
    save_model(tmp_path, RNNPolicy(8, 2, 5, leak=0.1, key=key), make()[1])
    assert load_model(tmp_path)[0].cell.leak == 0.1


def test_parts_of_ones_own_come_back(key, tmp_path):
    params = make(sensory_noise=jnp.array([0.1, 0.2, 0.3, 0.4]))[1]
    params = params.replace(
        loss=params.loss.replace(terms=(*params.loss.terms, DistantCost(exponent=0.3)))
    )
    save_model(tmp_path, make_policy("gru", 8, 2, 5, key=key), params)
    assert eqx.tree_equal(load_model(tmp_path)[1], params, typematch=True)


def test_several_experiments_are_refused(tmp_path):
    several = jax.vmap(lambda mass: ReachParams(plant=PointMass(mass=mass)))(jnp.arange(1.0, 3))
    with pytest.raises(ValueError, match=r"mass must have shape \(\) in one experiment, got \(2,"):
        save_model(tmp_path, Holding(1), several)


def content(folder):
    return archive.read(folder / "policy.model", "model").content


def test_the_description_is_readable(key, tmp_path):
    save_model(tmp_path, make_policy("gru", 8, 2, 5, key=key), make(dt=0.05)[1])
    described = content(tmp_path)
    assert described["params"]["dt"] == 0.05
    plant = described["params"]["plant"]
    assert (plant["mass"], plant["class"].partition(":")[2]) == (1.0, "PointMass")
    assert described["policy"]["readout"]["out_features"] == 2


def test_what_is_no_model_is_refused(key, tmp_path):
    with pytest.raises(ValueError, match=r"is not a run: it holds no policy.model$"):
        load_model(tmp_path)
    (tmp_path / "000000003.checkpoint").write_bytes(b"")
    with pytest.raises(ValueError, match=r"holds no policy.model; .* resume it with --resume"):
        load_model(tmp_path)
    (tmp_path / "policy.model").mkdir()
    with pytest.raises(ValueError, match=r"policy.model cannot be read: .*not a regular file"):
        load_model(tmp_path)


def test_no_byte_of_the_file_can_be_changed(key, tmp_path):
    """Not a noise, an exponent, the workspace, a term of the loss, nor anything else."""
    save_model(tmp_path, make_policy("gru", 8, 2, 3, key=key), make()[1])
    path = tmp_path / "policy.model"
    data = path.read_bytes()
    rng = np.random.default_rng(0)
    places = [*range(100), *rng.integers(0, len(data), 200)]
    for place in places:
        wrong = bytearray(data)
        wrong[place] ^= 1 << rng.integers(8)
        path.write_bytes(bytes(wrong))
        with pytest.raises(ValueError, match=r"policy.model cannot be read: it"):
            load_model(tmp_path)
    path.write_bytes(data.replace(b'"dt": 0.05', b'"dt": 0.06'))
    with pytest.raises(ValueError, match="its checksum is not that of its content"):
        load_model(tmp_path)


def rewrite(folder, change):
    """Change what a model's file says, under a right checksum."""
    path = folder / "policy.model"
    _, line, body = path.read_bytes().split(b"\n", 2)
    document = json.loads(line)
    change(document, document["content"]["policy"], document["content"]["params"])
    path.write_bytes(forged(document, body))


def set_size(document, policy, params):
    policy["readout"]["in_features"] = 10**18


def set_shape(document, policy, params):
    document["arrays"]["policy.readout.bias"][1] = [10**18]


def set_replicates(document, policy, params):
    document["arrays"] = {
        name: [dtype, [200_000_000, *shape]] for name, (dtype, shape) in document["arrays"].items()
    }


def drop_array(document, policy, params):
    policy["readout"]["bias"] = {"array": "policy.nowhere"}


def swap_shapes(document, policy, params):
    document["arrays"]["policy.readout.weight"][1].reverse()


def set_dtype(document, policy, params):
    document["arrays"]["policy.readout.bias"][0] = "int32"


def set_steps(document, policy, params):
    params["max_steps_in_episode"] = 10**18


def set_mass(document, policy, params):
    params["plant"]["mass"] = 1e300


def set_noise(document, policy, params):
    params["motor"]["noise_std"] = [[0.1, -1.0]]


def set_class(document, policy, params):
    policy["class"] = "os:system"


def set_module(document, policy, params):
    policy["cell"]["class"] = "somewhere.else:GRUCell"


def set_unknown(document, policy, params):
    params["plant"]["class"] = "mine:UnknownPlant"


def set_params_as_policy(document, policy, params):
    document["content"]["policy"] = params


def set_no_params(document, policy, params):
    document["content"]["params"] = policy


def set_field(document, policy, params):
    policy["readout"]["evil"] = 3


def set_tag(document, policy, params):
    policy["encoder"] = {"call": "os.system"}


def set_nested(document, policy, params):
    for _ in range(95):
        policy = policy.setdefault("tuple", {})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_size, "policy cannot act on the 8 numbers"),
        (set_shape, r"array policy.readout.bias has the impossible shape \[10"),
        (set_replicates, "its arrays should take [0-9]+ bytes, and [0-9]+ are there"),
        (drop_array, "there is no array policy.nowhere"),
        (swap_shapes, "policy cannot act on the 8 numbers"),
        (set_dtype, None),
        (set_steps, "max_steps_in_episode must be at most 2147483647, got 1000000000000000000"),
        (set_mass, r"mass must be finite and greater than 0, got 1e\+300"),
        (set_noise, "noise_std must be finite and at least 0"),
        (set_class, "its class system is not imported; import os, or define it"),
        (set_module, "its class GRUCell is not imported; import somewhere.else, or define it"),
        (set_unknown, "its class UnknownPlant is not imported; import mine, or define it"),
        (set_params_as_policy, "policy must be a Module, got ReachParams"),
        (set_no_params, "params must be a ReachParams, got GRUPolicy"),
        (set_field, r"its class equinox.nn._linear:Linear has changed: evil differ"),
        (set_tag, "it describes an unknown 'call'"),
        (set_nested, "cannot be read: "),
    ],
)
def test_what_is_made_up_under_a_right_checksum_is_refused(change, message, key, tmp_path):
    save_model(tmp_path, make_policy("gru", 8, 2, 3, key=key), make()[1])
    rewrite(tmp_path, change)
    if message is None:
        load_model(tmp_path)
        return
    with pytest.raises(ValueError, match=message) as refused:
        load_model(tmp_path)
    assert str(tmp_path / "policy.model") in str(refused.value)


class Holding(eqx.Module):
    """A policy with one field of any kind."""

    inner: Any

    def __call__(self, obs, carry, *, key=None):
        return obs[:2], carry

    def initial_carry(self):
        return jnp.zeros(())

    def activity(self, carry):
        return jnp.zeros(0)


class Level(IntEnum):
    LOW = 1


@pytest.mark.parametrize(
    "value", [jnp.tanh, Level.LOW, {3: 4}, {"a"}, object, 1j, b"bytes", jnp.dtype("float32")]
)
def test_a_field_that_no_file_holds_is_named(value, tmp_path):
    with pytest.raises(TypeError, match=r"policy\.inner\[1\] cannot be saved: a field may hold"):
        save_model(tmp_path / "new", Holding((1, value)), ReachParams())
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.0, 2**70, "Δv", (), [], {}, True])
def test_plain_values_come_back(value, tmp_path):
    save_model(tmp_path, Holding(value), ReachParams())
    loaded = load_model(tmp_path)[0].inner
    assert repr(loaded) == repr(value)


def test_a_policy_that_is_no_module_or_cannot_act_is_refused(key, tmp_path):
    with pytest.raises(TypeError, match="policy must be a Module"):
        save_model(tmp_path, lambda obs, carry, key: (obs, carry), ReachParams())
    with pytest.raises(TypeError, match="params must be a ReachParams, got 3"):
        save_model(tmp_path, Holding(1), 3)
    for policy in (eqx.nn.Linear(1, 1, key=key), make_policy("gru", 9, 2, 5, key=key)):
        with pytest.raises(ValueError, match="policy cannot act on the 8 numbers that params let"):
            save_model(tmp_path, policy, ReachParams())
    assert not list(tmp_path.iterdir())


def test_no_link_is_followed_when_saving(key, tmp_path):
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "policy.model").symlink_to(tmp_path / "precious")
    save_model(tmp_path / "run", Holding(1), ReachParams())
    assert (tmp_path / "precious").read_text() == "mine"
    assert load_model(tmp_path / "run")[0].inner == 1


def module_named(module, base=Holding):
    return type("Moving", (base,), {"__module__": module, "__qualname__": "Moving"})


def test_a_scripts_own_class_is_found_when_the_script_is_imported(tmp_path):
    """And the other way round; of a class that was defined again, the last definition."""
    in_script = module_named("__main__")
    save_model(tmp_path, in_script(3), ReachParams())
    again = module_named("__main__")
    assert type(load_model(tmp_path)[0]) is again
    rewrite(tmp_path, lambda _, policy, __: policy.update({"class": "my_script:Moving"}))
    assert type(load_model(tmp_path)[0]) is again
    imported = module_named("my_script")
    assert type(load_model(tmp_path)[0]) is imported
    rewrite(tmp_path, lambda _, policy, __: policy.update({"class": "__main__:Moving"}))
    assert type(load_model(tmp_path)[0]) is again
    rewrite(tmp_path, lambda _, policy, __: policy.update({"class": "other:Moving"}))
    assert type(load_model(tmp_path)[0]) is again


def test_double_precision_is_refused_by_the_setting(key, tmp_path):
    with jax.enable_x64(True):
        save_model(tmp_path, make_policy("gru", 8, 2, 3, key=key), ReachParams())
        assert load_model(tmp_path)[0].readout.weight.dtype == jnp.float64
    with pytest.raises(ValueError, match=r"array policy\..* is float64, but jax_enable_x64 is now"):
        load_model(tmp_path)


def test_nothing_is_computed_when_a_model_is_loaded(tmp_path):
    """A carry of any size is only described."""

    class Huge(Holding):
        def initial_carry(self):
            return jnp.zeros((10**6, 10**6))

    save_model(tmp_path, Huge(1), ReachParams())
    assert load_model(tmp_path)[0].inner == 1


def test_numbers_of_numpy_become_pythons(tmp_path):
    save_model(tmp_path, Holding((np.float64(0.1), np.int32(3), np.bool_(True))), ReachParams())
    assert repr(load_model(tmp_path)[0].inner) == "(0.1, 3, True)"


def test_functions_in_a_cell_are_named(key, tmp_path):
    class Cell(eqx.Module):
        w: jax.Array
        activation: Callable = eqx.field(static=True)

        def __call__(self, inputs, hidden):
            return self.activation(hidden)

    policy = CustomCellPolicy(
        lambda size_in, size, key: Cell(jnp.ones(1), jnp.tanh), 8, 2, 5, key=key
    )
    with pytest.raises(TypeError, match=r"policy\.cell\.activation cannot be saved"):
        save_model(tmp_path, policy, ReachParams())


def test_what_was_trained_in_float32_can_be_trained_further_in_float64(tmp_path, key):
    env, params = make(max_steps_in_episode=3)
    policy = GRUPolicy(8, 2, 3, key=key)
    save_model(tmp_path, policy, params)
    with jax.enable_x64(True):
        wide, params = load_model(tmp_path)
        for one, other in zip(jax.tree.leaves(wide), jax.tree.leaves(policy), strict=True):
            assert one.dtype == jnp.float64
            np.testing.assert_array_equal(one, other)
        config = BPTTConfig(n_batches=1, batch_size=2)
        train(wide, env, params, config, key=jax.random.key(1), write=None)
