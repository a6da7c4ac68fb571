"""The public names: what ``help`` shows of them."""

import pydoc
import re
import types

import pytest

import agents
import agents.public
import fbx_env


@pytest.mark.parametrize(("package", "names"), [(fbx_env, fbx_env), (agents, agents.public)])
def test_the_help_of_a_package_names_all_that_can_be_imported_from_it(package, names):
    shown = pydoc.plain(pydoc.render_doc(package))
    public = {
        name
        for name, value in vars(names).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    assert len(public) > 30
    assert not [name for name in sorted(public) if not re.search(rf"``{name}\b", shown)]


def test_what_a_function_does_is_in_its_help():
    assert "Run a policy through whole trials" in pydoc.render_doc(fbx_env.rollout)
    assert "TrainingContext" in pydoc.render_doc(agents.pairing)


def test_all_public_names_are_imported_by_a_star():
    names: dict = {}
    exec("from agents import *", names)
    assert {name for name in vars(agents.public) if not name.startswith("_")} <= set(names)
