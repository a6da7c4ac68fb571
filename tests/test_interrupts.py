"""Signals are noted where they can be, and left alone where they cannot."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from agents.storage import interrupts
from agents.storage.interrupts import WATCHED, Interrupted, requests_to_stop

pytestmark = pytest.mark.optimised


@pytest.fixture(autouse=True)
def handlers():
    """Handlers are afterwards as they were before."""
    before = {number: signal.getsignal(number) for number in WATCHED}
    yield
    for number, handler in before.items():
        assert signal.getsignal(number) == handler
        signal.signal(number, handler)
    interrupts._noted.clear()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_is_noted_and_the_second_acts_as_always(number):
    acted = []
    usual = signal.signal(number, lambda *_: acted.append(number))
    try:
        with requests_to_stop() as request:
            assert request.signal is None
            os.kill(os.getpid(), number)
            assert (request.signal, acted) == (number, [])
            os.kill(os.getpid(), number)
            assert acted == [number]
    finally:
        signal.signal(number, usual)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_what_is_ignored_stays_ignored(number):
    """As Ctrl-C is by the background jobs of a script, and a hangup by nohup."""
    usual = signal.signal(number, signal.SIG_IGN)
    try:
        with requests_to_stop() as request:
            os.kill(os.getpid(), number)
        assert request.signal is None
        assert signal.getsignal(number) is signal.SIG_IGN
    finally:
        signal.signal(number, usual)


def test_other_threads_can_train_too_and_never_hear_of_signals():
    heard = []

    def work():
        with requests_to_stop() as request:
            heard.append(request.signal)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert heard == [None]


def test_an_interruption_has_what_there_is_and_no_traceback_in_a_notebook():
    stop = Interrupted("stopped", signal.SIGINT, "policy", "history", "Resume it.")
    assert (stop.signal, stop.policy, stop.history) == (signal.SIGINT, "policy", "history")
    first, second, third = stop._render_traceback_()
    assert (first, third) == ("Interrupted: stopped", "Resume it.")
    assert "sys.last_value.policy" in second
    lines = Interrupted("while compiling", signal.SIGINT)._render_traceback_()
    assert lines == ["Interrupted: while compiling"]


# Only this module is loaded there: the package itself takes seconds.
COMMAND = """
import atexit, runpy, sys, time
interrupts = runpy.run_path(sys.argv[1])

def wait(name):
    print(name, flush=True)
    time.sleep(20)

def command():
    where = sys.argv[2]
    try:
        if where == "training":
            with interrupts["requests_to_stop"]() as request:
                print("ready", flush=True)
                while request.signal is None:
                    time.sleep(0.01)
                wait(f"noted {request.signal}")
        elif where == "work":
            wait("ready")
    except KeyboardInterrupt:
        print("interrupted", flush=True)
        if where == "work":
            wait("cleaning up")
        raise SystemExit(130)

class Slow:
    def __del__(self):
        wait("ready")

if sys.argv[2] == "exit":
    atexit.register(wait, "ready")
if sys.argv[2] == "destructor":
    slow = Slow()
    original = command
    def command():
        global slow
        del slow
        time.sleep(20)
interrupts["run_as_process"](command)
"""


@pytest.mark.parametrize(
    ("where", "printed"),
    [
        ("work", ["ready", "cleaning up"]),
        ("training", ["ready", "noted 2"]),
        ("exit", ["ready"]),
        ("destructor", ["ready"]),
    ],
)
def test_the_last_ctrl_c_of_a_command_ends_it_at_once_in_one_line(where, printed):
    command = [sys.executable, "-c", COMMAND, interrupts.__file__, where]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    begun = time.monotonic()
    with subprocess.Popen(command, **pipes) as process:
        for line in printed:
            # Interrupted while it is asleep; what it printed before is read over.
            while (read := process.stdout.readline()) != f"{line}\n":
                assert read, f"it ended before it printed {line!r}"
            process.send_signal(signal.SIGINT)
        output, errors = process.communicate()
    assert (process.returncode, errors, output) == (130, "stopped\n", "")
    assert time.monotonic() - begun < 15
