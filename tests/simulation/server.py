"""A mail server without a network: it does what the scenario says, in no time or in virtual time, and keeps a ledger.

It raises what `alertlog.smtp` raises, at the stages at which that does, and leaves the session open or closed likewise.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesHeaderParser
from typing import Self

from alertlog.clock import Clock
from alertlog.errors import (
    DeadlineExceeded,
    LetterRejected,
    OutcomeUnknown,
    ServerUnavailable,
    SessionRefused,
)
from alertlog.letter import Letter
from alertlog.settings import SmtpSettings
from alertlog.smtp import Peer, Receipt, Refusal
from alertlog.testing import ManualClock

CONNECTIONS = ("away", "mute", "busy", "login")
"""What may go wrong before there is a session; in the middle of one, such a server drops the connection."""
LETTERS = (
    "slow", "hangs up", "mail 4xx", "mail 5xx", "all 4xx", "all 5xx", "one 4xx", "one 5xx", "data 4xx", "dot 4xx",
    "dot 5xx",
    "drops at data", "silent at data", "lost", "late", "dropped", "killed", "taken and killed",
)  # fmt: skip
"""What a letter may meet beside a server that takes it."""


class Killed(BaseException):
    """The process ends here, as by SIGKILL."""


class Fuse:
    """Counts down at each sign of life of the process that it is set for, which is killed at the last one."""

    def __init__(self) -> None:
        self.left: int | None = None

    def burn(self) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                self.left = None
                raise Killed


class FatalClock(ManualClock):
    """A clock at which the process that reads it may be killed."""

    def __init__(self, fuse: Fuse) -> None:
        super().__init__()
        self._fuse = fuse

    def wall(self) -> float:
        self._fuse.burn()
        return super().wall()

    def monotonic(self) -> float:
        self._fuse.burn()
        return super().monotonic()

    @property
    def now(self) -> float:
        """Monotonic seconds, for who is no part of the process."""
        return super().monotonic()


@dataclass(frozen=True, slots=True)
class Offer:
    """A letter whose text reached the server.

    Attributes:
        at: when, in monotonic seconds.
        accepted: for whom the server took it; () if it did not.
        heard: True if the sender learned that.
    """

    message: Message
    at: float
    accepted: tuple[str, ...]
    heard: bool

    @property
    def message_id(self) -> str:
        return str(self.message["Message-ID"])

    @property
    def count(self) -> int:
        return int(self.message["X-Alertlog-Count"])

    @property
    def total(self) -> int:
        return int(self.message["X-Alertlog-Total"])

    @property
    def fingerprints(self) -> tuple[str, ...]:
        return tuple(map(str, self.message.get_all("X-Alertlog-Fingerprint", [])))

    @property
    def digest(self) -> bool:
        return str(self.message["X-Alertlog-Kind"]) == "digest"

    @property
    def test(self) -> bool:
        return str(self.message["X-Alertlog-Kind"]) == "test"


class VirtualServer:
    """Every server of the scenario, whatever its name.

    Attributes:
        weather: what happens where nothing else is announced.
        alike: whether the weather is that of the servers that stand in for the first, too.
        announced: what the next letters meet, one each.
        offers: what reached it, in order.
        faulty: how often anything but a smooth delivery happened.
    """

    def __init__(self, clock: FatalClock, fuse: Fuse) -> None:
        self.clock = clock
        self.fuse = fuse
        self.weather = "ok"
        self.alike = True
        self.announced: deque[str] = deque()
        self.offers: list[Offer] = []
        self.faulty = 0

    def connect(self, settings: SmtpSettings, clock: Clock) -> VirtualSession:
        """What stands for `alertlog.smtp.connect`."""
        assert clock is self.clock
        self.fuse.burn()
        if self._coming(settings) in CONNECTIONS:
            self._no_connection(settings, self.next(settings))
        return VirtualSession(self, settings)

    def _coming(self, settings: SmtpSettings) -> str:
        return self.announced[0] if self.announced else self._weather(settings)

    def _weather(self, settings: SmtpSettings) -> str:
        return self.weather if self.alike or settings.way == 0 else "ok"

    def next(self, settings: SmtpSettings) -> str:
        happening = self.announced.popleft() if self.announced else self._weather(settings)
        self.faulty += happening not in ("ok", "hangs up")
        return happening

    def _no_connection(self, settings: SmtpSettings, fault: str) -> None:
        if fault == "login":
            raise SessionRefused("535 5.7.8 no", stage="auth", code=535)
        if fault == "busy":
            raise ServerUnavailable("421 4.3.2 later", stage="greeting", code=421)
        if fault == "mute":
            self.clock.advance(settings.timeout)
            raise DeadlineExceeded("no greeting", stage="greeting")
        raise ServerUnavailable("connection refused", stage="connect")


class VirtualSession:
    """One session; each letter meets what the server has in store for it."""

    def __init__(self, server: VirtualServer, settings: SmtpSettings) -> None:
        self._server = server
        self._settings = settings
        self._timeout = settings.timeout
        self.usable = True
        self.peer = Peer(settings.host, settings.port, "127.0.0.1", settings.transport, "", "", ())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.usable = False

    def send(self, letter: Letter, recipients: Sequence[str]) -> Receipt:
        """Raises what `alertlog.smtp.Session.send` raises."""
        self._server.fuse.burn()
        happening = self._server.next(self._settings)
        if happening in ("slow", "silent at data"):
            self._server.clock.advance(self._timeout * (0.6 if happening == "slow" else 1.0))
        if happening in ("hangs up", "drops at data", "silent at data", "lost", "late", "dropped", *CONNECTIONS):
            self.usable = False
        return self._answer(happening, letter, recipients)

    def _answer(self, happening: str, letter: Letter, recipients: Sequence[str]) -> Receipt:
        match happening:
            case "ok" | "slow" | "hangs up":
                return self._take(letter, recipients, len(recipients))
            case "mail 4xx":
                raise ServerUnavailable("451 not from you", stage="mail", code=451)
            case "mail 5xx":
                raise SessionRefused("550 not from you", stage="mail", code=550)
            case "all 4xx" | "all 5xx" | "one 4xx" | "one 5xx":
                return self._refuse(int(happening[4]) * 100 + 50, letter, recipients, happening.startswith("one"))
            case "data 4xx":
                raise ServerUnavailable("452 not now", stage="data", code=452)
            case "dot 4xx":
                self._offered(letter, (), heard=True)
                raise ServerUnavailable("452 not now", stage="dot", code=452)
            case "dot 5xx":
                self._offered(letter, (), heard=True)
                raise LetterRejected("554 not that", stage="dot", code=554)
            case "drops at data":
                raise ServerUnavailable("connection reset", stage="data")
            case "silent at data":
                raise DeadlineExceeded("silence", stage="data")
            case "lost" | "late" | "dropped":
                self._offered(letter, () if happening == "dropped" else recipients, heard=False)
                self._server.clock.advance(self._timeout if happening == "late" else 0.0)
                raise OutcomeUnknown("no reply after the final dot", stage="dot")
            case "taken and killed":
                self._offered(letter, recipients, heard=False)
                raise Killed
            case "killed":
                raise Killed
            case _:
                raise ServerUnavailable("421 4.3.2 closing", stage="mail", code=421)

    def _take(self, letter: Letter, recipients: Sequence[str], most: int, refusals: Sequence[Refusal] = ()) -> Receipt:
        """Take it for so many recipients, the first ones, and say so."""
        self._offered(letter, recipients[:most], heard=True)
        return Receipt(letter.message_id, tuple(recipients[:most]), tuple(refusals), "250 2.0.0 taken")

    def _refuse(self, code: int, letter: Letter, recipients: Sequence[str], one: bool) -> Receipt:
        """Refuse the last recipient or all of them."""
        most = len(recipients) - 1 if one else 0
        refusals = tuple(Refusal(address, code, "not that one") for address in recipients[most:])
        if most:
            return self._take(letter, recipients, most, refusals)
        error = (ServerUnavailable if code < 500 else SessionRefused)("no recipient", stage="rcpt", code=code)
        error.refused = refusals
        raise error

    def _offered(self, letter: Letter, accepted: Sequence[str], *, heard: bool) -> None:
        message = _PARSER.parsebytes(letter.content)
        self._server.offers.append(Offer(message, self._server.clock.now, tuple(accepted), heard))


_PARSER = BytesHeaderParser()
