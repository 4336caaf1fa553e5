"""Which records report the same trouble: those with the same fingerprint. This is what every alert costs.

Texts, and exceptions' own texts, vary: order numbers, addresses, times. Types of exceptions, and the places that raise
them, do not: another one is other trouble, wherever it turns up and whatever stands before it.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from logging import LogRecord
from types import TracebackType
from typing import Any

from alertlog.ending import let_end
from alertlog.shape import SHAPED, TRACE, TRACED, event_of, shape, told
from alertlog.traces import exception_of
from alertlog.values import NAME_LIMIT, sized, text_of

EXCEPTIONS = 1_000
"""How many causes and members of one exception are looked at."""


def alert_kind(record: LogRecord) -> str | None:
    """Return the kind that `extra={"alert": kind}` names; "" if it names none, None if the extra is not there."""
    kind = record.__dict__.get("alert")
    if kind is None or kind is False:
        return None
    return "" if kind is True else text_of(kind, NAME_LIMIT)


def fingerprint(record: LogRecord) -> str:
    """Return 16 hexadecimal digits, equal for records that report the same trouble.

    With a kind: the kind and the extra `alert_key`. Otherwise logger, level, message template, and for each
    exception, its causes and its members the type and the place that raised it. Never raises.
    """
    try:
        parts = "\x1f".join(_identity(record))
    except BaseException as error:
        let_end(error)
        place = text_of((record.__dict__.get("name"), record.__dict__.get("lineno")), NAME_LIMIT)
        parts = f"unreadable\x1f{place}\x1f{type(error).__name__}"
    return blake2b(parts.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def _identity(record: LogRecord) -> list[str]:
    kind = alert_kind(record)
    if kind:
        return ["kind", kind, text_of(record.__dict__.get("alert_key", ""), NAME_LIMIT)]
    message, arguments = record.msg, record.args
    if arguments and type(message) is str:
        parts = [record.name, str(record.levelno), message]
        if type(arguments) is tuple:
            _add_raised(arguments, parts)
        elif type(arguments) is dict:
            _add_raised(arguments.values(), parts)
        raised = exception_of(record) if record.exc_info else None
    else:
        raised = exception_of(record)
        parts = [record.name, str(record.levelno), *_said(message, raised)]
    if raised is not None:
        parts += _raised(raised)
    elif record.exc_text:  # from another process, or through a queue
        parts += told(sized(record.exc_text, TRACED)[0])
    return parts


def _add_raised(arguments: Iterable[Any], parts: list[str]) -> None:
    """Add what tells the exceptions among a template's arguments from others: `"failed: %s", error`."""
    for argument in arguments:
        kind = type(argument)
        if kind is str:
            if len(argument) > len(TRACE) and TRACE in argument:
                parts += told(argument)
        elif kind is not int and issubclass(kind, BaseException):
            parts += _raised(argument)


def _said(message: object, raised: BaseException | None) -> list[str]:
    """Return what tells a message without arguments from others; of an exception that it tells of, if none is there."""
    if isinstance(message, dict):  # structlog hands its event dict over
        event = message.get("event")
        if event is not None:
            formatted = message.get("exception") if raised is None else None
            return _preformatted(event, raised) + (_preformatted(formatted, None) if formatted else [])
    return _preformatted(message, raised)


def _preformatted(message: object, raised: BaseException | None) -> list[str]:
    if not isinstance(message, str):
        kind = type(message)
        own = _raised(message) if issubclass(kind, BaseException) else ()
        return [f"{kind.__module__}.{kind.__qualname__}", shape(text_of(message, SHAPED)), *own]
    at = message.find(TRACE)
    if at < 0:
        return [shape(event_of(message))]
    return [shape(event_of(message, at)), *(told(message[at:]) if raised is None else ())]


def _raised(value: Any) -> list[str]:
    """Return types and places of an exception, its causes and its members, each once: retries make chains longer."""
    found, seen, waiting = set[str](), set[int](), [value]
    while waiting and len(seen) < EXCEPTIONS:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        kind = type(one)
        found.add(f"{kind.__module__}.{kind.__qualname__} {_place(one.__traceback__)}")
        if one.__cause__ is not None:
            waiting.append(one.__cause__)
        elif not one.__suppress_context__:
            waiting.append(one.__context__)
        if issubclass(kind, BaseExceptionGroup):
            waiting += one.exceptions[:EXCEPTIONS]
    return sorted(found)


def _place(trace: TracebackType | None) -> str:
    if trace is None:
        return ""
    while trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
