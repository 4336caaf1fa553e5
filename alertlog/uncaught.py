"""Exceptions that nobody caught, as critical records of one handler.

They come from the main thread, other threads, asyncio tasks, and finalizers (`sys.unraisablehook`). Earlier hooks run
as before, whatever happens here. asyncio has no hook but its loop's owner's. An exception in a task that nobody awaits
is logged by the loop, as an error of the logger `asyncio`: that is taken up.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeAlias
from weakref import ReferenceType, ref

from alertlog.ending import let_end
from alertlog.smtp_view import SettingsView

LOGGER = "uncaught"
"""The logger that the records name; none of that name is asked."""
ASYNCIO = "asyncio"

_ENDS = (KeyboardInterrupt, SystemExit)
_Handler: TypeAlias = "ReferenceType[SettingsView]"
_Lost: TypeAlias = Callable[[BaseException], None]


class Uncaught:
    """What one handler has put in the interpreter's hooks. They hold it weakly, and go with it."""

    def __init__(self, handler: SettingsView) -> None:
        """Installs nothing yet."""
        self._handler = ref(handler, self._gone)
        self._hooks: list[_Hook] = []
        self._tasks: _Tasks | None = None
        self._logger: logging.Logger | None = None

    def install(self) -> None:
        """Stand before the hooks that are there, and listen to asyncio if that is at work already.

        It is done when logging is configured, not at the first record: a program may end before it logs anything.
        """
        self._hooks = [
            _Hook(sys, "excepthook", self._main, self._lost),
            _Hook(threading, "excepthook", self._thread, self._lost),
            _Hook(sys, "unraisablehook", self._unraisable, self._lost),
        ]
        self._tasks = _Tasks(self._handler, self._tell, self._lost)
        # A logger made now would be one that exists when a `dictConfig` under way comes to disable those.
        if ASYNCIO in logging.root.manager.loggerDict:
            self.listen()

    def listen(self) -> None:
        """Listen to asyncio, also where it is not imported yet: logging is set up by now."""
        if self._tasks is not None and self._logger is None:
            self._logger = logging.getLogger(ASYNCIO)
            self._logger.addHandler(self._tasks)

    def missed(self, record: logging.LogRecord) -> None:
        """Take up the record that brought us to listen, if it is asyncio's: its logger is past asking us."""
        if record.name == ASYNCIO and self._tasks is not None:
            self._tasks.handle(record)

    def remove(self) -> None:
        """Take our hooks out. One that somebody has since wrapped stays in place and only calls the earlier one."""
        for hook in self._hooks:
            hook.remove()
        self._hooks = []
        tasks, logger = self._tasks, self._logger
        self._tasks = self._logger = None
        if tasks is not None and logger is not None and tasks in logger.handlers:
            logger.handlers.remove(tasks)  # not removeHandler(), which waits for a lock: a collection may bring us here

    def _gone(self, _handler: _Handler) -> None:
        self.remove()

    # What the hooks are called with

    def _main(self, kind: type[BaseException], value: BaseException, trace: TracebackType | None) -> None:
        self._tell(f"Uncaught {kind.__qualname__}", (), (kind, value, trace), {})

    def _thread(self, args: threading.ExceptHookArgs) -> None:
        name = "" if args.thread is None else args.thread.name
        message = f"Uncaught {args.exc_type.__qualname__} in thread %s"
        self._tell(message, (name,), (args.exc_type, args.exc_value, args.exc_traceback), {})

    def _unraisable(self, args: Any) -> None:
        # Only its name: a record that is kept would bring back to life what is being finalized.
        where = getattr(args.object, "__qualname__", None) or type(args.object).__qualname__
        message = f"Ignored {args.exc_type.__qualname__} in %s"
        self._tell(message, (str(where),), (args.exc_type, args.exc_value, args.exc_traceback), {})

    def _tell(self, message: str, arguments: tuple[str, ...], info: Any, extras: dict[str, str]) -> None:
        """Hand a record to the handler as a logger would, which no configuration can have disabled."""
        handler = self._handler()
        if handler is None or _is_end(info[1]) or handler.level > logging.CRITICAL:
            return
        path, line, function = _place(info[2])
        record = logging.LogRecord(LOGGER, logging.CRITICAL, path, line, message, arguments, info, function)
        record.__dict__.update(extras)
        try:
            handler.handle(record)
        except (Exception, SystemExit) as error:  # it must never hide what the program has met with
            self._lost(error, record)

    def _lost(self, error: BaseException, record: logging.LogRecord | None = None) -> None:
        """Say that an alert is lost.

        Raises:
            BaseException: `error` itself, if it is an end that somebody asked for.
        """
        let_end(error)
        handler = self._handler()
        if handler is None:
            return
        record = record or logging.LogRecord(LOGGER, logging.CRITICAL, "", 0, "an uncaught exception", (), None)
        try:
            handler.works.report_capture(record, f"{type(error).__name__}: {error}")
        except (Exception, SystemExit) as late:
            let_end(late)
            handler.handleError(record)


class _Hook:
    """Stands before another hook of the interpreter, which runs in any case."""

    def __init__(self, module: Any, name: str, take: Callable[..., None], lost: _Lost) -> None:
        self._module = module
        self._name = name
        self._take: Callable[..., None] | None = take
        self._lost = lost
        self._earlier: Callable[..., object] = getattr(module, name)
        setattr(module, name, self)

    def __call__(self, *arguments: Any) -> None:
        take = self._take
        try:
            if take is not None:
                take(*arguments)
        except (Exception, SystemExit) as error:
            self._lost(error)
        finally:
            self._earlier(*arguments)

    def remove(self) -> None:
        """Go, with those below that could not go when they were to, because this one stood before them."""
        self._take = None
        first = getattr(self._module, self._name)
        while isinstance(first, _Hook) and first._take is None:
            first = first._earlier
        setattr(self._module, self._name, first)


class _Tasks(logging.Handler):
    """Takes up the errors that asyncio logs with an exception, where the handler would not mail them by itself."""

    def __init__(self, handler: _Handler, tell: Callable[..., None], lost: _Lost) -> None:
        super().__init__(logging.ERROR)
        self._handler = handler
        self._tell = tell
        self._lost = lost

    def emit(self, record: logging.LogRecord) -> None:
        handler = self._handler()
        if handler is None or not record.exc_info or _mails(handler, record):
            return
        try:
            kind = record.exc_info[0]
            name = "exception" if kind is None else kind.__qualname__
            self._tell(f"Uncaught {name} in asyncio", (), record.exc_info, {"asyncio": record.getMessage()})
        except Exception as error:  # it must not end the task that logs
            self._lost(error)


def _mails(handler: SettingsView, record: logging.LogRecord) -> bool:
    """Whether a record that asyncio logs reaches the handler, and is an alert there."""
    if record.levelno < max(handler.level, handler.alert_level):
        return False
    place: logging.Logger | None = logging.getLogger(record.name)
    while place is not None:
        if handler in place.handlers:
            return True
        place = place.parent if place.propagate else None
    return False


def _is_end(value: BaseException | None) -> bool:
    """Whether somebody wanted the program to end, also where several tasks say so at once."""
    if not isinstance(value, BaseExceptionGroup):
        return isinstance(value, _ENDS)
    return value.subgroup(lambda one: not isinstance(one, (*_ENDS, BaseExceptionGroup))) is None


def _place(trace: TracebackType | None) -> tuple[str, int, str]:
    """Return file, line and function in which an exception was raised."""
    if trace is None:
        return "", 0, ""
    while trace.tb_next is not None:
        trace = trace.tb_next
    code = trace.tb_frame.f_code
    return code.co_filename, trace.tb_lineno, code.co_name
