"""From a log record to an Alert, on the thread that logged it: no broken record can break this.

`fingerprint` is what every record costs; `snapshot` is what one costs that opens an incident or becomes a sample.
"""

from __future__ import annotations

import logging
import re
import reprlib
import time
from collections.abc import Iterator
from hashlib import blake2b
from itertools import islice
from types import TracebackType
from typing import Any, Protocol

from alertlog.alert import Alert
from alertlog.traces import exception_line, links, traceback_text

MESSAGE_LIMIT = 65_536
"""Characters kept of a message, a formatter's text or a traceback."""
EXTRA_LIMIT = 4_096
"""Characters kept of one extra's value."""
NAME_LIMIT = 200
"""Characters kept of a kind, a logger's name, an extra's name and other short texts."""
EXTRAS_LIMIT = 64
"""Extras kept of one record."""

_SLACK = 1_024  # Redact before the last cut: half a secret left by a first one would not be known again.
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
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
        parts = f"unreadable\x1f{record.name}\x1f{record.lineno}\x1f{type(error).__name__}"
    return blake2b(parts.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def _identity(record: logging.LogRecord) -> list[str]:
    kind = alert_kind(record)
    if kind:
        return ["kind", kind, text_of(record.__dict__.get("alert_key", ""), NAME_LIMIT)]
    parts = [record.name, str(record.levelno), _template(record)]
    if record.exc_info:
        parts.extend(_raised(record.exc_info[1]))
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
    if isinstance(value, BaseException):
        for link, _joint in islice(links(value), 5):
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
) -> Alert:
    """Take what a mail will need from a record: everything as text, redacted, cut to size. Never raises.

    Args:
        text: what the user's own formatter made of it, if there is one.
        subject: what the user's own `getSubject` made of it.
        problem: what already went wrong with it.
    """
    fields = record.__dict__
    message, failure = _message(record)
    value = record.exc_info[1] if record.exc_info else None
    return Alert(
        fingerprint=fingerprint,
        kind=alert_kind(record) or "",
        level=_number(record.levelno),
        levelname=text_of(record.levelname, NAME_LIMIT),
        logger=text_of(record.name, NAME_LIMIT),
        message=_clean(message, MESSAGE_LIMIT, redactor),
        created=float(record.created),
        extras=_extras(fields, redactor),
        text=_clean(text, MESSAGE_LIMIT, redactor),
        subject=_clean(subject, NAME_LIMIT * 5, redactor),
        exception=_clean(_named(value), NAME_LIMIT * 5, redactor),
        traceback=_clean(_traceback(record, value), MESSAGE_LIMIT, redactor),
        path=text_of(record.pathname, EXTRA_LIMIT),
        line=_number(record.lineno),
        function=text_of(record.funcName or "", NAME_LIMIT),
        host=host,
        pid=_number(record.process),
        process=text_of(record.processName or "", NAME_LIMIT),
        thread=text_of(record.threadName or "", NAME_LIMIT),
        task=text_of(fields.get("taskName") or "", NAME_LIMIT),
        problem=_clean(f"{problem}; {failure}" if problem and failure else problem or failure, EXTRA_LIMIT, redactor),
        resolved=fields.get("resolved") is True,
    )


def stub(record: logging.LogRecord, fingerprint: str, error: BaseException) -> Alert:
    """Return the least that can be said of a record that `snapshot` could not take, and why."""
    return Alert(
        fingerprint=fingerprint,
        kind="",
        level=_number(record.levelno) or logging.CRITICAL,
        levelname=text_of(record.levelname, NAME_LIMIT),
        logger=text_of(record.name, NAME_LIMIT),
        message=text_of(record.msg, MESSAGE_LIMIT),
        created=time.time(),
        problem=f"the record could not be captured: {exception_line(error)}",
    )


def _message(record: logging.LogRecord) -> tuple[str, str]:
    try:
        return record.getMessage(), ""
    except Exception as error:
        raw = (
            f"{text_of(record.msg, MESSAGE_LIMIT)} {_bounded(record.args)}"
            if record.args
            else text_of(record.msg, MESSAGE_LIMIT)
        )
        return raw, f"the message could not be formatted: {exception_line(error)}"


def _named(value: BaseException | None) -> str:
    return exception_line(value) if isinstance(value, BaseException) else ""


def _traceback(record: logging.LogRecord, value: BaseException | None) -> str:
    if isinstance(value, BaseException):
        text = traceback_text(value)
    else:
        text = text_of(record.exc_text, MESSAGE_LIMIT + _SLACK) if record.exc_text else ""
    return f"{text}\n{record.stack_info}".lstrip("\n") if record.stack_info else text


def _extras(fields: dict[str, Any], redactor: Redacts) -> tuple[tuple[str, str], ...]:
    names = [name for name in fields if name not in _NOT_EXTRAS]
    extras = [(text_of(name, NAME_LIMIT), text_of(fields[name], EXTRA_LIMIT + _SLACK)) for name in names[:EXTRAS_LIMIT]]
    if len(names) > EXTRAS_LIMIT:
        extras.append(("...", f"{len(names) - EXTRAS_LIMIT:,} further extras are left out"))
    return tuple([(name, cut(redactor.extra(name, value), EXTRA_LIMIT)) for name, value in extras])


def _clean(text: str, limit: int, redactor: Redacts) -> str:
    return cut(redactor.text(cut(text, limit + _SLACK)), limit) if text else ""


def text_of(value: object, limit: int) -> str:
    """Return a value as text of at most `limit` characters and a note; where its `str()` raises, say so."""
    if type(value) is str:
        return value if len(value) <= limit else cut(value, limit)
    if isinstance(value, (dict, list, tuple, set, frozenset)):
        return cut(_bounded(value), limit)
    try:
        text = str(value)
    except Exception as error:
        text = f"<{type(value).__qualname__}: str() raised {type(error).__name__}>"
    return cut(text, limit)


def _bounded(value: object) -> str:
    try:
        return _REPR.repr(value)
    except Exception as error:
        return f"<{type(value).__qualname__}: repr() raised {type(error).__name__}>"


def cut(text: str, limit: int) -> str:
    """Return the text, or its first `limit` characters with a note of the original size."""
    return text if len(text) <= limit else f"{text[:limit]} [... cut, {len(text):,} characters in all]"


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


_REPR = reprlib.Repr()
_REPR.maxlevel = 6
_REPR.maxdict = _REPR.maxlist = _REPR.maxtuple = _REPR.maxset = _REPR.maxfrozenset = 50
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = 1_000
