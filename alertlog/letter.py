"""From the draft of a mail to its bytes: headers, and a text and an HTML part that say the same.

A letter is 7-bit clean, needs no SMTP extension, and is the same bytes each time it is composed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from email.utils import format_datetime
from types import MappingProxyType

from alertlog.alert import Incident
from alertlog.draft import Draft
from alertlog.evidence import Origin
from alertlog.headers import (
    addresses,
    list_id,
    message_id,
    squeezed,
    unstructured,
    verbatim,
)
from alertlog.mailbox import Mailbox
from alertlog.parts import alternatives, text_alone
from alertlog.report import view_of
from alertlog.shortening import shortened
from alertlog.subjects import SUBJECT_LIMIT, subject_line
from alertlog.view import View
from alertlog.words import Language, Words, local_time, words_in

DETOUR_LIMIT = 300
"""Characters of what is told of a server that failed."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One mail, ready to send.

    Attributes:
        message_id: as in its header, in angle brackets.
        sender: the envelope's sender address.
        content: the whole message, CRLF line ends, not dot-stuffed, ASCII only.
        problems: by file, what a template of the deployer's own failed with; alertlog's own stands in its place.
    """

    message_id: str
    sender: str
    content: bytes
    problems: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Wording:
    """How the deployer wants letters to speak.

    Attributes:
        service: the name of what is being watched.
        subject: the template of a subject, or "" for the default.
        subjects: templates by kind, each used as it is but for its placeholders.
        language: of the labels; subjects are never translated.
        handler: the name of the handler that sends, or "".
        environment: which deployment of the service this is, such as `production`, or "".
        host: the name of the machine that sends, or "".
        reply_to: who gets the answers of those who answer; nobody in particular if empty.
        templates: a folder of the deployer's own templates, or "".
        drill: True where all that is told is an operator's test, and marked as one.
    """

    service: str
    subject: str = ""
    subjects: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    language: Language = "en"
    handler: str = ""
    environment: str = ""
    host: str = ""
    reply_to: tuple[Mailbox, ...] = ()
    templates: str = ""
    drill: bool = False

    @property
    def origin(self) -> Origin:
        return Origin(self.service, self.environment, self.handler, self.host)


@dataclass(frozen=True, slots=True)
class Detour:
    """That a mail does not go through the first server: which one it goes through, and what is wrong with the first."""

    server: str
    error: str


def compose(
    draft: Draft,
    wording: Wording,
    sender: Mailbox,
    recipients: Sequence[Mailbox],
    room: int = 0,
    detour: Detour | None = None,
) -> Letter:
    """Return the letter that tells what the draft holds; bounded work and size for any text in it.

    Args:
        room: bytes that the server takes, into which the letter is to fit as far as it can; 0 for any number.
        detour: what it has to say if it does not go through the first server.
    """
    if wording.drill:
        draft = replace(draft, incidents=tuple(map(_as_test, draft.incidents)))
    identifier = message_id(draft.message_id)
    head = "".join(_headers(draft, subject_line(draft, wording), wording, sender, recipients)).encode("ascii")
    view, templates = view_for(draft, wording), wording.templates
    if detour is not None:
        view = replace(view, footer=(_told(detour, words_in(wording.language)), *view.footer))
    body = alternatives(view, identifier, templates)
    if 0 < room < len(head) + len(body.content):
        body = shortened(
            view,
            lambda made: len(head) + len(made.content) <= room,
            lambda cut: alternatives(cut, identifier, templates),
            lambda cut: text_alone(cut, templates),
        )
    return Letter(identifier, sender.address, head + body.content, body.problems)


def _told(detour: Detour, words: Words) -> str:
    return words.say(
        "This mail went another way, through {server}. The first mail server failed: {error}",
        server=detour.server,
        error=squeezed(detour.error, DETOUR_LIMIT),
    )


def view_for(draft: Draft, wording: Wording) -> View:
    """Return what the mail says, before it has a form."""
    return view_of(draft, wording.origin, words_in(wording.language))


def _as_test(incident: Incident) -> Incident:
    return replace(incident, alert=incident.alert._replace(test=True))


def _headers(
    draft: Draft, subject: str, wording: Wording, sender: Mailbox, recipients: Sequence[Mailbox]
) -> Iterator[str]:
    yield verbatim("Date", [format_datetime(local_time(draft.date))])
    yield verbatim("Message-ID", [message_id(draft.message_id)])
    yield addresses("From", [Mailbox(sender.address, sender.name or wording.service)])
    yield addresses("To", recipients)
    if wording.reply_to:
        yield addresses("Reply-To", wording.reply_to)
    yield unstructured("Subject", subject)
    yield from _thread(draft)
    yield from _urgency(draft)
    yield verbatim("List-Id", [list_id(wording.service, sender.address)])
    yield verbatim("Auto-Submitted", ["auto-generated"])  # RFC 3834: no vacation notice in reply
    yield verbatim("X-Auto-Response-Suppress", ["All"])  # the same for Exchange
    yield from _figures(draft, wording.service)
    yield verbatim("MIME-Version", ["1.0"])


def _thread(draft: Draft) -> Iterator[str]:
    root = draft.incidents[0].thread
    if draft.reason != "digest" and root and root != draft.message_id:
        yield verbatim("In-Reply-To", [message_id(root)])
        yield verbatim("References", [message_id(root)])


def _urgency(draft: Draft) -> Iterator[str]:
    level = max(incident.level for incident in draft.incidents)
    if draft.reason in ("closing", "resolved") or level < 40:
        importance, priority = "normal", "3"
    else:
        importance, priority = "high", "1" if level >= 50 else "2"
    yield verbatim("Importance", [importance])
    yield verbatim("X-Priority", [priority])


def _figures(draft: Draft, service: str) -> Iterator[str]:
    kind = "digest" if draft.reason == "digest" else draft.incidents[0].kind
    yield unstructured("X-Alertlog-Kind", squeezed(kind, SUBJECT_LIMIT))
    yield unstructured("X-Alertlog-Service", squeezed(service, SUBJECT_LIMIT))
    for incident in draft.incidents:
        yield unstructured("X-Alertlog-Fingerprint", squeezed(incident.fingerprint, SUBJECT_LIMIT))
    yield verbatim("X-Alertlog-Count", [str(draft.count)])
    yield verbatim("X-Alertlog-Total", [str(draft.total)])
