"""SIGTERM while servers start interrupts, wherever it comes."""

from __future__ import annotations

import os
import signal
import time

import pytest

from reconciler.embedded.stack import termination_interrupts


class _Fragile:
    """Is told to end in the one place where Python drops exceptions."""

    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0)  # the handler runs between two steps of ours


def _ended_by(number: int) -> None:
    os.kill(os.getpid(), number)
    pytest.fail("it went on")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_the_signal_interrupts_what_goes_on(number: int) -> None:
    with pytest.raises(KeyboardInterrupt), termination_interrupts():
        _ended_by(number)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_signal_that_python_drops_interrupts_at_the_end() -> None:
    doomed = [_Fragile()]
    with pytest.raises(KeyboardInterrupt), termination_interrupts():
        doomed.clear()


def test_the_handlers_of_before_are_back_afterwards() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with termination_interrupts():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before
