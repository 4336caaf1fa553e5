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


def test_keyboard_interrupt_is_always_let_through_and_an_ordinary_error_never() -> None:
    with pytest.raises(KeyboardInterrupt):
        let_end(KeyboardInterrupt())
    let_end(ValueError())
    let_end(SystemExit())
