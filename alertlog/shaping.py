"""What the program's own methods make of a record in the place of alertlog's: its fingerprint, text and subject.

They run on the thread that logs, and whatever they do, the alert is mailed.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from hashlib import blake2b
from logging import LogRecord
from typing import TYPE_CHECKING

from alertlog.alert import Alert, Line
from alertlog.capture import fingerprint, snapshot
from alertlog.ending import let_end
from alertlog.interrupting import Here

if TYPE_CHECKING:
    from alertlog.works import Works

PROBLEMS_LIMIT = 100
"""Kinds of failure of one fingerprint function that are told, each once; types can be made without end."""

_FINGERPRINT = re.compile(r"[0-9a-f]{16}")

Method = Callable[[LogRecord], str]
Report = Callable[[LogRecord, str], None]
Own = tuple[Method | None, Method | None]
"""The program's own methods where it has them: for the text of an alert, and for its subject."""


class Grouping:
    """Groups alerts by the program's own rule."""

    def __init__(self, rule: Method, report: Report, here: Here) -> None:
        """`report` is called with the first record that the rule fails for in one way."""
        self._rule = rule
        self._report = report
        self._here = here
        self._problems: dict[str, LogRecord | None] = {}

    def of(self, record: LogRecord) -> str:
        """Return the rule's fingerprint of a record or, where it fails, alertlog's: 16 hexadecimal digits.

        Raises:
            BaseException: what ends the program, and came from a signal handler or Ctrl-C while the rule ran.
        """
        here = self._here
        if here.plain or here.asking is self._rule:
            return fingerprint(record)
        before, here.asking = here.asking, self._rule
        try:
            said: object = self._rule(record)
        except BaseException as error:
            let_end(error)
            problem = f"raised {type(error).__name__}"
        else:
            if isinstance(said, str):
                return digits(str.__str__(said))
            problem = f"returned {type(said).__name__}, not str"
        finally:
            here.asking = before
        self._report_once(record, problem)
        return fingerprint(record)

    def _report_once(self, record: LogRecord, problem: str) -> None:
        """Say it once for each way to fail: the rule is asked about every repeat, in a flood thousands of times."""
        if len(self._problems) < PROBLEMS_LIMIT and self._problems.setdefault(problem, record) is record:
            self._problems[problem] = None  # known from now on, without keeping the record
            self._report(record, f"fingerprint {problem}, alertlog's own takes its place")


def digits(text: str) -> str:
    """Return 16 hexadecimal digits that stand for a text: the text itself if that is what it is."""
    if _FINGERPRINT.fullmatch(text):
        return text
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def shaped(
    works: Works, record: LogRecord, trouble: str, own: Own, here: Here, context: tuple[Line, ...] = ()
) -> Alert:
    """Return the alert that a record is, as the program's own methods shape it.

    Raises:
        BaseException: what ends the program, and came from a signal handler or Ctrl-C while a method ran.
    """
    text, subject, problems = "", "", list[str]()
    if own != (None, None) and not here.plain:
        text, subject = (_asked(works, record, method, here, problems) for method in own)
    return snapshot(
        record,
        trouble,
        works.redactor,
        host=works.host,
        text=text,
        subject=subject,
        problem="; ".join(problems),
        context=context,
    )


def _asked(works: Works, record: LogRecord, method: Method | None, here: Here, problems: list[str]) -> str:
    """Call a method on a copy: formatters leave `message` and `exc_text` on the record."""
    if method is None:
        return ""
    before, here.asking = here.asking, method
    try:
        return str(method(copy.copy(record)))
    except BaseException as error:
        let_end(error)
        problems.append(f"{method.__name__}() raised {type(error).__name__}")
        works.report_capture(record, problems[-1])
        return ""
    finally:
        here.asking = before
