"""What `alertlog outbox show` prints: one letter as the mail that would be sent today, as text or whole."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from typing import TYPE_CHECKING, TypeVar, cast

from alertlog.errors import ConfigError
from alertlog.headers import visible
from alertlog.outbox import Waiting
from alertlog.ownership import Owner
from alertlog.place import variable

if TYPE_CHECKING:
    from alertlog.desk import Desk
    from alertlog.works import Works

HEADERS = ("Date", "From", "To", "Subject", "Message-ID")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Shown:
    """A letter as a mail.

    Attributes:
        content: its bytes, with the line ends that files have.
        unknown: what is not known of who writes to whom, "" if all is.
    """

    content: str
    unknown: str

    @property
    def text(self) -> str:
        """The mail for people: its headers that say something, and its text part."""
        mail = BytesParser(EmailMessage, policy=policy.default).parsebytes(self.content.encode("ascii"))
        body = cast("EmailMessage", mail.get_body(("plain",)))
        head = [f"{name}: {visible(str(mail[name]))}" for name in HEADERS]
        return "\n".join([*head, "", visible(body.get_content())])


def content(desk: Desk, letter: int) -> Shown | None:
    """Return a letter as a mail, None if there is none of that number. Who writes to whom may be unknown yet.

    Raises:
        OutboxError: the outbox can't be read.
    """
    for owner in desk.registered():
        with desk.part(owner) as outbox:
            for waiting in outbox.letters.all():
                if waiting.id == letter:
                    return _shown(desk, owner, waiting)
    return None


def _shown(desk: Desk, owner: Owner, waiting: Waiting) -> Shown:
    from alertlog.letter import compose
    from alertlog.mailbox import Mailbox, mailbox, mailboxes

    works, post = desk.works(owner), desk.post(owner)
    nobody = Mailbox("unknown@example.invalid")  # RFC 2606 section 2: no one's
    try:
        settings = post.read_settings()
        sender, recipients, unknown = settings.sender, settings.recipients, ""
    except ConfigError as error:
        arguments = works.arguments
        sender = _read(works, "FROM", arguments.sender, mailbox) or nobody
        recipients = _read(works, "TO", ", ".join(arguments.recipients), mailboxes) or (nobody,)
        unknown = str(error) if nobody in (sender, *recipients) else ""
    mail = compose(waiting.draft, post.wording(), sender, recipients)
    return Shown(mail.content.decode("ascii").replace("\r\n", "\n"), unknown)


def _read(works: Works, suffix: str, argument: str, parse: Callable[[str], T]) -> T | None:
    """Read one setting by itself; None if there is none, or it is wrong."""
    try:
        return parse(variable(f"{works.arguments.env_prefix}{suffix}", os.environ) or argument)
    except ValueError:  # ConfigError is one
        return None
