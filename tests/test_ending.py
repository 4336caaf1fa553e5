"""Which exceptions end the program: those that a signal handler or Ctrl-C meant to, and no others."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from functools import partial

import pytest

from alertlog.ending import let_end


def stop(*_: object) -> None:
    sys.exit(3)


class Stop:
    def __call__(self, *_: object) -> None:
        stop()

    def method(self, *_: object) -> None:
        stop()


@pytest.mark.parametrize(
    "handler",
    [stop, lambda *_: stop(), Stop(), Stop().method, partial(stop), partial(partial(Stop().method, 1), 2)],
    ids=["function", "lambda", "object", "method", "partial", "nested partial"],
)
def test_system_exit_from_a_signal_handler_of_any_kind_is_let_through(handler: Callable[..., None]) -> None:
    before = signal.signal(signal.SIGALRM, handler)
    try:
        with pytest.raises(SystemExit) as caught:
            signal.raise_signal(signal.SIGALRM)
        with pytest.raises(SystemExit) as again:
            let_end(caught.value)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert again.value is caught.value


def test_system_exit_from_anywhere_else_is_no_end_also_where_signals_have_handlers() -> None:
    before = signal.signal(signal.SIGALRM, Stop())
    try:
        with pytest.raises(SystemExit) as caught:
            sys.exit(3)
        let_end(caught.value)
    finally:
        signal.signal(signal.SIGALRM, before)


def test_keyboard_interrupt_is_always_let_through_and_what_is_raised_by_itself_never() -> None:
    with pytest.raises(KeyboardInterrupt):
        let_end(KeyboardInterrupt())
    let_end(ValueError())
    let_end(SystemExit())
    let_end(GeneratorExit())


@pytest.mark.parametrize("error", [TimeoutError, GeneratorExit])
def test_whatever_a_signal_handler_raises_is_the_programs(error: type[BaseException]) -> None:
    def alarm(*_: object) -> None:
        raise error

    before = signal.signal(signal.SIGALRM, alarm)
    try:
        with pytest.raises(error) as caught:
            signal.raise_signal(signal.SIGALRM)
        with pytest.raises(error):
            let_end(caught.value)
    finally:
        signal.signal(signal.SIGALRM, before)


def test_a_signal_that_is_left_to_the_system_has_no_handler_to_raise_anything() -> None:
    """The default is a member of an enumeration, whose class is called when a `__str__` looks up a wrong value."""
    with pytest.raises(ValueError, match="not a valid") as caught:
        signal.Handlers(7)
    let_end(caught.value)
