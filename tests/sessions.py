"""What tests of SMTP sessions start from: a letter, its recipients, and settings for a server."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

from alertlog.letter import Letter
from alertlog.settings import Mailbox, SmtpSettings
from tests.behaviours import PATIENCE

SENDER = "etl@example.org"
TO = ("ada@example.org", "bob@example.org")
LETTER = Letter("<1@example.org>", SENDER, b"Subject: Quota\r\n\r\nThe quota is used up.\r\n")
PASSWORD = "corréct horse+battery"

SETTINGS = SmtpSettings(
    host="127.0.0.1",
    port=1,
    transport="none",
    timeout=10.0,
    sender=Mailbox(SENDER),
    recipients=tuple(map(Mailbox, TO)),
)


class Server(Protocol):
    host: str
    port: int


def settings_for(server: Server, **changes: Any) -> SmtpSettings:
    """Settings for a session without TLS or login; what should be otherwise is named."""
    return replace(SETTINGS, **{"host": server.host, "port": server.port, **changes})


def everything_of(error: BaseException) -> str:
    """All that a log could show of an error: text, attributes, causes, and the library's own local variables."""
    parts = [str(error), repr(error), repr(error.args), repr(vars(error)), *traceback.format_exception(error)]
    parts += [repr(link) for link in (error.__cause__, error.__context__) if link is not None]
    for frame, _line in traceback.walk_tb(error.__traceback__):
        if frame.f_globals["__name__"].startswith("alertlog."):
            parts.append(repr(frame.f_locals))
    return "\n".join(parts)


def eventually(condition: Callable[[], bool]) -> bool:
    """Wait for what another thread or the network is about to do; False if it takes too long."""
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            return False
        threading.Event().wait(0.005)
    return True
