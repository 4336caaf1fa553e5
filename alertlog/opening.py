"""The way into a mail server: connection, greeting, EHLO, STARTTLS, login; none asked for is left out."""

from __future__ import annotations

import smtplib
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from alertlog.errors import SessionRefused
from alertlog.login import IN_THE_CLEAR, INSIDE_TLS, Credentials, mechanisms
from alertlog.tls import Tls, tls_context
from alertlog.variables import MAX_TIMEOUT
from alertlog.wire import (
    BoundedSocket,
    Client,
    Deadline,
    Dial,
    TlsClient,
    ehlo_name,
    is_host_name,
    is_loopback,
)

if TYPE_CHECKING:
    from alertlog.settings import SmtpSettings, Transport


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end of a session.

    Attributes:
        address: the IP address that was reached; "" until it has greeted.
        transport: what is spoken: `none` on a loopback, where the settings allow that.
        tls: the version, such as `TLSv1.3`, or "".
        capabilities: what the server offers, such as `SIZE 10240000`.
        cipher: such as `TLS_AES_256_GCM_SHA384`, or "".
        certificate: its own one, in DER, or nothing.
        login: the mechanism by which it let us in, such as `PLAIN`, or "".
    """

    host: str
    port: int
    address: str
    transport: Transport
    tls: str
    greeting: str
    capabilities: tuple[str, ...]
    cipher: str = ""
    certificate: bytes = field(default=b"", repr=False)
    login: str = ""

    @property
    def size_limit(self) -> int:
        """Bytes that it takes of one mail; 0 if it does not say (RFC 1870 section 4)."""
        sizes = [line[5:] for line in self.capabilities if line.upper().startswith("SIZE ")]
        return int(sizes[0]) if sizes and sizes[0].isdecimal() and len(sizes[0]) < 20 else 0


Watch = Callable[[str, Peer], object]
"""Is told of each step that is done, `token`, `tls`, `greeting`, `ehlo` or `auth`, and of the peer as far as it is
known."""


class Opening:
    """One attempt to get in. Used once.

    Attributes:
        client: what the session goes on with.
    """

    def __init__(
        self,
        settings: SmtpSettings,
        credentials: Credentials,
        deadline: Deadline,
        dial: Dial,
        watch: Watch | None = None,
    ) -> None:
        self.client = Client(local_hostname="")
        self._settings = settings
        self._credentials = credentials
        self._deadline = deadline
        self._dial = dial
        self._watch = watch
        self._address = self._login = ""
        self._greeting = b""
        self._secured: ssl.SSLSocket | None = None

    def open(self) -> Peer:
        """Go all the way. After an error the connection is closed.

        Raises:
            OSError: smtplib's and ssl's among others; SessionRefused where it is this end that refuses.
            ValueError: something has no form that can be sent.
            WireError: reading or writing failed.
        """
        try:
            return self._open()
        except BaseException:
            self.client.hang_up()
            raise

    def _open(self) -> Peer:
        self._check()
        self._connect()
        self._ehlo()
        if self._wants_starttls():
            self._deadline.stage = "starttls"
            self.client.starttls(context=self._tls())
            self._ehlo()
        if self._credentials:
            self._log_in()
        return self._peer()

    def _done(self, step: str) -> None:
        if self._watch is not None:
            self._watch(step, self._peer())

    def _check(self) -> None:
        """Refuse what the system would take for something else: port 65536 + N for N, a newline in a name."""
        host, port = self._settings.host, self._settings.port
        if not is_host_name(host):
            raise SessionRefused(f"{host[:80]!r} is not a host name", stage="connect")
        if not 1 <= port <= 65_535:
            raise SessionRefused(f"{port} is not a port: they go from 1 to 65535", stage="connect")
        if not 0 < self._settings.timeout <= MAX_TIMEOUT:
            raise SessionRefused(f"a timeout of {self._settings.timeout} s is out of bounds", stage="connect")

    def _connect(self) -> None:
        settings = self._settings
        if settings.transport == "ssl":
            self.client = TlsClient(local_hostname="", context=self._tls())
        self.client.reach = self._reach
        self.client.command_encoding = "utf-8"
        self._greeting = expect(2, self.client.connect(settings.host, settings.port))
        sock = self._socket()
        self._address = sock.getpeername()[0]
        self.client.local_hostname = ehlo_name(socket.gethostname(), sock.getsockname()[0])
        self._done("greeting")

    def _reach(self, host: str, port: int) -> BoundedSocket:
        sock = self._dial(host, port, self._deadline)
        self._deadline.stage = "greeting"
        return sock

    def _socket(self) -> socket.socket:
        return cast(socket.socket, self.client.sock)

    def _ehlo(self) -> None:
        self._deadline.stage = "ehlo"
        expect(2, self.client.ehlo())
        self._done("ehlo")

    def _wants_starttls(self) -> bool:
        settings = self._settings
        plain = settings.plain_on_loopback and not self._credentials and is_loopback(self._address)
        return settings.transport == "starttls" and not plain

    def _tls(self) -> ssl.SSLContext:
        settings = self._settings
        before, self._deadline.stage = self._deadline.stage, "tls"
        try:
            context = self.context()
        except OSError as error:
            names = ", ".join(filter(None, (settings.ca_file, *(settings.client_certificate or ()))))
            raise SessionRefused(
                f"the certificates cannot be loaded ({names}): {error.strerror}", stage="tls"
            ) from None
        self._deadline.stage = before
        # smtplib asks no more of a context than to wrap a socket.
        return cast(ssl.SSLContext, Tls(context, settings.host, self._deadline, self._shaken))

    def context(self) -> ssl.SSLContext:
        return tls_context(self._settings.ca_file, self._settings.client_certificate)

    def _shaken(self, secured: ssl.SSLSocket) -> None:
        self._secured = secured
        self._done("tls")

    def _log_in(self) -> None:
        self._deadline.stage = "auth"
        inside_tls = isinstance(self.client.sock, ssl.SSLSocket)
        if not (inside_tls or is_loopback(self._address) or self._settings.insecure_login):
            raise SessionRefused("no login without TLS, except to a loopback address or if it is allowed", stage="auth")
        ways = mechanisms(self._settings.auth, INSIDE_TLS if inside_tls else IN_THE_CLEAR)
        code, reply = self._credentials.log_in(self.client, ways)
        if not code:
            raise SessionRefused(f"{self._settings.host} offers no login by {self._missing()}", stage="auth")
        if code != 235:
            raise smtplib.SMTPResponseException(code, reply)
        self._login = self._credentials.mechanism
        self._done("auth")

    def _missing(self) -> str:
        """Return what a login needs, and what there is instead."""
        wanted = ", ".join(mechanisms(self._settings.auth, INSIDE_TLS))
        offered = self._credentials.readable(self.client.esmtp_features.get("auth", "").encode())
        return f"{wanted}; it offers {', '.join(offered.upper().split())}" if offered else wanted

    def _peer(self) -> Peer:
        settings, readable, secured = self._settings, self._credentials.readable, self._secured
        spoken: Transport = settings.transport if secured else "none"
        lines = (self.client.ehlo_resp or b"").split(b"\n")[1:]
        return Peer(
            settings.host,
            settings.port,
            self._address,
            spoken,
            (secured.version() or "") if secured else "",
            readable(self._greeting),
            tuple(map(readable, lines)),
            (secured.cipher() or ("",))[0] if secured else "",
            (secured.getpeercert(binary_form=True) or b"") if secured else b"",
            self._login,
        )


def expect(first_digit: int, answer: tuple[int, bytes]) -> bytes:
    """Return the text of a reply whose code begins so (RFC 5321 section 4.2.1).

    Raises:
        smtplib.SMTPResponseException: it begins otherwise.
    """
    code, text = answer
    if code // 100 != first_digit:
        raise smtplib.SMTPResponseException(code, text)
    return text
