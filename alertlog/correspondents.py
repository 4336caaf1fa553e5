"""Who writes to whom, as far as is known: for looking at a mail where the settings may not be complete yet."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from alertlog.errors import ConfigError
from alertlog.mailbox import Mailbox, mailbox, mailboxes
from alertlog.place import variable

if TYPE_CHECKING:
    from alertlog.planning import Post
    from alertlog.works import Works

NOBODY = Mailbox("unknown@example.invalid")
"""Stands in for who is not known; no one's (RFC 2606 section 2)."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Correspondents:
    """Today's sender and recipients.

    Attributes:
        unknown: why one of them is not known, "" if all are.
    """

    sender: Mailbox
    recipients: tuple[Mailbox, ...]
    unknown: str


def correspondents(works: Works, post: Post) -> Correspondents:
    """Return who the settings name; where these are not complete, what each says by itself."""
    try:
        settings = post.read_settings()
    except ConfigError as error:
        arguments = works.arguments
        sender = _read(works, "FROM", arguments.sender, mailbox) or NOBODY
        recipients = _read(works, "TO", ", ".join(arguments.recipients), mailboxes) or (NOBODY,)
        return Correspondents(sender, recipients, str(error) if NOBODY in (sender, *recipients) else "")
    return Correspondents(settings.sender, settings.recipients, "")


def _read(works: Works, suffix: str, argument: str, parse: Callable[[str], T]) -> T | None:
    """Read one setting by itself; None if there is none, or it is wrong."""
    try:
        return parse(variable(f"{works.arguments.env_prefix}{suffix}", os.environ) or argument)
    except ValueError:  # ConfigError is one
        return None
