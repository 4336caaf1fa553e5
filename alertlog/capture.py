"""From a log record to an Alert, on the thread that logged it: no broken record can break this.

`fingerprint` is what every record costs; `snapshot` is what one costs that opens an incident or becomes a sample.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator
from functools import partial
from hashlib import blake2b
from itertools import islice
from types import TracebackType
from typing import Any, Protocol, cast

from alertlog.alert import Alert, Line
from alertlog.traces import exception_line, links, traceback_text
from alertlog.values import cut, moment, sized, text_of

__all__ = ["Redacts", "alert_kind", "cut", "fingerprint", "shape", "snapshot", "stub", "text_of"]

MESSAGE_LIMIT = 65_536
"""Characters kept of a message, a formatter's text or a traceback."""
EXTRA_LIMIT = 4_096
"""Characters kept of one extra's value."""
NAME_LIMIT = 200
"""Characters kept of a kind, a logger's name, an extra's name and other short texts."""
EXTRAS_LIMIT = 64
"""Extras kept of one record."""

_LARGEST = 2**63 - 1
_SLACK = 1_024  # Redact before the last cut: half a secret left by a first one would not be known again.
# Not makeLogRecord(), which calls the program's own record factory: what that adds is an extra, and it may raise.
_STANDARD = frozenset(logging.LogRecord("", 0, "", 0, "", (), None).__dict__) | {"message", "asctime", "taskName"}
_OWN = frozenset({"alert", "alert_key", "resolved"})
_NOT_EXTRAS = _STANDARD | _OWN

# What differs between two reports of the same trouble: e-mail addresses, UUIDs, dates and times, hexadecimal
# numbers, paths, numbers. One alternation, each branch anchored by its first characters: linear time.
_VARIES = re.compile(
    r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}"
    r"|\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b"
    r"|\b0[xX][0-9a-fA-F]+"
    r"|\b(?=[0-9a-fA-F]{0,64}[0-9])[0-9a-fA-F]{8,64}\b"
    r"|(?<![\w.])(?:[A-Za-z]:)?(?:[/\\][\w.@%+-]{1,255}){2,64}"
    r"|\d+(?:[.,:/TZ-]\d+)*"
)
_PREFORMATTED_LIMIT = 1_000


class Redacts(Protocol):
    """What capturing needs of a Redactor: an alert is at rest in the journal, so it goes there clean."""

    def text(self, text: str) -> str: ...
    def extra(self, name: str, value: str) -> str: ...


def alert_kind(record: logging.LogRecord) -> str | None:
    """Return the kind that `extra={"alert": kind}` names; "" if it names none, None if the extra is not there."""
    kind = record.__dict__.get("alert")
    if kind is None or kind is False:
        return None
    return "" if kind is True else text_of(kind, NAME_LIMIT)


def fingerprint(record: logging.LogRecord) -> str:
    """Return 16 hexadecimal digits, equal for records that report the same trouble.

    With a kind: the kind and the extra `alert_key`. Otherwise logger, level, message template, and for each
    exception of the chain its type and the place that raised it. Never raises.
    """
    try:
        parts = "\x1f".join(_identity(record))
    except Exception as error:
        place = text_of((record.name, record.lineno), NAME_LIMIT)
        parts = f"unreadable\x1f{place}\x1f{type(error).__name__}"
    return blake2b(parts.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def _identity(record: logging.LogRecord) -> list[str]:
    kind = alert_kind(record)
    if kind:
        return ["kind", kind, text_of(record.__dict__.get("alert_key", ""), NAME_LIMIT)]
    parts = [record.name, str(record.levelno), _template(record)]
    if record.exc_info:
        parts.extend(_raised(exception_of(record)))
    return parts


def _template(record: logging.LogRecord) -> str:
    message = record.msg
    if isinstance(message, dict):  # structlog hands its event dict over
        message = message.get("event", message)
    if isinstance(message, str):
        return message if record.args else shape(message)
    return f"{type(message).__qualname__}:{shape(text_of(message, _PREFORMATTED_LIMIT))}"


def shape(text: str) -> str:
    """Return a pre-formatted text without what varies from one report to the next."""
    return _VARIES.sub("#", text[:_PREFORMATTED_LIMIT])


def _raised(value: BaseException | None) -> Iterator[str]:
    for link, _joint in islice(links(value), 5) if value else ():
        yield type(link).__qualname__
        yield _place(link.__traceback__)
        if isinstance(link, BaseExceptionGroup):
            yield from (type(member).__qualname__ for member in link.exceptions[:5])


def _place(trace: TracebackType | None) -> str:
    if trace is None:
        return ""
    while trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"


def snapshot(
    record: logging.LogRecord,
    fingerprint: str,
    redactor: Redacts,
    *,
    host: str = "",
    text: str = "",
    subject: str = "",
    problem: str = "",
    context: tuple[Line, ...] = (),
) -> Alert:
    """Take what a mail will need from a record: everything as text, redacted, cut to size. Never raises.

    Args:
        text: what the user's own formatter made of it, if there is one.
        subject: what the user's own `getSubject` made of it.
        problem: what already went wrong with it.
        context: what came before it, redacted and cut to size already.
    """
    fields = record.__dict__
    message, failure = message_of(record)
    value = exception_of(record)
    return Alert(
        fingerprint=fingerprint,
        kind=alert_kind(record) or "",
        level=_number(record.levelno),
        levelname=text_of(record.levelname, NAME_LIMIT),
        logger=text_of(record.name, NAME_LIMIT),
        message=_clean(message, MESSAGE_LIMIT, redactor),
        created=moment(record.created, time.time()),
        extras=_extras(fields, redactor),
        text=_clean(text, MESSAGE_LIMIT, redactor),
        subject=_clean(subject, NAME_LIMIT * 5, redactor),
        exception=_clean("" if value is None else exception_line(value), NAME_LIMIT * 5, redactor),
        traceback=_clean(_traceback(record, value), MESSAGE_LIMIT, redactor),
        path=text_of(record.pathname, EXTRA_LIMIT),
        line=_number(record.lineno),
        function=_name(record.funcName),
        host=host,
        pid=_number(record.process),
        process=_name(record.processName),
        thread=_name(record.threadName),
        task=_name(fields.get("taskName")),
        problem=_clean(f"{problem}; {failure}" if problem and failure else problem or failure, EXTRA_LIMIT, redactor),
        resolved=fields.get("resolved") is True,
        context=context,
    )


def _name(value: object) -> str:
    return "" if value is None else text_of(value, NAME_LIMIT)


def stub(record: logging.LogRecord, fingerprint: str, error: BaseException, redactor: Redacts) -> Alert:
    """Return the least that can be said of a record that `snapshot` could not take, and why.

    Raises:
        Exception: what the redactor raises; what it has not seen must not get into a journal.
    """
    return Alert(
        fingerprint=fingerprint,
        kind="",
        level=_number(record.levelno) or logging.CRITICAL,
        levelname=text_of(record.levelname, NAME_LIMIT),
        logger=text_of(record.name, NAME_LIMIT),
        message=_clean(sized(record.msg, MESSAGE_LIMIT)[0], MESSAGE_LIMIT, redactor),
        created=time.time(),
        problem=redactor.text(f"the record could not be captured: {exception_line(error)}"),
    )


def message_of(record: logging.LogRecord) -> tuple[str, str]:
    """Return a record's text and, where it has to be its raw parts, why. Never raises."""
    try:
        message: Any = record.getMessage()  # a program's own kind of record may return anything
        return (message if type(message) is str else sized(message, MESSAGE_LIMIT)[0]), ""
    except Exception as error:
        arguments: Any = record.args
        none = arguments is None or (type(arguments) is tuple and not arguments)  # any other kind may raise if asked
        raw = [sized(part, MESSAGE_LIMIT)[0] for part in ((record.msg,) if none else (record.msg, arguments))]
        return " ".join(raw).rstrip(), f"the message could not be formatted: {exception_line(error)}"


def exception_of(record: logging.LogRecord) -> BaseException | None:
    """Return the exception that a record was logged with."""
    info: Any = record.exc_info  # a record that was rebuilt from what another process sent may have anything there
    # By type(): isinstance() asks a proxy for the class it pretends to be, and that may raise.
    value = info[1] if issubclass(type(info), tuple) and len(info) > 1 else info
    return value if issubclass(type(value), BaseException) else None


def _traceback(record: logging.LogRecord, value: BaseException | None) -> str:
    if value is None and record.exc_text is None and record.stack_info is None:
        return ""
    try:
        text = _shown(record.exc_text) if value is None else traceback_text(value)
    except Exception as error:
        text = f"the traceback could not be formatted: {exception_line(error)}"
    stack = _shown(record.stack_info)
    return f"{text}\n{stack}".strip("\n") if stack else text


def _shown(value: object) -> str:
    return "" if value is None else sized(value, MESSAGE_LIMIT)[0]


def _extras(fields: dict[str, Any], redactor: Redacts) -> tuple[tuple[str, str], ...]:
    names = [name for name in list(fields) if name not in _NOT_EXTRAS]
    extras = [_extra(text_of(name, NAME_LIMIT), fields[name], redactor) for name in names[:EXTRAS_LIMIT]]
    if len(names) > EXTRAS_LIMIT:
        extras.append(("...", f"{len(names) - EXTRAS_LIMIT:,} further extras are left out"))
    return tuple(extras)


def _extra(name: str, value: object, redactor: Redacts) -> tuple[str, str]:
    if type(value) is str and len(value) <= EXTRA_LIMIT:  # most are, and a new alert is to be quick
        return name, cut(redactor.extra(name, value), EXTRA_LIMIT)
    text, size = sized(value, EXTRA_LIMIT + _SLACK)
    return name, _cut_clean(text, EXTRA_LIMIT, partial(redactor.extra, name), size)


def _clean(text: str, limit: int, redactor: Redacts) -> str:
    if len(text) <= limit:
        return cut(redactor.text(text), limit) if text else ""
    return _cut_clean(text, limit, redactor.text, f"{len(text):,} characters")


def _cut_clean(text: str, limit: int, redact: Callable[[str], str], size: str) -> str:
    """Redact, then cut. Of what had to be cut before, the end goes as well: it may be half a secret."""
    if len(text) <= limit + _SLACK:
        return cut(redact(text), limit, size)
    clean = redact(text[: limit + _SLACK])
    return f"{clean[: min(limit, max(0, len(clean) - _SLACK))]} [... cut, {size} in all]"


def _number(value: object) -> int:
    """Return a number as a database can keep it (64 bits), 0 for what is none."""
    kind = type(value)
    number = cast(int, value) if kind is int or issubclass(kind, int) else 0
    return max(-_LARGEST, min(number, _LARGEST))
