"""The one format of files that hold arrays: models, checkpoints, histories, and other learners'.

An archive is a line with the format, what it holds, the number of bytes that follow and their
SHA-256; a line of JSON; and the arrays, one after the other, by equinox's serialisation:

    fbx-env archive 1 model 12345 9f86d081884c7d65...
    {"arrays": {"policy.cell.bias": ["float32", [150]], ...}, "content": {...}}
    ...

Reading one runs no code in it, and allocates nothing for sizes that it only claims to have.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import re
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from agents.storage.files import read_whole, write_whole

FORMAT = "fbx-env archive 1"
HEADER = re.compile(rb"([ -~]{1,64}) ([a-z]+) ([0-9]{1,18}) ([0-9a-f]{64})\n")
MAX_DEPTH = 100
"""How deeply JSON may be nested."""

DTYPES = {
    name: jnp.dtype(name)
    for name in (
        *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
        *("bfloat16", "float16", "float32", "float64", "complex64", "complex128"),
    )
}
KEY = "key "
"""How the dtype of typed random keys begins in a file; their implementation follows."""

Description = tuple[str, tuple[int, ...]]
"""Dtype and shape of an array, as a file names them."""


class Archive(NamedTuple):
    """The contents of an archive.

    Attributes:
        content: what was given as JSON.
        arrays: by name; of random keys their data.
        described: the dtypes and shapes of the arrays.
    """

    content: Any
    arrays: dict[str, np.ndarray]
    described: dict[str, Description]

    def array(self, name: str) -> jax.Array:
        """An array by its name, for JAX.

        Raises:
            ValueError: if there is none, or JAX cannot hold it as it is.
        """
        if name not in self.arrays:
            raise ValueError(f"there is no array {name}")
        dtype, _ = self.described[name]
        array = jnp.array(self.arrays[name])
        if dtype.startswith(KEY):
            key: jax.Array = jax.random.wrap_key_data(array, impl=dtype.removeprefix(KEY))
            return key
        if array.dtype != DTYPES[dtype]:
            raise ValueError(f"array {name} is {dtype}, but jax_enable_x64 is now False")
        return array

    def restore(self, like: PyTree) -> PyTree:
        """The pytree whose arrays were written.

        Args:
            like: a pytree of the same structure; what is not an array is taken from it.

        Raises:
            ValueError: if its arrays differ in name, dtype or shape; it says in which.
        """
        wanted = {name: _describe(name, leaf) for name, leaf in named_arrays(like).items()}
        for name in {**wanted, **self.described}:
            if wanted.get(name) != self.described.get(name):
                raise ValueError(
                    f"array {name} is {_in_words(self.described.get(name))}, wanted is "
                    f"{_in_words(wanted.get(name))}"
                )

        def restored(path: Any, leaf: Any) -> Any:
            name = name_of(path)
            return self.arrays[name].copy() if isinstance(leaf, np.ndarray) else self.array(name)

        arrays, rest = eqx.partition(like, _is_array)
        return eqx.combine(jax.tree_util.tree_map_with_path(restored, arrays), rest)


def write(path: Path | str, kind: str, content: Any, arrays: PyTree = None) -> None:
    """Write an archive, whole or not at all; arguments and errors as of ``to_bytes``."""
    write_whole(path, to_bytes(kind, content, arrays))


def read(path: Path | str, kind: str) -> Archive:
    """Read an archive.

    Args:
        path: of the file.
        kind: as it was written.

    Raises:
        OSError: if the file cannot be read, or is not a regular file.
        ValueError: if it is damaged, or something else.
    """
    return from_bytes(read_whole(path), kind)


def to_bytes(kind: str, content: Any, arrays: PyTree = None) -> bytes:
    """An archive as bytes.

    Args:
        kind: what it holds, in one word.
        content: anything that JSON can hold.
        arrays: a pytree; its arrays, of JAX and of NumPy, are kept, and nothing else of it.

    Raises:
        TypeError: for an array of a dtype that is not in ``DTYPES``; it says of which.
    """
    named = named_arrays(arrays)
    described = {name: _describe(name, leaf) for name, leaf in named.items()}
    line = json.dumps({"arrays": described, "content": content}).encode()
    buffer = io.BytesIO()
    buffer.write(line + b"\n")
    flat = {name: stored(leaf) for name, leaf in named.items()}
    eqx.tree_serialise_leaves(buffer, flat, lambda file, array: file.write(array.tobytes()))
    payload = buffer.getvalue()
    checksum = hashlib.sha256(payload).hexdigest()
    return f"{FORMAT} {kind} {len(payload)} {checksum}\n".encode() + payload


def from_bytes(data: bytes, kind: str) -> Archive:
    """The archive that bytes are; arguments and errors as of ``read``."""
    archive, end = first_in(data, kind)
    if end != len(data):
        raise ValueError(f"it is damaged: {len(data) - end} bytes follow its end")
    return archive


def first_in(data: bytes, kind: str, begin: int = 0) -> tuple[Archive, int]:
    """The archive that begins at a byte, and the byte after its end; errors as of ``read``."""
    header = HEADER.match(data, begin)
    if header is None or not header[1].startswith(FORMAT[:-1].encode()):
        raise ValueError(f"it does not begin with {FORMAT!r}, as what this package writes does")
    for found, wanted, what in ((header[1], FORMAT, "format"), (header[2], kind, "kind")):
        if found.decode() != wanted:
            raise ValueError(f"its {what} is {found.decode()!r}, not {wanted!r}")
    payload = memoryview(data)[header.end() : header.end() + int(header[3])]
    if len(payload) != int(header[3]):
        raise ValueError(f"it is damaged: {int(header[3])} bytes follow, not {len(payload)}")
    if hashlib.sha256(payload).hexdigest().encode() != header[4]:
        raise ValueError("it is damaged: its checksum is not that of its content")
    end_of_line = data.find(b"\n", header.end())
    try:
        document = parse_json(data[header.end() : end_of_line])
        described = {name: _checked(name, *each) for name, each in document["arrays"].items()}
        arrays = _read_arrays(
            described, memoryview(data)[end_of_line + 1 : header.end() + len(payload)]
        )
        return Archive(document["content"], arrays, described), header.end() + len(payload)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"its description is not that of an archive ({error!r})") from error


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: if it is none, or is nested too deeply.
    """
    too_deep = ValueError(f"its JSON is nested more than {MAX_DEPTH} deep")
    try:
        value = json.loads(text)
    except RecursionError:
        raise too_deep from None
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [child for each in level for child in _children(each)]
    if level:
        raise too_deep
    return value


def named_arrays(tree: PyTree) -> dict[str, Any]:
    """The arrays of a pytree, of JAX and of NumPy, by their paths in it.

    Those of a dict come in its order, and not in the order of its names.
    """
    parts = [{name: part} for name, part in tree.items()] if isinstance(tree, dict) else [tree]
    leaves = [
        (name_of(path), leaf)
        for part in parts
        for path, leaf in jax.tree_util.tree_leaves_with_path(eqx.filter(part, _is_array))
    ]
    named = dict(leaves)
    if len(named) != len(leaves):
        raise ValueError(f"arrays must have names that differ, got {[name for name, _ in leaves]}")
    return named


def name_of(path: Any) -> str:
    """A path in a pytree as text: ``policy.cell.bias``."""
    return jax.tree_util.keystr(path, simple=True, separator=".")


def decimals(array: Any) -> Any:
    """The numbers of an array in nested lists, each as the shortest decimal that stands for it."""
    values = np.asarray(array)
    if values.dtype.kind in "biu":
        return values.tolist()
    shortest = [float(str(number)) for number in values.ravel()]
    return np.array(shortest).reshape(values.shape).tolist()


def is_key(leaf: Any) -> bool:
    """Whether this is an array of typed random keys."""
    return isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array | np.ndarray)


def stored(leaf: Any) -> np.ndarray:
    """The array of NumPy that is written for an array; of random keys their data."""
    return np.asarray(jax.random.key_data(leaf) if is_key(leaf) else leaf)


def _describe(name: str, leaf: Any) -> Description:
    """Dtype and shape of an array as it is stored, which is more than that of random keys."""
    dtype = f"{KEY}{jax.random.key_impl(leaf)}" if is_key(leaf) else leaf.dtype.name
    if not is_key(leaf) and dtype not in DTYPES:
        raise TypeError(f"{name} must be of one of the dtypes {', '.join(DTYPES)}, got {dtype}")
    return dtype, stored(leaf).shape


def _checked(name: str, dtype: Any, shape: Any) -> Description:
    """The description of an array in a file, if it is one."""
    if dtype not in DTYPES and not dtype.startswith(KEY):
        raise ValueError(f"array {name} has the unknown dtype {dtype!r}")
    sizes = [isinstance(size, int) and 0 <= size < 2**31 for size in shape]
    if not all(sizes) or len(sizes) > 32:
        raise ValueError(f"array {name} has the impossible shape {shape}")
    return dtype, tuple(shape)


def _read_arrays(described: dict[str, Description], body: memoryview) -> dict[str, np.ndarray]:
    """The arrays of the body; nothing is allocated for what is not there."""
    stored = {
        name: (DTYPES["uint32" if dtype.startswith(KEY) else dtype], shape)
        for name, (dtype, shape) in described.items()
    }
    n_bytes = sum(dtype.itemsize * math.prod(shape) for dtype, shape in stored.values())
    if n_bytes != len(body):
        raise ValueError(f"its arrays should take {n_bytes} bytes, and {len(body)} are there")
    like = {
        name: np.broadcast_to(np.zeros((), dtype), shape) for name, (dtype, shape) in stored.items()
    }

    def read_array(file: io.BytesIO, array: np.ndarray) -> np.ndarray:
        return np.frombuffer(file.read(array.nbytes), array.dtype).reshape(array.shape)

    arrays: dict[str, np.ndarray] = eqx.tree_deserialise_leaves(io.BytesIO(body), like, read_array)
    return {name: arrays[name] for name in described}


def _in_words(description: Description | None) -> str:
    return "absent" if description is None else f"{description[0]} of shape {description[1]}"
