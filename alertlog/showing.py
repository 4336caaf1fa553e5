"""What `alertlog outbox show` prints: one letter as the mail that would be sent today, as text or whole."""

from __future__ import annotations

from dataclasses import dataclass
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from typing import TYPE_CHECKING, TypeVar, cast

from alertlog.headers import visible
from alertlog.hindsight import clean_draft
from alertlog.outbox import Waiting
from alertlog.ownership import Owner

if TYPE_CHECKING:
    from alertlog.desk import Desk

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
    from alertlog.correspondents import correspondents
    from alertlog.letter import compose

    works, post = desk.works(owner), desk.post(owner)
    known = correspondents(works, post)
    mail = compose(clean_draft(waiting.draft, works.redactor), post.wording(), known.sender, known.recipients)
    return Shown(mail.content.decode("ascii").replace("\r\n", "\n"), known.unknown)
