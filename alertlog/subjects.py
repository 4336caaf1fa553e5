"""The subject of a mail: one clean line, whatever a record holds, and the deployer's own text as it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from alertlog.alert import Alert
from alertlog.draft import Draft
from alertlog.evidence import headline
from alertlog.headers import cut_at_word, one_line, squeezed
from alertlog.report import counted, is_test
from alertlog.words import Words, words_in

if TYPE_CHECKING:
    from alertlog.letter import Wording

SUBJECT_LIMIT = 120
"""Characters of a subject that holds anything from a record; the deployer's own text stays whole."""
DEFAULT_SUBJECT = "[{service}] {levelname}: {summary}"

_PLACEHOLDER = re.compile(r"\{([^{}]{1,200})\}")


def subject_line(draft: Draft, wording: Wording) -> str:
    """Return the subject of the mail: a digest's own, else that of its alert."""
    if draft.reason == "digest":
        subject = _digest_subject(draft, wording, words_in(wording.language))
    else:  # the first alert's, in all mails of an incident: mail programs split a thread where the subject changes
        subject = subject_of(draft.incidents[0].alert, wording)
    return cut_at_word(f"[test] {subject}", SUBJECT_LIMIT) if is_test(draft) else subject


def subject_of(alert: Alert, wording: Wording) -> str:
    """Return the subject of an alert, one clean line: the user's own, else its kind's, else the general one.

    A `{name}` in a template is replaced by the extra of that name, or by a field of the alert. Service, environment
    and level are no extra's to replace, so that no record disguises where it comes from. Other braces stay.
    """
    if own := squeezed(alert.subject, SUBJECT_LIMIT):
        return own
    template = wording.subjects.get(alert.kind) or wording.subject or DEFAULT_SUBJECT
    values = _values(alert, wording)
    return _filled(template, values) or _filled(DEFAULT_SUBJECT, values)


def _filled(template: str, values: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        found = values.get(match[1])
        return match[0] if found is None else squeezed(found, SUBJECT_LIMIT)

    # One pass: braces in a value are never looked at again.
    text, replaced = _PLACEHOLDER.subn(value, template)
    return cut_at_word(one_line(text), SUBJECT_LIMIT) if replaced else one_line(text)


def _values(alert: Alert, wording: Wording) -> dict[str, str]:
    return {
        "kind": alert.kind,
        "summary": headline(alert.message or alert.exception),
        "message": alert.message,
        "exception": alert.exception,
        "logger": alert.logger,
        "host": alert.host,
        "pid": str(alert.pid),
        "process": alert.process,
        "thread": alert.thread,
        "task": alert.task,
        "path": alert.path,
        "line": str(alert.line),
        "function": alert.function,
        "fingerprint": alert.fingerprint,
        **dict(alert.extras),
        "service": wording.service,
        "environment": wording.environment,
        "level": str(alert.level),
        "levelname": alert.levelname,
    }


def _digest_subject(draft: Draft, wording: Wording, words: Words) -> str:
    worst = [(incident, incident.alert) for incident in draft.incidents[:20]]
    names = [incident.kind or headline(alert.message) or alert.logger for incident, alert in worst]
    listed = ", ".join(dict.fromkeys(squeezed(name, 40) for name in names))
    told = words.say("{title}: {text}", title=counted(draft, words), text=listed)
    return cut_at_word(f"[{squeezed(wording.service, 40)}] {told}", SUBJECT_LIMIT)
