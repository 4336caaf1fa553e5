"""Which exceptions are the program's end, and which are only what a method of its own came up with."""

from __future__ import annotations

import signal
from functools import partial
from traceback import walk_tb
from typing import Any


def let_end(error: BaseException) -> None:
    """Let an end come that somebody asked for.

    A `__str__`, a filter or a formatter that raises SystemExit, or whatever else, fails like any other that raises. But
    a signal handler may have raised it while the method ran: then it is the program's, and not of the method.

    Raises:
        BaseException: `error` itself, if it is an end.
    """
    if is_end(error):
        raise error


def is_end(error: BaseException) -> bool:
    """Whether this is a KeyboardInterrupt, or came from a signal handler: an alarm may raise any exception."""
    return isinstance(error, KeyboardInterrupt) or raised_by_signal(error)


def raised_by_signal(error: BaseException) -> bool:
    """Whether a signal handler raised this, wherever the program was."""
    raising = {frame.f_code for frame, _line in walk_tb(error.__traceback__)}
    handlers = map(signal.getsignal, signal.valid_signals())
    return any(_code(handler) in raising for handler in handlers if callable(handler))


def _code(handler: Any) -> object:
    while isinstance(handler, partial):
        handler = handler.func
    return getattr(handler, "__code__", None) or getattr(type(handler).__call__, "__code__", None)
