"""The public test kit: a clock that moves when told to, and a mail server that records what reaches it.

`ManualClock` needs the standard library only, `MailServer` the extra `testing` (aiosmtpd and trustme).

    with MailServer() as server:
        os.environ.update(server.environ())
        logging.getLogger("app").critical("Disk full")
        (mail,) = server.wait_for(1)
    assert "Disk full" in mail.text
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Self

from alertlog.smtpd import Inbox, Listener, Mail

if TYPE_CHECKING:
    import ssl

    from alertlog.settings import Transport

__all__ = ["Mail", "MailServer", "ManualClock"]


class ManualClock:
    """A `Clock` that stands still until it is moved, for tests of anything that waits or expires.

    >>> clock = ManualClock(wall=1_000.0)
    >>> clock.advance(300)
    >>> clock.wall()
    1300.0

    Args:
        wall: Unix time in seconds to begin with; by default the start of the year 2026.
        monotonic: seconds from an arbitrary start.
    """

    def __init__(self, wall: float = 1_767_225_600.0, monotonic: float = 1_000.0) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._lock = threading.Lock()

    def wall(self) -> float:
        """Return the calendar time in seconds since the Unix epoch."""
        return self._wall

    def monotonic(self) -> float:
        """Return seconds from the arbitrary start."""
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Let time pass on both clocks.

        Raises:
            ValueError: the seconds are negative; only the calendar can go back, see `set_wall`.
        """
        if seconds < 0:
            raise ValueError(f"time passes forwards, not by {seconds} s")
        with self._lock:
            self._wall += seconds
            self._monotonic += seconds

    def set_wall(self, time: float) -> None:
        """Set the calendar alone, back or forth, as an administrator or NTP does; Unix time in seconds."""
        with self._lock:
            self._wall = time


class MailServer:
    """A real SMTP server on the loopback, in a thread of its own, that keeps every mail it accepts.

    It runs while its `with` block does. Inside the block, `stop()` and `start()` make an outage: the server
    comes back on the same port, with the same certificate and the mails that it had.

    Args:
        transport: `starttls` (and no mail without it), `ssl` (TLS from the first byte) or `none`.
        login: the only (user name, password) that may send; None lets everybody send.
        refusals: by recipient, the reply to its RCPT, such as "550 5.1.1 no such user".
        data_reply: the reply after the final dot; a mail is kept only if it begins with 2.
        size_limit: bytes that it takes of one mail; to a larger one it answers 552.
        extensions: those of SIZE and SMTPUTF8 that it offers.
        names: the host names and addresses that the certificate is good for.

    Attributes:
        host: the address it listens on.
        port: the port it listens on, which the system chose.
        ca_file: the path of the CA certificate to trust, as PEM; "" for the transport `none`.
        connections: how many connections there were so far.

    `login`, `refusals`, `data_reply`, `size_limit` and `extensions` are attributes too, and may be changed while the
    server runs; the last two hold from the next connection on.
    """

    host = "127.0.0.1"

    def __init__(
        self,
        transport: Transport = "starttls",
        *,
        login: tuple[str, str] | None = None,
        refusals: Mapping[str, str] | None = None,
        data_reply: str = "250 2.0.0 accepted",
        size_limit: int = 33_554_432,
        extensions: Collection[str] = ("SIZE", "SMTPUTF8"),
        names: Sequence[str] = ("127.0.0.1", "localhost"),
    ) -> None:
        self.transport: Transport = transport
        self.login = login
        self.refusals: Mapping[str, str] = refusals or {}
        self.data_reply = data_reply
        self.size_limit = size_limit
        self.extensions = extensions
        self.names = tuple(names)
        self.port = 0
        self.ca_file = ""
        self.connections = 0
        self._inbox = Inbox()
        self._resources = ExitStack()
        self._tls: ssl.SSLContext | None = None
        self._listener: Listener | None = None

    def __enter__(self) -> Self:
        with ExitStack() as resources:
            if self.transport != "none":
                folder = resources.enter_context(TemporaryDirectory(prefix="alertlog-ca-"))
                self.ca_file = str(Path(folder, "ca.pem"))
                self._tls = _certify(self.names, self.ca_file)
            self.start()
            resources.callback(self.stop)
            self._resources = resources.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._resources.close()

    def start(self) -> None:
        """Listen; does nothing if it does already.

        Raises:
            OSError: after an outage, another program has taken the port.
        """
        if self._listener is None:
            listener = Listener(self, self._inbox, self._tls)
            self.port = listener.open(self.host, self.port)
            self._listener = listener

    def stop(self) -> None:
        """Refuse connections and cut those that are open; does nothing if it is stopped."""
        listener, self._listener = self._listener, None
        if listener:
            listener.close()

    @property
    def mails(self) -> list[Mail]:
        """The mails accepted so far, in order."""
        return self._inbox.mails

    def wait_for(self, count: int, timeout: float = 10.0) -> tuple[Mail, ...]:
        """Wait until that many mails have come since the beginning, and return all that came.

        Args:
            count: how many mails.
            timeout: how long to wait, in seconds.

        Raises:
            TimeoutError: fewer came; it names their subjects.
        """
        return self._inbox.wait_for(count, timeout)

    def environ(self, prefix: str = "SMTP_") -> dict[str, str]:
        """Return the environment variables that make a program send its mail here."""
        values = {
            "HOST": self.host,
            "PORT": str(self.port),
            "TRANSPORT": self.transport,
            "FROM": "alerts@example.org",
            "TO": "oncall@example.org",
        }
        if self.ca_file:
            values["CA_FILE"] = self.ca_file
        if self.login:
            values["USERNAME"], values["PASSWORD"] = self.login
        return {prefix + name: value for name, value in values.items()}


def _certify(names: Sequence[str], ca_file: str) -> ssl.SSLContext:
    """Make a CA, write its certificate to a file, and return a server's context with one that it issued."""
    import ssl

    import trustme

    authority = trustme.CA()
    authority.cert_pem.write_to_path(ca_file)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context
