"""What `alertlog.testing.MailServer` runs on: an event loop in a thread, and the SMTP conversations in it.

The SMTP itself is aiosmtpd's. It is imported when a server starts: `alertlog.testing` needs it no sooner.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import ssl

    from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

    from alertlog.settings import Transport


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail that the server answered for with a 2xx.

    Attributes:
        sender: the envelope's sender, from MAIL.
        recipients: the envelope's recipients that were accepted, from RCPT.
        message: the parsed mail.
        content: its bytes as they came over the wire, dots unstuffed.
        tls: whether the connection was encrypted when the mail came.
        login: the user name that was logged in, or None.
        connection: the number of the connection it came over; 1 is the server's first.
    """

    sender: str
    recipients: tuple[str, ...]
    message: EmailMessage = field(compare=False)
    content: bytes = field(repr=False)
    tls: bool
    login: str | None
    connection: int

    @property
    def subject(self) -> str:
        """The decoded Subject, or "" if there is none."""
        return str(self.message["Subject"] or "")

    @property
    def text(self) -> str:
        """The plain text part with its lines ended by newlines alone, or ""."""
        return self._part("plain")

    @property
    def html(self) -> str:
        """The HTML part with its lines ended by newlines alone, or ""."""
        return self._part("html")

    def _part(self, subtype: str) -> str:
        part = self.message.get_body((subtype,))
        return str(part.get_content()).replace("\r\n", "\n") if part else ""


class Inbox:
    """The mails that came, for threads that wait for them."""

    def __init__(self) -> None:
        self._mails: list[Mail] = []
        self._arrived = threading.Condition()

    def add(self, mail: Mail) -> None:
        with self._arrived:
            self._mails.append(mail)
            self._arrived.notify_all()

    @property
    def mails(self) -> list[Mail]:
        with self._arrived:
            return self._mails.copy()

    def wait_for(self, count: int, timeout: float) -> tuple[Mail, ...]:
        """Raises TimeoutError, which names what did come."""
        with self._arrived:
            if not self._arrived.wait_for(lambda: len(self._mails) >= count, timeout):
                subjects = [mail.subject for mail in self._mails]
                raise TimeoutError(f"{len(subjects)} of {count} mails within {timeout} s: {subjects}")
            return tuple(self._mails)


class Rules(Protocol):
    """What a conversation asks its server, each time anew: a test may change it meanwhile."""

    transport: Transport
    login: tuple[str, str] | None
    refusals: Mapping[str, str]
    data_reply: str
    size_limit: int
    extensions: Collection[str]
    connections: int


class Listener:
    """One run of a server, from listening to closing, in a thread of its own."""

    def __init__(self, rules: Rules, inbox: Inbox, tls: ssl.SSLContext | None) -> None:
        self._rules = rules
        self._inbox = inbox
        self._tls = tls
        self._protocols: list[SMTP] = []
        self._loop = asyncio.new_event_loop()
        # Its debug mode, on by `python -X dev`, logs an error for each handshake that a client breaks off.
        self._loop.set_debug(False)

    def open(self, host: str, port: int) -> int:
        """Listen and return the port; raises OSError if it is taken."""
        implicit = self._tls if self._rules.transport == "ssl" else None
        opening = self._loop.create_server(self._accept, host, port, ssl=implicit)
        try:
            self._server = self._loop.run_until_complete(opening)
        except OSError:
            self._loop.close()
            raise
        self._thread = threading.Thread(target=self._loop.run_forever, name="alertlog-smtpd", daemon=True)
        self._thread.start()
        return int(self._server.sockets[0].getsockname()[1])

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._cut(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _accept(self) -> SMTP:
        from aiosmtpd.smtp import SMTP

        self._rules.connections += 1
        starttls = self._rules.transport == "starttls"
        protocol = SMTP(
            Conversation(self._rules, self._inbox),
            loop=self._loop,
            hostname="localhost",
            ident="alertlog test server",
            data_size_limit=self._rules.size_limit,
            enable_SMTPUTF8="SMTPUTF8" in self._rules.extensions,
            tls_context=self._tls if starttls else None,
            require_starttls=starttls,
            # To aiosmtpd, TLS from the first byte is no TLS, so only STARTTLS can be asked for here.
            auth_require_tls=starttls,
            authenticator=_authenticate,
        )
        self._protocols.append(protocol)
        return protocol

    async def _cut(self) -> None:
        """Abort the connections: a TLS one that is merely closed waits 30 s for an idle peer's goodbye."""
        self._server.close()
        for protocol in self._protocols:
            if isinstance(protocol.transport, asyncio.Transport):
                protocol.transport.abort()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


def _authenticate(
    smtp: SMTP, session: Session, _envelope: Envelope, _mechanism: str, given: LoginPassword
) -> AuthResult:
    """Judge a login.

    Success goes back as a failure with a 235 reply: on `success=True` aiosmtpd 1.4.6 logs a WARNING about
    itself, which a test would take for one of the program's.
    """
    from aiosmtpd.smtp import AuthResult

    login: tuple[str, str] | None = smtp.event_handler.rules.login
    if login is None or (given.login, given.password) != (login[0].encode(), login[1].encode()):
        return AuthResult(success=False, handled=False)
    session.authenticated = True
    smtp.event_handler.user = login[0]
    return AuthResult(success=False, handled=False, message="235 2.7.0 welcome")


class Conversation:
    """What the SMTP verbs of one connection do; aiosmtpd finds these methods by their names."""

    def __init__(self, rules: Rules, inbox: Inbox) -> None:
        self.rules = rules
        self.user: str | None = None
        self._inbox = inbox
        self._number = rules.connections

    async def handle_EHLO(
        self, _smtp: SMTP, session: Session, _envelope: Envelope, hostname: str, replies: list[str]
    ) -> list[str]:
        session.host_name = hostname
        hidden = ["250-AUTH"] if self.rules.login is None else []
        hidden += [] if "SIZE" in self.rules.extensions else ["250-SIZE"]
        return [reply for reply in replies if not reply.startswith(tuple(hidden))]

    async def handle_MAIL(
        self, _smtp: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.rules.login and not session.authenticated:
            return "530 5.7.0 login first"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 sender ok"

    async def handle_RCPT(
        self, _smtp: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        refusal = self.rules.refusals.get(address)
        if refusal:
            return refusal
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 recipient ok"

    async def handle_DATA(self, _smtp: SMTP, session: Session, envelope: Envelope) -> str:
        reply = self.rules.data_reply
        if reply.startswith("2"):
            self._inbox.add(self._mail(session, envelope))
        return reply

    async def handle_exception(self, error: Exception) -> str:
        """Answer for an error in a verb, a TLS handshake that the client broke off among them."""
        return f"451 4.3.0 {type(error).__name__}"

    def _mail(self, session: Session, envelope: Envelope) -> Mail:
        content = envelope.original_content or b""
        return Mail(
            sender=envelope.mail_from or "",
            recipients=tuple(envelope.rcpt_tos),
            message=message_from_bytes(content, policy=policy.default),
            content=content,
            tls=self.rules.transport == "ssl" or session.ssl is not None,
            login=self.user,
            connection=self._number,
        )
