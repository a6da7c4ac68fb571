"""A saved model comes back as it was, and nothing else comes back."""

import hashlib
import json

import equinox as eqx
import jax
import numpy as np
import pytest

from agents import RNNPolicy, load_model, make_policy, save_model
from agents.policies import POLICIES, count_replicates
from fbx_env import make, rollout, tree_take


@pytest.mark.parametrize("encoding_size", [None, 4])
@pytest.mark.parametrize("kind", POLICIES)
def test_round_trip_is_exact(kind, encoding_size, key, tmp_path):
    env, params = make(
        mass=1.1, sensory_delay=2, motor_noise=0.3, dt=0.02, loss_weights={"command": 3e-6}
    )
    policy = make_policy(kind, 8, 2, 5, encoding_size, key=key)
    save_model(tmp_path, policy, params)
    loaded, loaded_params = load_model(tmp_path)
    assert eqx.tree_equal(policy, loaded)
    assert eqx.tree_equal(params, loaded_params)
    trials = params.task.validation_trials()
    np.testing.assert_array_equal(
        rollout(env, params, policy, trials, key).pos,
        rollout(env, loaded_params, loaded, trials, key).pos,
    )


@pytest.mark.parametrize("kind", POLICIES)
def test_replicates_come_back_together(kind, key, tmp_path):
    policies = eqx.filter_vmap(lambda key: make_policy(kind, 8, 2, 5, 3, key=key))(
        jax.random.split(key, 4)
    )
    save_model(tmp_path, policies, make()[1])
    loaded, _ = load_model(tmp_path)
    assert eqx.tree_equal(policies, loaded)
    assert count_replicates(loaded) == 4
    assert count_replicates(tree_take(loaded, 0)) is None


def test_the_leak_is_kept(key, tmp_path):
    save_model(tmp_path, RNNPolicy(8, 2, 5, leak=0.1, key=key), make()[1])
    assert load_model(tmp_path)[0].cell.leak == 0.1


def test_the_description_is_readable(key, tmp_path):
    save_model(tmp_path, make_policy("gru", 8, 2, 5, key=key), make(dt=0.05)[1])
    description = json.loads((tmp_path / "model.json").read_text())
    assert description["params"]["dt"] == 0.05
    assert description["params"]["plant"] == {"class": "PointMass", "mass": 1.0, "damping": 0.0}
    assert description["policy"]["hidden_type"] == "gru"


def test_what_is_no_model_is_refused(key, tmp_path):
    with pytest.raises(ValueError, match=r"is not a run: it holds no model.json and model.npz"):
        load_model(tmp_path)
    save_model(tmp_path, make_policy("gru", 8, 2, 5, key=key), make()[1])
    whole = (tmp_path / "model.npz").read_bytes()
    (tmp_path / "model.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="cannot be read"):
        load_model(tmp_path)
    save_model(tmp_path, make_policy("gru", 8, 2, 5, key=jax.random.key(1)), make()[1])
    (tmp_path / "model.npz").write_bytes(whole)
    with pytest.raises(ValueError, match=r"model.npz is damaged, or not the one that model.json"):
        load_model(tmp_path)


def test_arrays_that_do_not_fit_are_refused_under_a_right_checksum(key, tmp_path):
    save_model(tmp_path, make_policy("gru", 8, 2, 5, key=key), make()[1])

    def replace_arrays(**arrays):
        np.savez(tmp_path / "model.npz", **arrays)
        description = json.loads((tmp_path / "model.json").read_text())
        content = (tmp_path / "model.npz").read_bytes()
        description["sha256"] = hashlib.sha256(content).hexdigest()
        (tmp_path / "model.json").write_text(json.dumps(description))

    with np.load(tmp_path / "model.npz") as file:
        arrays = dict(file)
    replace_arrays(**{name: array[:2] for name, array in arrays.items()})
    with pytest.raises(ValueError, match=r"an array has shape .* expected was"):
        load_model(tmp_path)
    replace_arrays(evil=np.array([print], dtype=object))
    with pytest.raises(ValueError, match="cannot be read"):
        load_model(tmp_path)


def test_another_format_is_refused_by_name(key, tmp_path):
    save_model(tmp_path, make_policy("gru", 8, 2, 5, key=key), make()[1])
    text = (tmp_path / "model.json").read_text()
    (tmp_path / "model.json").write_text(text.replace("fbx-env model 2", "fbx-env model 9"))
    with pytest.raises(ValueError, match="its format is 'fbx-env model 9', not 'fbx-env model 2'"):
        load_model(tmp_path)


def test_a_policy_of_another_class_is_refused(key, tmp_path):
    with pytest.raises(TypeError, match="only GRUPolicy, .* can be saved, got Linear"):
        save_model(tmp_path, eqx.nn.Linear(1, 1, key=key), make()[1])
    assert not jax.tree.leaves(list(tmp_path.iterdir()))


def test_an_unknown_component_is_named(key, tmp_path):
    save_model(tmp_path, make_policy("gru", 8, 2, 5, key=key), make()[1])
    text = (tmp_path / "model.json").read_text()
    (tmp_path / "model.json").write_text(text.replace("CommandCost", "UnknownCost"))
    with pytest.raises(ValueError, match="define or import its class UnknownCost before loading"):
        load_model(tmp_path)
