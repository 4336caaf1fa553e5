"""One hierarchy of errors: each also is the builtin that a caller would catch, and says where it happened.

No error of this library reaches the code that logs. These are for the courier, which decides by `category`
what becomes of a letter, and for whoever drives the parts by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

Category = Literal["temporary", "permanent", "refused"]
"""What to do about a failure: try again soon, set the letter aside, or wait for the operator to repair it."""


class AlertlogError(Exception):
    """The root of all of them.

    Attributes:
        stage: where on the way it happened: `settings`, `journal`, `outbox`, `fleet`, or the SMTP verb under way.
        code: the server's SMTP reply code, where there was a reply.
        category: what to do about it.
    """

    category: Category = "temporary"

    def __init__(self, message: str, *, stage: str = "", code: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.stage = stage
        self.code = code

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        # Exception pickles its positional arguments only; __dict__ brings the keyword ones back.
        return type(self), (self.message,), self.__dict__


class ConfigError(AlertlogError, ValueError):
    """The environment does not describe a way to send mail.

    Attributes:
        problems: by variable, what is wrong with it; never a secret value.
        missing: True if nothing is wrong but that something required is not there.
    """

    category: Category = "refused"

    def __init__(self, problems: Mapping[str, str], *, missing: bool = False) -> None:
        text = "; ".join(f"{name}: {problem}" for name, problem in problems.items())
        super().__init__(text, stage="settings")
        self.problems = dict(problems)
        self.missing = missing

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.problems,), self.__dict__


class DeliveryError(AlertlogError, OSError):
    """One attempt to deliver a letter did not end in the server's 250 after the final dot.

    Attributes:
        refused: the refusals (`alertlog.smtp.Refusal`), where the server took no recipient at all.
    """

    refused: tuple[Any, ...] = ()


class ServerUnavailable(DeliveryError, ConnectionError):
    """No connection, a dropped one, or a 4xx: it may work later."""


class DeadlineExceeded(ServerUnavailable, TimeoutError):
    """The attempt used up its wall time (SMTP_TIMEOUT_SECONDS)."""


class OutcomeUnknown(ServerUnavailable):
    """No reply came after the final dot: the mail may have been taken (RFC 5321 section 4.5.3.2.6)."""


class SessionRefused(DeliveryError, PermissionError):
    """The server, or its certificate, does not let us in; the operator has to repair something."""

    category: Category = "refused"


class LetterRejected(DeliveryError, ValueError):
    """A 5xx to DATA or to the final dot: this letter will never be accepted."""

    category: Category = "permanent"


class JournalError(AlertlogError, OSError):
    """An alert could not be appended whole to the journal."""


class OutboxError(AlertlogError, OSError):
    """The outbox file can't be used now.

    Attributes:
        corrupt: True if the file itself is damaged, rather than busy, full or out of reach.
        busy: True if another process is writing, which passes by itself.
        foreign: True if it is sound, but of a format that this alertlog does not know: the operator's to put right.
    """

    def __init__(self, message: str, *, corrupt: bool = False, busy: bool = False, foreign: bool = False) -> None:
        super().__init__(message, stage="outbox")
        self.corrupt = corrupt
        self.busy = busy
        self.foreign = foreign
        if foreign:
            self.category = "refused"


class FleetUnavailable(AlertlogError, ConnectionError):
    """The server over which hosts share their windows can't be used now; each goes on by itself.

    Attributes:
        problems: by variable, what is wrong with it, where it is the operator's to repair.
    """

    def __init__(self, message: str, *, problems: Mapping[str, str] | None = None) -> None:
        super().__init__(message, stage="fleet")
        self.problems = dict(problems or {})
        self.category = "refused" if problems else "temporary"
