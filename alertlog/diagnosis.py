"""What an error on the way to the mail server tells, in the terms of the tables of mistakes."""

from __future__ import annotations

import errno
import re
import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from alertlog.advice import Advice, Seen, advise
from alertlog.certificate import Certificate
from alertlog.errors import DeadlineExceeded, DeliveryError, ServerUnavailable
from alertlog.hosts import is_loopback
from alertlog.looks import knows_authorities, shown_certificate, speaks_tls_at_once
from alertlog.mistakes_mail import IN_THE_ENVELOPE, IN_THE_LOGIN
from alertlog.mistakes_way import IN_THE_GREETING, IN_TLS, ON_THE_WAY
from alertlog.walk_settings import password_marks
from alertlog.wire import Dial, is_address

if TYPE_CHECKING:
    from alertlog.clock import Clock
    from alertlog.opening import Peer
    from alertlog.settings import SmtpSettings

MISTAKES = (*ON_THE_WAY, *IN_THE_GREETING, *IN_TLS, *IN_THE_LOGIN, *IN_THE_ENVELOPE)
LARGEST = 2_000_000
"""Bytes of the largest letter that alertlog makes."""
NAMES_SHOWN = 5
IN_SESSION = frozenset({"ehlo", "starttls", "auth", "mail", "rcpt", "rset"})
"""Stages at which a connection that breaks says nothing about what was asked for there."""
APP_PASSWORDS = (".gmail.com", ".yahoo.com", ".aol.com", ".me.com", ".icloud.com", ".fastmail.com")
"""What the names of servers end with whose own words do not always say that they want an app password."""

_NO_SUCH_NAME = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))
_UNREACHABLE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL)


class Diagnosis:
    """Knows one server's settings, and looks a second time where an error alone does not say enough.

    Args:
        dial: how to reach the server once more.
    """

    def __init__(self, settings: SmtpSettings, clock: Clock, dial: Dial) -> None:
        self._settings = settings
        self._clock = clock
        self._dial = dial
        self._words = {
            "p": settings.prefix,
            "host": settings.host,
            "port": str(settings.port),
            "transport": settings.transport,
            "timeout": f"{settings.timeout:g}",
            "sender": settings.sender.address,
            "recipient": ", ".join(recipient.address for recipient in settings.recipients),
            "size": f"{LARGEST:,}",
        }

    def advice(self, seen: Seen) -> tuple[Advice, ...]:
        """Return what to change, as far as that is known, by what was seen and by the settings."""
        words = {**self._words, "now": _utc(self._clock.wall()), **seen.words}
        return advise(replace(seen, marks=seen.marks | frozenset(self._marks()), words=words), MISTAKES)

    def of(self, error: DeliveryError, at: str, raw: OSError | None, peer: Peer | None) -> tuple[Advice, ...]:
        """Return what to change where an attempt has failed.

        Args:
            at: the step that failed.
            raw: the error beneath, if there was one in reaching the server.
            peer: what is known of the server by then.
        """
        if at in IN_SESSION and error.code is None and isinstance(error, ServerUnavailable):
            at = "session"
        marks = {*_marks_of(error, raw), *self._marks_of(peer)}
        words = {"mechanisms": ", ".join(_mechanisms(peer)), "limit": f"{peer.size_limit:,}" if peer else ""}
        if at == "greeting" and self._settings.transport != "ssl" and self._speaks_tls():
            marks.add("tls at once")
        if at == "tls" and "certificate is not trusted" in str(error):
            marks.update(self._marks_of_trust(str(error)))
            words |= words_of(shown_certificate(self._settings, self._clock, self._dial))
        return self.advice(Seen(at, str(error), error.code, frozenset(marks), words))

    def _speaks_tls(self) -> bool:
        return speaks_tls_at_once(self._settings, self._clock, self._dial)

    def _marks(self) -> Iterator[str]:
        settings = self._settings
        yield settings.transport
        yield "login" if settings.username else "no login"
        yield "xoauth2" if settings.auth == "xoauth2" else "by password"
        yield from password_marks(settings)
        if settings.username and "@" not in settings.username:
            yield "short user"
        if is_loopback(settings.host):
            yield "loopback"
        if settings.host.endswith(APP_PASSWORDS):
            yield "app passwords"
        if is_address(settings.host):
            yield "address"

    def _marks_of(self, peer: Peer | None) -> Iterator[str]:
        if "XOAUTH2" in _mechanisms(peer):
            yield "offers xoauth2"
        if peer is not None and not _mechanisms(peer):
            yield "no login offered"
        if peer is not None and any("XXXX" in line.upper() for line in peer.capabilities):
            yield "garbled"

    def _marks_of_trust(self, text: str) -> Iterator[str]:
        if re.search("self.signed certificate(?! in)", text):
            yield "self-signed"
        if self._settings.ca_file:
            yield "CA file"
        elif not knows_authorities():
            yield "no CAs"


def words_of(certificate: Certificate | None) -> dict[str, str]:
    """Return what a certificate says, for people."""
    if certificate is None:
        return {"names": "other names", "issuer": "somebody", "begins": "another day", "ends": "another day"}
    names = certificate.names[:NAMES_SHOWN]
    more = f" and {len(certificate.names) - len(names)} more" if len(certificate.names) > len(names) else ""
    return {
        "names": ", ".join(names) + more or "nobody",
        "issuer": certificate.issuer or "nobody that it names",
        "begins": _utc(certificate.begins),
        "ends": _utc(certificate.ends),
    }


def _utc(seconds: float) -> str:
    """Return a Unix time as certificates have it, up to the end of the year 9999: some never end."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _marks_of(error: DeliveryError, raw: OSError | None) -> Iterator[str]:
    if isinstance(error, DeadlineExceeded) or isinstance(raw, TimeoutError):
        yield "timeout"
    if isinstance(raw, ConnectionRefusedError):
        yield "refused"
    if isinstance(raw, socket.gaierror):
        if raw.errno in _NO_SUCH_NAME:
            yield "no such name"
    elif raw is not None and raw.errno in _UNREACHABLE:
        yield "unreachable"


def _mechanisms(peer: Peer | None) -> list[str]:
    """Return the ways to log in that a server offers (RFC 4954 section 4)."""
    lines = peer.capabilities if peer else ()
    return [name for line in lines if line.upper().startswith("AUTH") for name in line.upper().split()[1:]]
