"""One SMTP session: letters over one connection, each by MAIL, RCPT, DATA and the final dot (RFC 5321).

It speaks through smtplib, on one deadline. What smtplib, ssl and socket raise leaves here as an error of this
library, which holds no secret, no cause and no context.
"""

from __future__ import annotations

import re
import smtplib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Self, TypeVar

from alertlog.entry import enter
from alertlog.errors import DeliveryError, LetterRejected, SessionRefused
from alertlog.failures import FOREIGN, Failures
from alertlog.login import Credentials
from alertlog.opening import Peer, Watch, expect
from alertlog.receipts import Receipt, Refusal, nobody
from alertlog.tokens import Tokens
from alertlog.wire import Client, Deadline, Dial, dial

if TYPE_CHECKING:
    from alertlog.clock import Clock
    from alertlog.letter import Letter
    from alertlog.settings import SmtpSettings

__all__ = ["Peer", "Receipt", "Refusal", "Session", "connect"]

ADDRESS_LIMIT = 254
"""Octets of an envelope address: a path's 256, less its angle brackets (RFC 5321 section 4.5.3.1.3)."""

# Not in it: what smtplib would cut in silence, and what would end the path and begin something else.
_ADDRESS = re.compile(r"[^\s\x00-\x20\x7f-\x9f<>\ud800-\udfff]+@[^\s\x00-\x20\x7f-\x9f<>@\ud800-\udfff]+")
_LINE_END = re.compile(rb"\r\n|\r|\n")
_LEADING_DOT = re.compile(rb"^\.", re.MULTILINE)

T = TypeVar("T")
Answered = Callable[[str, Refusal | None], object]
"""Is told what a server answers for an address."""


def connect(
    settings: SmtpSettings,
    clock: Clock,
    dial: Dial = dial,
    tokens: Tokens | None = None,
    watch: Watch | None = None,
) -> Session:
    """Open a session, encrypted and logged in as the settings say. It is a context manager.

    Args:
        settings: where to and how; `timeout` bounds this and the first letter together.
        clock: what the deadline is read from.
        dial: how to reach a host's port.
        tokens: those that were had before; by default there are none.
        watch: is told of each step on the way.

    Raises:
        ServerUnavailable: there is no connection, it broke, or a reply was 4xx; or there is no token now.
        DeadlineExceeded: the time is up.
        SessionRefused: a 5xx, a certificate that is not to be trusted, no STARTTLS, no login, no token.
    """
    entered = enter(settings, Deadline(clock, settings.timeout), dial, tokens or Tokens(clock), watch)
    if isinstance(entered, DeliveryError):
        # Out here no exception is being handled any more, so this one gets no context.
        raise entered
    return Session(entered.client, entered.peer, entered.deadline, entered.credentials, entered.failures)


class Session:
    """An open session, to send letters by, one after the other. Used by one thread; made by `connect`.

    Attributes:
        peer: who is at the other end.
    """

    def __init__(
        self, client: Client, peer: Peer, deadline: Deadline, credentials: Credentials, failures: Failures
    ) -> None:
        self.peer = peer
        self._client = client
        self._deadline = deadline
        self._credentials = credentials
        self._failures = failures
        self._sent_before = False
        self._in_transaction = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def usable(self) -> bool:
        """Whether a letter can go over it: always the first, a later one if the server has not hung up meanwhile."""
        return self._client.is_quiet() if self._sent_before else self._client.sock is not None

    def send(self, letter: Letter, recipients: Sequence[str]) -> Receipt:
        """Send one letter to those of the recipients that the server takes.

        For the first letter the time runs on that began with `connect`; for each later one it starts anew.
        After a reply that refuses a letter the session stays `usable`; any other error closes it.

        Raises:
            LetterRejected: a 5xx to DATA or to the final dot, or the server takes no letter of this size.
            OutcomeUnknown: no reply to the final dot; the mail may have been accepted.
            DeadlineExceeded: the time was up before the dot.
            SessionRefused: a 5xx to MAIL or to every recipient; then `refused` holds the Refusals.
            ServerUnavailable: a 4xx, to every recipient likewise (others 5xx), or the connection broke.
        """
        return self._speak(lambda: self._send(letter, recipients))

    def rehearse(self, sender: str, recipients: Sequence[str], size: int, watch: Answered) -> None:
        """Ask whether the server would take a letter of so many bytes from and for these, and take it back by RSET.

        The time is the one that began with `connect`, or a new one if it was used before.

        Args:
            watch: is told of the sender once it is accepted, and of each recipient, with the refusal if there is one.

        Raises:
            LetterRejected: the server takes no letter of this size.
            DeadlineExceeded: the time was up.
            SessionRefused: a 5xx to MAIL.
            ServerUnavailable: a 4xx to MAIL, or the connection broke.
        """
        self._speak(lambda: self._rehearse(sender, recipients, size, watch))

    def _speak(self, what: Callable[[], T]) -> T:
        """Do something with the session; whatever its errors leave unclear closes it."""
        try:
            return what()
        except FOREIGN as error:
            if not _in_step(error):
                self._client.hang_up()
            failure = self._failures.of(error, self._deadline.stage)
        except BaseException:
            self._client.hang_up()
            raise
        raise failure

    def close(self) -> None:
        """Say QUIT and close, without waiting for the answer. The second time it does nothing."""
        self._client.say_goodbye()
        self._client.hang_up()

    def _send(self, letter: Letter, recipients: Sequence[str]) -> Receipt:
        self._begin()
        # A bare CR or LF, which some servers take for a line end, could smuggle in a second mail.
        content = _LINE_END.sub(b"\r\n", letter.content).removesuffix(b"\r\n") + b"\r\n"
        self._mail(letter.sender, recipients, len(content))
        accepted, refused = self._recipients(recipients)
        if not accepted:
            raise nobody(refused)
        reply = self._data(content)
        self._in_transaction = False
        return Receipt(letter.message_id, accepted, refused, f"250 {self._credentials.readable(reply)}")

    def _rehearse(self, sender: str, recipients: Sequence[str], size: int, watch: Answered) -> None:
        self._begin()
        self._mail(sender, recipients, size)
        watch(sender, None)
        self._deadline.stage = "rcpt"
        for address in recipients:
            watch(address, self._recipient(address))
        self._leave_behind()

    def _begin(self) -> None:
        """Start the time anew, and leave behind what an earlier letter left open."""
        if self._sent_before:
            self._deadline.renew()
        self._sent_before = True
        self._leave_behind()

    def _leave_behind(self) -> None:
        if self._in_transaction:
            self._deadline.stage = "rset"
            code, _text = self._client.docmd("RSET")
            if code // 100 != 2:
                raise smtplib.SMTPServerDisconnected(f"RSET was answered with {code}")
            self._in_transaction = False

    def _mail(self, sender: str, recipients: Sequence[str], size: int) -> None:
        self._deadline.stage = "mail"
        problem = self._problem_of(sender)
        if problem:
            raise SessionRefused(f"the sender {sender!r} cannot be used: {problem}", stage="mail")
        if 0 < self.peer.size_limit < size:
            text = f"the letter has {size:,} bytes, and {self.peer.host} takes {self.peer.size_limit:,}"
            raise LetterRejected(text, stage="mail", code=552)
        command = f"FROM:<{sender}>"
        if self._client.has_extn("size"):
            command += f" SIZE={size}"
        if self._client.has_extn("smtputf8") and not all(map(str.isascii, (sender, *recipients))):
            command += " SMTPUTF8"
        self._in_transaction = True
        expect(2, self._client.docmd("MAIL", command))

    def _recipients(self, recipients: Sequence[str]) -> tuple[tuple[str, ...], tuple[Refusal, ...]]:
        self._deadline.stage = "rcpt"
        answers = {address: self._recipient(address) for address in recipients}
        accepted = tuple(address for address, refusal in answers.items() if refusal is None)
        return accepted, tuple(filter(None, answers.values()))

    def _recipient(self, address: str) -> Refusal | None:
        problem = self._problem_of(address)
        if problem:
            return Refusal(address, 553, problem)
        code, text = self._client.docmd("RCPT", f"TO:<{address}>")
        if code // 100 == 2:
            return None
        if code // 100 == 3 or code == 421:
            raise smtplib.SMTPResponseException(code, text)
        return Refusal(address, code, self._credentials.readable(text))

    def _problem_of(self, address: str) -> str:
        if not _ADDRESS.fullmatch(address):
            return "it is not an address that can be sent"
        if len(address.encode()) > ADDRESS_LIMIT:
            return f"it is longer than {ADDRESS_LIMIT} octets"
        if not address.isascii() and not self._client.has_extn("smtputf8"):
            return "it is not ASCII, and the server does not offer SMTPUTF8 (RFC 6531)"
        return ""

    def _data(self, content: bytes) -> bytes:
        self._deadline.stage = "data"
        expect(3, self._client.docmd("DATA"))
        self._client.send(_LEADING_DOT.sub(b"..", content) + b".\r\n")  # RFC 5321 section 4.5.2
        # Up to here the server cannot have accepted it: the last octets have only now left.
        self._deadline.stage = "dot"
        code, text = self._client.getreply()
        if code != 250:
            raise smtplib.SMTPResponseException(code, text)
        return text


def _in_step(error: Exception) -> bool:
    """Whether both ends still agree where they are: the server refused and waits, or was not even asked."""
    if isinstance(error, smtplib.SMTPResponseException):
        return 400 <= error.smtp_code < 600 and error.smtp_code != 421
    return isinstance(error, DeliveryError)
