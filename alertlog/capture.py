"""From a log record to an Alert, on the thread that logged it: no broken record can break this.

`fingerprint` is what every record costs; `snapshot` is what one costs that opens an incident or becomes a sample.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import chain
from operator import gt
from typing import Any, Protocol, cast

from alertlog.alert import Alert, Line
from alertlog.ending import let_end
from alertlog.fingerprint import alert_kind, fingerprint
from alertlog.shape import shape
from alertlog.traces import exception_line, exception_of, traceback_text
from alertlog.values import NAME_LIMIT, cut, moment, sized, text_of

__all__ = ["Redacts", "alert_kind", "fingerprint", "message_of", "shape", "snapshot", "stub", "text_of"]

MESSAGE_LIMIT = 65_536
"""Characters kept of a message, a formatter's text or a traceback."""
EXTRA_LIMIT = 4_096
"""Characters kept of one extra's value."""
EXTRAS_LIMIT = 64
"""Extras kept of one record."""

_LARGEST = 2**63 - 1
_SLACK = 1_024  # Redact before the last cut: half a secret left by a first one would not be known again.
# Not makeLogRecord(), which calls the program's own record factory: what that adds is an extra, and it may raise.
_FIRST = list(logging.LogRecord("", 0, "", 0, "", (), None).__dict__)
"""What a record has before anything is added to it."""
_NOT_EXTRAS = frozenset((*_FIRST, "message", "asctime", "taskName", "alert", "alert_key", "resolved"))
SEAM = "\n\0\n"
"""Between texts that are searched for secrets in one go."""
_LIMITS = (EXTRA_LIMIT, NAME_LIMIT * 5, NAME_LIMIT * 5, MESSAGE_LIMIT, MESSAGE_LIMIT, MESSAGE_LIMIT)
"""Characters kept of each text of an alert that is no name, in the order in which `snapshot` gathers them."""

Texts = tuple[str, ...]
_Extra = tuple[str, str, str]
"""Name and value of an extra as text, and the value's size in words where it may have to be cut."""


class Redacts(Protocol):
    """What capturing needs of a Redactor: an alert is at rest in the journal, so it goes there clean."""

    def harmless(self, text: str) -> bool: ...
    def known(self, text: str) -> str: ...
    def beside(self, extras: Sequence[tuple[str, str]], texts: Iterable[str]) -> Redacts: ...
    def remember(self, texts: Texts, clean: Callable[[Texts], Texts]) -> Texts: ...
    def text(self, text: str) -> str: ...
    def extra(self, name: str, value: str) -> str: ...


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
    message, failure = message_of(record)
    value = exception_of(record)
    kind, extras = alert_kind(record) or "", _extras(record.__dict__)
    texts = [
        f"{problem}; {failure}" if problem and failure else problem or failure,
        subject,
        "" if value is None else exception_line(value),
        message,
        text,
        _traceback(record, value),
    ]
    if not _harmless(kind, texts, extras, redactor):
        redactor = redactor.beside([extra[:2] for extra in extras], [*texts, *[line[3] for line in context]])
        context = tuple([(when, level, by, redactor.known(said)) for when, level, by, said in context])
        kind = kind and _clean_kind(record, redactor)
        texts = [_clean(each, limit, redactor.text) for each, limit in zip(texts, _LIMITS, strict=True)]
        extras = [_clean_extra(extra, redactor) for extra in extras]
    levelname, logger, function, process, thread, task, host, path = _places(record, host, redactor)
    problem, subject, exception, message, text, traceback = texts
    level, line, pid = _number(record.levelno), _number(record.lineno), _number(record.process)
    created, resolved = moment(record.created, time.time()), record.__dict__.get("resolved") is True
    return Alert(  # by position: to name so many takes four times as long
        fingerprint,
        kind,
        level,
        levelname,
        logger,
        message,
        created,
        tuple([extra[:2] for extra in extras]),
        text,
        subject,
        exception,
        traceback,
        path,
        line,
        function,
        host,
        pid,
        process,
        thread,
        task,
        problem,
        resolved,
        False,
        context,
    )


def _places(record: logging.LogRecord, host: str, redactor: Redacts) -> tuple[str, ...]:
    """Return what says where a record comes from; it is the same for many records, so it is remembered."""
    given = (
        *(record.levelname, record.name, record.funcName, record.processName, record.threadName),
        *(record.__dict__.get("taskName"), host, record.pathname),
    )
    texts = tuple([each if type(each) is str else _text(each) for each in given])
    return redactor.remember(texts, partial(_clean_places, redactor))


def _clean_places(redactor: Redacts, texts: tuple[str, ...]) -> tuple[str, ...]:
    *names, path = [redactor.text(text) for text in texts]
    return (*[cut(name, NAME_LIMIT) for name in names], cut(path, EXTRA_LIMIT))


def _harmless(kind: str, texts: list[str], extras: list[_Extra], redactor: Redacts) -> bool:
    """Whether nothing is to be cut and no secret looked for: most alerts are so, and a new one is to be quick."""
    joined = SEAM.join([kind, *texts, *chain.from_iterable(extras)])
    if len(joined) > NAME_LIMIT:  # one of them may be too long
        if len(kind) > NAME_LIMIT or any(map(gt, map(len, texts), _LIMITS)):
            return False
        if any(len(name) > NAME_LIMIT or len(value) > EXTRA_LIMIT for name, value, _size in extras):
            return False
    return redactor.harmless(joined)


def stub(record: logging.LogRecord, fingerprint: str, error: BaseException, redactor: Redacts) -> Alert:
    """Return the least that can be said of a record that `snapshot` could not take, and why.

    Raises:
        Exception: what the redactor raises; what it has not seen must not get into a journal.
    """
    part = record.__dict__.get  # any may be missing
    return Alert(
        fingerprint=fingerprint,
        kind="",
        level=_number(part("levelno")) or logging.CRITICAL,
        levelname=_clean(_text(part("levelname")), NAME_LIMIT, redactor.text),
        logger=_clean(_text(part("name")), NAME_LIMIT, redactor.text),
        message=_clean(sized(part("msg"), MESSAGE_LIMIT)[0], MESSAGE_LIMIT, redactor.text),
        created=time.time(),
        problem=redactor.text(f"the record could not be captured: {exception_line(error)}"),
    )


def message_of(record: logging.LogRecord) -> tuple[str, str]:
    """Return a record's text and, where it has to be its raw parts, why. Never raises."""
    try:
        message: Any = record.getMessage()  # a program's own kind of record may return anything
        return (message if type(message) is str else sized(message, MESSAGE_LIMIT)[0]), ""
    except BaseException as error:
        let_end(error)
        arguments: Any = record.args
        none = arguments is None or (type(arguments) is tuple and not arguments)  # any other kind may raise if asked
        raw = [sized(part, MESSAGE_LIMIT)[0] for part in ((record.msg,) if none else (record.msg, arguments))]
        return " ".join(raw).rstrip(), f"the message could not be formatted: {exception_line(error)}"


def _traceback(record: logging.LogRecord, value: BaseException | None) -> str:
    if value is None and record.exc_text is None and record.stack_info is None:
        return ""
    try:
        text = _text(record.exc_text) if value is None else traceback_text(value)
    except BaseException as error:
        let_end(error)
        text = f"the traceback could not be formatted: {exception_line(error)}"
    stack = _text(record.stack_info)
    return f"{text}\n{stack}".strip("\n") if stack else text


def _text(value: object) -> str:
    """Return a text as it is, None as none, and anything else as text, of little more than is kept."""
    if type(value) is str:
        return value
    return "" if value is None else sized(value, MESSAGE_LIMIT)[0]


def _extras(fields: dict[str, Any]) -> list[_Extra]:
    names = list(fields)  # at once: another thread may add to it
    if names[: len(_FIRST)] == _FIRST:
        names = names[len(_FIRST) :]
    names = [name for name in names if name not in _NOT_EXTRAS]
    extras = [_extra(name, fields[name]) for name in names[:EXTRAS_LIMIT]]
    if len(names) > EXTRAS_LIMIT:
        extras.append(("...", f"{len(names) - EXTRAS_LIMIT:,} further extras are left out", ""))
    return extras


def _extra(name: str, value: object) -> _Extra:
    if type(name) is not str:
        name = _text(name)
    if type(value) is str and len(value) <= EXTRA_LIMIT:
        return name, value, ""
    return name, *sized(value, EXTRA_LIMIT + _SLACK)


def _clean_kind(record: logging.LogRecord, redactor: Redacts) -> str:
    # A kind is a name that subjects, mutes and filters of mail go by: what only looks like a secret is none there.
    text, size = sized(record.__dict__["alert"], NAME_LIMIT + _SLACK)
    return _clean(text, NAME_LIMIT, redactor.known, size)


def _clean_extra(extra: _Extra, redactor: Redacts) -> _Extra:
    name, value, size = extra
    value = _clean(value, EXTRA_LIMIT, partial(redactor.extra, name), size)
    return _clean(name, NAME_LIMIT, redactor.text), value, ""


def _clean(text: str, limit: int, redact: Callable[[str], str], size: str = "") -> str:
    """Redact, then cut. Of what had to be cut before, the end goes as well: it may be half a secret."""
    if not text:
        return ""
    size = size or f"{len(text):,} characters"
    if len(text) <= limit + _SLACK:
        return cut(redact(text), limit, size)
    clean = redact(text[: limit + _SLACK])
    return f"{clean[: min(limit, max(0, len(clean) - _SLACK))]} [... cut, {size} in all]"


def _number(value: object) -> int:
    """Return a number as a database can keep it (64 bits), 0 for what is none."""
    if type(value) is int and -_LARGEST <= value <= _LARGEST:
        return value
    number = cast(int, value) if issubclass(type(value), int) else 0
    return max(-_LARGEST, min(number, _LARGEST))
