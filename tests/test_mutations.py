"""The list of what ``mutations.py`` breaks keeps up with the code."""

import pytest
from mutations import MUTATIONS, PROJECT


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation[0])
def test_what_is_to_be_broken_is_there_once(mutation):
    _, name, old, new = mutation
    assert (PROJECT / name).read_text().count(old) == 1
    assert new != old
