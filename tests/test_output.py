"""Output that fails costs nothing but itself."""

import errno
import io
import os
import subprocess
import sys

import pytest
from tqdm import tqdm

from agents.storage import output
from agents.storage.output import TolerantStream, reporter, tolerant_output


@pytest.mark.parametrize(
    "error",
    [
        BrokenPipeError(errno.EPIPE, "Broken pipe"),
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EIO, "Input/output error"),
        ValueError("I/O operation on closed file."),
        AttributeError("'NoneType' object has no attribute 'write'"),
    ],
)
def test_what_cannot_be_printed_is_left_out_and_nothing_more_is_tried(error):
    tried = []

    def write(text):
        tried.append(text)
        if len(tried) == 2:
            raise error

    report = reporter(write)
    for text in ("one", "two", "three"):
        report(text)
    assert tried == ["one", "two"]


@pytest.mark.parametrize(
    "error",
    [
        KeyError("x"),
        ValueError("mine"),
        AttributeError("y"),
        FileNotFoundError(2, "no"),
        KeyboardInterrupt(),
    ],
)
def test_what_is_not_of_the_output_is_raised(error):
    def write(text):
        raise error

    with pytest.raises(type(error)):
        reporter(write)("text")


def test_silence():
    reporter(None)("text")


def test_characters_that_cannot_be_printed_are_replaced():
    raw = io.BytesIO()
    ascii_only = io.TextIOWrapper(raw, encoding="ascii")
    report = reporter(lambda text: print(text, file=ascii_only, flush=True))
    report("Δv in the folder")
    report("and on")
    assert raw.getvalue() == b"?v in the folder\nand on\n"


@pytest.mark.parametrize("stream", [None, "closed", "full"])
def test_a_progress_bar_survives_its_stream(stream):
    if stream == "closed":
        stream = io.StringIO()
        stream.close()
    elif stream == "full":
        stream = open("/dev/full", "w")  # noqa: SIM115
    with tqdm(total=2, file=TolerantStream(stream), mininterval=0) as bar:
        bar.update(1)
        tqdm.write("text", file=TolerantStream(stream))
        bar.update(1)
    if stream is not None and not stream.closed:
        with pytest.raises(OSError, match="No space left"):
            stream.close()


def test_a_stream_passes_on_what_it_is():
    inner = io.StringIO()
    stream = TolerantStream(inner)
    assert stream.write("text") == 4
    assert (inner.getvalue(), stream.isatty(), stream.encoding) == ("text", False, None)
    assert TolerantStream(None).write("text") == 4


def test_what_is_printed_within_never_fails(capsys):
    before = sys.stdout, sys.stderr
    with tolerant_output():
        sys.stdout.write("Δv\n")
    assert (sys.stdout, sys.stderr) == before
    assert capsys.readouterr().out == "Δv\n"


# Only this module is loaded there: the package itself takes seconds.
PRINT = """
import runpy, sys
with runpy.run_path(sys.argv[1])["tolerant_output"]():
    for index in range(10_000):
        print("Δv", index)
        print("Δv", index, file=sys.stderr)
sys.exit(7)
"""


@pytest.mark.parametrize(
    "redirection", ["| head -1", "> /dev/full", ">&-", "2>/dev/full", "2>&-", "> /dev/full 2>&1"]
)
def test_a_process_ends_as_if_its_output_were_read(redirection):
    script = f'("$0" -c "$1" "$2"; echo "status $?" >&3) {redirection}'
    result = subprocess.run(
        ["bash", "-c", f"exec 3>&1; {script}", sys.executable, PRINT, output.__file__],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        check=False,
    )
    assert "status 7" in result.stdout
    assert "Traceback" not in result.stderr
    assert "Exception" not in result.stderr
