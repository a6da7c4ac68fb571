"""Packing keeps every bit, of every kind of number."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbx_env.gym.packing import buffer_size, element_dtype, pack, unpack

NUMBERS = {
    "floats": jnp.array([0.0, -0.0, 1e-42, jnp.nan, -jnp.inf, 1 / 3]),
    "whole": jnp.array([2**24 + 1, -(2**31), 1, 0x7F800001], jnp.int32),
    "words": jnp.array([2**32 - 1, 2**24 + 1], jnp.uint32),
    "flags": jnp.array([[True], [False]]),
    "small": jnp.array([-1, 5], jnp.int8),
    "half": jnp.array(1.5, jnp.bfloat16),
    "none": jnp.zeros((0, 2)),
}


def bits(numbers):
    return np.asarray(numbers).tobytes()


def test_every_bit_comes_back():
    buffer = jax.jit(pack)(NUMBERS)
    assert buffer.dtype == element_dtype()
    assert buffer.shape == (buffer_size(NUMBERS),) == (17,)
    back = jax.jit(lambda buffer: unpack(buffer, NUMBERS))(buffer)
    for name, numbers in NUMBERS.items():
        assert (back[name].dtype, back[name].shape) == (numbers.dtype, numbers.shape)
        assert bits(back[name]) == bits(numbers)


def test_in_double_precision(double_precision):
    numbers = {"double": jnp.array([1 / 3, 1e-320]), "whole": jnp.array([-1, 7], jnp.int32)}
    numbers["long"] = jnp.array(2**53 + 1)
    assert element_dtype() == np.float64
    back = unpack(pack(numbers), numbers)
    assert [bits(back[name]) for name in numbers] == [bits(numbers[name]) for name in numbers]


@pytest.mark.parametrize("wrong", [jnp.ones(2, complex), jax.random.key(0)])
def test_what_cannot_be_packed_is_named(wrong):
    with pytest.raises(TypeError, match=r"\['plant'\] must be real numbers, integers or booleans"):
        buffer_size({"mass": jnp.ones(()), "plant": wrong})
