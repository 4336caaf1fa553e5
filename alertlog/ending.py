"""Which exceptions are the program's end, and which are only what a method of its own came up with."""

from __future__ import annotations

import signal
from functools import partial
from traceback import walk_tb
from typing import Any


def let_end(error: BaseException) -> None:
    """Let an end come that somebody asked for.

    A `__str__`, a filter or a formatter that raises SystemExit fails like any other that raises. But a signal handler
    may have raised it while the method ran: then the process is meant.

    Raises:
        BaseException: `error` itself, if it is a KeyboardInterrupt or came from a signal handler.
    """
    if isinstance(error, KeyboardInterrupt) or (isinstance(error, SystemExit) and raised_by_signal(error)):
        raise error


def raised_by_signal(error: BaseException) -> bool:
    """Whether a signal handler raised this, wherever the program was."""
    raising = {frame.f_code for frame, _line in walk_tb(error.__traceback__)}
    return any(_code(signal.getsignal(number)) in raising for number in signal.valid_signals())


def _code(handler: Any) -> object:
    while isinstance(handler, partial):
        handler = handler.func
    return getattr(handler, "__code__", None) or getattr(type(handler).__call__, "__code__", None)
