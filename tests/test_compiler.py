"""Tests of single bits, memory and time have the programs that users have."""

import jax
import pytest
from compiler import are_ours, be_quick, is_quick


@pytest.mark.optimised
@pytest.mark.skipif(not are_ours, reason="XLA_FLAGS is set")
def test_a_marked_test_has_other_programs_than_the_rest(key):
    assert not is_quick()
    x = jax.random.normal(key, (64, 64))
    programs = []
    for quick in (False, True, False):
        be_quick(quick)
        compiled = jax.jit(lambda x: jax.nn.log_softmax(x @ x.T)).lower(x).compile()
        lines = compiled.as_text().splitlines()
        programs.append([line.partition(", metadata=")[0] for line in lines if " = " in line])
    assert programs[0] == programs[2]
    assert programs[0] != programs[1]
