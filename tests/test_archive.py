"""Archives come back with the same bits; whatever is not one is refused, and costs nothing."""

import hashlib
import json
import os
import tracemalloc

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents.storage import archive

CONTENT = {"name": "Δv\n", "numbers": [1, 2.5, None, True], "nested": {"a": {"b": "c"}}}
TREE = {
    "weights": jnp.linspace(0, 1, 6).reshape(2, 3),
    "halves": jnp.arange(3, dtype=jnp.bfloat16),
    "typed": jax.random.split(jax.random.key(3), 2),
    "other": jax.random.key(3, impl="rbg"),
    "raw": jax.random.PRNGKey(4),
    "count": jnp.zeros((), jnp.int32),
    "flags": jnp.array([True, False]),
    "empty": jnp.zeros((0, 4)),
    "numpy": np.linspace(0, 1, 3),
    "function": jnp.tanh,
    "pair": (jnp.ones(1), None),
}


def test_everything_comes_back_with_its_bits():
    file = archive.from_bytes(archive.to_bytes("model", CONTENT, TREE), "model")
    assert file.content == CONTENT
    restored = file.restore(TREE)
    assert eqx.tree_equal(restored, TREE, typematch=True)
    for name in ("halves", "numpy", "typed", "other"):
        assert restored[name].dtype == TREE[name].dtype
    assert file.described["pair.0"] == ("float32", (1,))
    assert set(file.arrays) == {*TREE, "pair.0"} - {"function", "pair"}
    restored["numpy"][0] = 3.0  # It can be written to.


def test_a_file_says_what_it_is_and_holds(tmp_path):
    archive.write(tmp_path / "a.model", "model", CONTENT, TREE)
    header, line, _ = (tmp_path / "a.model").read_bytes().split(b"\n", 2)
    assert header.startswith(b"fbx-env archive 1 model ")
    assert json.loads(line)["arrays"]["weights"] == ["float32", [2, 3]]
    assert archive.read(tmp_path / "a.model", "model").content == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["a.model"]


def test_other_formats_and_kinds_are_named():
    data = archive.to_bytes("model", None)
    with pytest.raises(ValueError, match="kind is 'model', not 'checkpoint'"):
        archive.from_bytes(data, "checkpoint")
    with pytest.raises(ValueError, match="format is 'fbx-env archive 9', not 'fbx-env archive 1'"):
        archive.from_bytes(data.replace(b"archive 1", b"archive 9"), "model")
    for other in (b"", b"{}", b"PK\x03\x04", b"\n" * 100, b"fbx-env archive 1 model 3 abc\n123"):
        with pytest.raises(ValueError, match="does not begin with 'fbx-env archive 1'"):
            archive.from_bytes(other, "model")


def test_every_byte_is_under_the_checksum():
    data = archive.to_bytes("model", {"mass": 1.0}, {"w": jnp.arange(3.0)})
    rng = np.random.default_rng(0)
    for place in range(len(data)):
        wrong = bytearray(data)
        wrong[place] ^= 1 << rng.integers(8)
        with pytest.raises(ValueError, match="^it"):
            archive.from_bytes(bytes(wrong), "model")
        with pytest.raises(ValueError, match="^it"):
            archive.from_bytes(data[:place], "model")
    for wrong in (data + b"\0", data + data):
        with pytest.raises(ValueError, match="damaged"):
            archive.from_bytes(wrong, "model")


def forged(line, body=b"", kind="model"):
    """An archive under a right checksum."""
    text = line if isinstance(line, bytes) else json.dumps(line).encode()
    payload = text + b"\n" + body
    digest = hashlib.sha256(payload).hexdigest()
    return f"{archive.FORMAT} {kind} {len(payload)} {digest}\n".encode() + payload


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": ["float32", [10**18]]}, r"array a has the impossible shape \[10{18}\]"),
        ({"a": ["float32", [-1]]}, r"array a has the impossible shape \[-1\]"),
        ({"a": ["float32", [1.5]]}, r"array a has the impossible shape \[1.5\]"),
        ({"a": ["float32", [1] * 40]}, "array a has the impossible shape"),
        ({"a": ["float32", [2**31 - 1, 2**31 - 1]]}, "should take .* bytes, and 8 are there"),
        ({"a": ["float32", [3]]}, "its arrays should take 12 bytes, and 8 are there"),
        ({}, "its arrays should take 0 bytes, and 8 are there"),
        ({"a": ["object", [1]]}, "array a has the unknown dtype 'object'"),
        ({"a": ["<f4", [2]]}, "array a has the unknown dtype '<f4'"),
        ({"a": [3, [2]]}, "its description is not that of an archive"),
        ({"a": ["float32"]}, "its description is not that of an archive"),
        ({"a": ["float32", 3]}, "its description is not that of an archive"),
        ([], "its description is not that of an archive"),
    ],
)
def test_sizes_are_compared_with_what_is_there_before_anything_is_allocated(arrays, message):
    data = forged({"arrays": arrays, "content": None}, bytes(8))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=message):
            archive.from_bytes(data, "model")
        assert tracemalloc.get_traced_memory()[1] < 1e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "text",
    [b"[" * 100_000, b"[" * 500 + b"]" * 500, b'{"a":' * 200 + b"1" + b"}" * 200],
)
def test_deep_nesting_is_refused(text):
    with pytest.raises(ValueError, match="nested more than 100 deep"):
        archive.from_bytes(forged(text), "model")


@pytest.mark.parametrize("text", [b"", b"3", b"null", b"[]", b"{}", b"\xff", b"{'a'}", b"9" * 5000])
def test_what_is_no_description_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        archive.from_bytes(forged(text), "model")


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"w": jnp.zeros(4)}, r"array w is float32 of shape \(3,\), wanted is float32 of shape"),
        ({"w": jnp.zeros(3, jnp.int32)}, r"array w is float32 .* wanted is int32 of shape \(3,\)"),
        ({"w": jnp.zeros(3, jnp.bfloat16)}, "array w is float32 .* wanted is bfloat16"),
        ({"w": jax.random.key(0)}, r"array w is float32 .* wanted is key threefry2x32"),
        ({"v": jnp.zeros(3)}, "array v is absent, wanted is float32"),
        ({}, r"array w is float32 of shape \(3,\), wanted is absent"),
        ({"w": jnp.zeros(3), "v": jnp.zeros(2)}, "array v is absent"),
    ],
)
def test_another_array_is_refused_by_name_dtype_and_shape(other, message):
    file = archive.from_bytes(archive.to_bytes("model", None, {"w": jnp.zeros(3)}), "model")
    with pytest.raises(ValueError, match=message):
        file.restore(other)


def test_double_precision_is_refused_without_the_setting():
    with jax.enable_x64(True):
        data = archive.to_bytes("model", None, {"w": jnp.zeros(3)})
    with pytest.raises(ValueError, match="array w is float64, but jax_enable_x64 is now False"):
        archive.from_bytes(data, "model").array("w")


def test_arrays_that_no_archive_holds_are_refused():
    with pytest.raises(TypeError, match=r"inner\.w must be of one of the dtypes .* got object"):
        archive.to_bytes("model", None, {"inner": {"w": np.array([print])}})
    with pytest.raises(ValueError, match="arrays must have names that differ"):
        archive.to_bytes("model", None, {"a.b": jnp.ones(1), "a": {"b": jnp.ones(1)}})


def test_several_in_a_row_are_read_one_by_one():
    one, two = (archive.to_bytes("history", n, {"w": jnp.full(n, n)}) for n in (1, 2))
    first, end = archive.first_in(one + two, "history")
    second, last = archive.first_in(one + two, "history", end)
    assert (first.content, second.content, last) == (1, 2, len(one + two))
    assert second.arrays["w"].tolist() == [2, 2]


def test_pipes_and_devices_are_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero", tmp_path):
        with pytest.raises(OSError, match="is not a regular file"):
            archive.read(path, "model")


def test_the_numbers_of_an_array_are_the_shortest_decimals_that_give_its_bits():
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2**32, 20_000, dtype=np.uint32).view(np.float32)
    numbers = bits[np.isfinite(bits)]
    written = json.loads(json.dumps(archive.decimals(numbers)))
    np.testing.assert_array_equal(np.array(written).astype(np.float32), numbers)
    assert archive.decimals(jnp.float32(0.05)) == 0.05
    assert archive.decimals(jnp.array([[1, 2]])) == [[1, 2]]
