"""Signals are noted where they can be, and left alone where they cannot."""

import os
import signal
import threading

import pytest

from agents.storage.interrupts import requests_to_stop


@pytest.fixture(autouse=True)
def handlers():
    """Handlers are afterwards as they were before."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        assert signal.getsignal(number) == handler
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
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


def test_what_is_ignored_stays_ignored():
    """As Ctrl-C is by the background jobs of a script."""
    usual = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with requests_to_stop() as request:
            os.kill(os.getpid(), signal.SIGINT)
        assert request.signal is None
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, usual)


def test_other_threads_can_train_too_and_never_hear_of_signals():
    heard = []

    def work():
        with requests_to_stop() as request:
            heard.append(request.signal)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert heard == [None]
