"""Components in the files of JAX and Flax, and in their programs."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as orbax
import pytest
from flax import serialization
from ids import EACH_PART
from jax import export

from fbx_env import PointMass, make


def same(one, other):
    assert jax.tree.structure(one) == jax.tree.structure(other)
    jax.tree.map(np.testing.assert_array_equal, one, other)


@pytest.mark.parametrize("id", EACH_PART)
def test_flax_writes_params_and_states_and_reads_them(id, key):
    env, params = make(id, motor_delay=2)
    _, state = env.reset(key, params)
    _, other = env.reset(jax.random.key(9), params)
    for one, like in ((params, make(id, motor_delay=2, dt=0.02)[1]), (state, other)):
        same(serialization.from_bytes(like, serialization.to_bytes(one)), one)
        same(serialization.from_state_dict(like, serialization.to_state_dict(one)), one)


@pytest.mark.parametrize("id", EACH_PART)
def test_a_program_with_params_as_an_argument_is_exported(id, key):
    env, params = make(id, motor_delay=1, dt=0.02)
    _, state = env.reset(key, params)
    raw_key, action = jax.random.PRNGKey(3), jnp.ones(state.control.shape)

    def step(key, state, action, params):
        return env.step_env(key, state, action, params)

    written = export.export(jax.jit(step))(raw_key, state, action, params).serialize()
    again = export.deserialize(written).call(raw_key, state, action, params)
    # Compiled otherwise, an arm's step rounds otherwise.
    expected = step(raw_key, state, action, params)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-7), tuple(again), expected)


def test_a_class_that_is_defined_again_can_be_exported_too():
    for stiffness in (1.0, 2.0):

        class Springy(PointMass):
            pass

        program = export.export(jax.jit(lambda plant: plant.mass))
        written = program(Springy(mass=stiffness)).serialize()
        assert export.deserialize(written).call(Springy(mass=stiffness)) == stiffness


@pytest.mark.parametrize("id", EACH_PART)
def test_orbax_keeps_states_with_and_without_delays(id, key, tmp_path):
    """It refuses empty arrays."""
    env, params = make(id)
    states = [env.reset(key, make(id, motor_delay=delay)[1])[1] for delay in (0, 2)]
    with orbax.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "states", [params, *states])
        checkpointer.wait_until_finished()
        same(checkpointer.restore(tmp_path / "states", [params, *states]), [params, *states])
