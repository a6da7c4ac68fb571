"""Twenty ways in which a file may be damaged, by a crash, a disk, or somebody who means harm."""

from __future__ import annotations

import functools
import io
import os
import pickle
import random
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

PRECIOUS = b"what somebody has written\n"


@dataclass(frozen=True)
class Surroundings:
    """What is around a file that is damaged.

    Attributes:
        outside: a folder that nothing in the file's own folder may reach.
        foreign: the content of a file of another run.
    """

    outside: Path
    foreign: bytes

    @property
    def precious(self) -> Path:
        """A file that must stay as it is."""
        return self.outside / "precious"

    @property
    def sign(self) -> Path:
        """A file that is there as soon as a pickle was executed."""
        return self.outside / "executed"

    def prepare(self) -> None:
        """Make the folder with the precious file."""
        self.outside.mkdir(exist_ok=True)
        self.precious.write_bytes(PRECIOUS)

    def check(self) -> None:
        """Raise ``AssertionError`` if something outside was reached."""
        there = {path.name: path.read_bytes() for path in self.outside.iterdir()}
        assert there == {"precious": PRECIOUS}, there


class Harm:
    """Writes the sign when it is unpickled."""

    def __init__(self, sign: Path) -> None:
        self.sign = str(sign)

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, int]]:
        return os.open, (self.sign, os.O_CREAT | os.O_WRONLY)


@functools.cache
def bomb() -> bytes:
    """A zip file of a hundred kilobytes that unpacks to a hundred megabytes."""
    return zipped("model.npy", bytes(100 * 2**20))


def zipped(name: str, content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return file.getvalue()


def flipped(content: bytes) -> bytes:
    place = random.randrange(len(content))
    return (
        content[:place] + bytes([content[place] ^ 1 << random.randrange(8)]) + content[place + 1 :]
    )


def overwritten(content: bytes) -> bytes:
    place, length = random.randrange(len(content)), random.randrange(1, 200)
    return content[:place] + random.randbytes(length) + content[place + length :]


def with_huge_numbers(content: bytes) -> bytes:
    """Every number near the beginning, where sizes are, becomes a size that no memory has."""
    return re.sub(rb"\d+", b"1" + b"0" * 17, content[:4000]) + content[4000:]


CONTENTS: dict[str, Callable[[bytes, Surroundings], bytes]] = {
    "emptied": lambda content, around: b"",
    "cut": lambda content, around: content[: random.randrange(len(content))],
    "flipped": lambda content, around: flipped(content),
    "overwritten": lambda content, around: overwritten(content),
    "zeroed": lambda content, around: bytes(len(content)),
    "doubled": lambda content, around: 2 * content,
    "foreign": lambda content, around: around.foreign,
    "encoded": lambda content, around: content.decode("latin-1").encode("utf-16"),
    "deep": lambda content, around: b"[" * 10**6,
    "huge": lambda content, around: with_huge_numbers(content),
    "bomb": lambda content, around: bomb(),
    "pickle": lambda content, around: pickle.dumps(Harm(around.sign)),
    "zipped pickle": lambda content, around: zipped("data.pkl", pickle.dumps(Harm(around.sign))),
}
"""Another content, by the name of the damage."""

REPLACEMENTS: dict[str, Callable[[Path, Surroundings], None]] = {
    "removed": lambda path, around: None,
    "folder": lambda path, around: path.mkdir(),
    "pipe": lambda path, around: os.mkfifo(path),
    "endless": lambda path, around: path.symlink_to("/dev/zero"),
    "link": lambda path, around: path.symlink_to(around.precious),
    "second name": lambda path, around: path.hardlink_to(around.precious),
    "link to nowhere": lambda path, around: path.symlink_to(around.outside / "new"),
}
"""Something else in the place of the file."""

DAMAGES = (*CONTENTS, *REPLACEMENTS)


def damage(path: Path, how: str, around: Surroundings) -> None:
    """Damage a file, which need not be there."""
    content = path.read_bytes() if path.exists() else b"nothing"
    path.unlink(missing_ok=True)
    if how in CONTENTS:
        path.write_bytes(CONTENTS[how](content, around))
    else:
        REPLACEMENTS[how](path, around)
