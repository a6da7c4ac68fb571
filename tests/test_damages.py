"""Damaged files are refused, whatever is in them; ``fault_injection.py`` lets every command try."""

import contextlib
import random
import shutil

import jax
import pytest
from damages import DAMAGES, Surroundings, damage

from agents import GRUPolicy, History, load_model, save_model
from agents.storage.runs import MODEL, read_json
from fbx_env import make


@pytest.fixture
def around(tmp_path):
    random.seed(7)
    around = Surroundings(tmp_path / "outside", b"fbx-env archive 1 model 0 nothing\n")
    around.prepare()
    return around


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    policy, (_, params) = GRUPolicy(8, 2, 3, key=jax.random.key(0)), make()
    folder = tmp_path_factory.mktemp("model")
    save_model(folder, policy, params)
    return folder, policy, params


@pytest.mark.parametrize("how", DAMAGES)
def test_no_damage_is_taken_for_a_model_and_saving_follows_no_link(how, model, around, tmp_path):
    whole, policy, params = model
    folder = shutil.copytree(whole, tmp_path / "run")
    damage(folder / MODEL, how, around)
    with pytest.raises(ValueError, match=str(folder)):
        load_model(folder)
    around.check()
    if how != "folder":
        save_model(folder, policy, params)
        assert (folder / MODEL).read_bytes() == (whole / MODEL).read_bytes()
    around.check()


@pytest.mark.parametrize("how", DAMAGES)
def test_what_can_be_read_of_a_damaged_text_is_that_or_an_error(how, around, tmp_path):
    history = History()
    history.extend({"total": [0.5, 0.25]}, 1.0)
    history.save(tmp_path / "history.csv")
    (tmp_path / "config.json").write_text('{"learner": "bptt", "seed": 3}')
    for name, read in (("history.csv", History.load), ("config.json", read_json)):
        path = tmp_path / name
        damage(path, how, around)
        with contextlib.suppress(ValueError, OSError):
            assert isinstance(read(path), History | dict | list)
    around.check()
