"""The connection beneath an SMTP session: every wait ends on one deadline, every reply has a bounded size.

A socket's own timeout starts anew with each byte, so a server that sends one byte a second would hold a
session for ever. These sockets ask the deadline before each wait.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import re
import select
import smtplib
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

    from alertlog.clock import Clock

REPLY_LIMIT = 65_536
"""Bytes read of the answer to one command. Real ones are far below 4 kB; smtplib would gather 256 MiB."""

_FULL_NAME = re.compile(
    r"(?=.{3,253}\Z)[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)+"
)


class Deadline:
    """The wall time of one attempt, shared by all that waits in it, and what it is spent on.

    Attributes:
        seconds: how long an attempt may take.
        stage: the step under way: `connect`, `tls`, `greeting` or an SMTP verb in lower case.
    """

    def __init__(self, clock: Clock, seconds: float) -> None:
        self.seconds = seconds
        self.stage = "connect"
        self._clock = clock
        self.renew()

    def renew(self) -> None:
        """Start the time anew."""
        self._end = self._clock.monotonic() + self.seconds

    def left(self) -> float:
        """Return the seconds that are left, more than 0.

        Raises:
            TimeoutError: the time is up.
        """
        left = self._end - self._clock.monotonic()
        if left <= 0:
            raise TimeoutError("the time is up")
        return left


class WireError(Exception):
    """Holds the OSError that a read or a write met; is none itself, as smtplib would hide it behind its own.

    Attributes:
        error: the time is up, TLS is at fault, the connection broke.
    """

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.error = error


class BoundedSocket(socket.socket):
    """A socket with a deadline for every wait, and a limit for what it takes between two sends."""

    deadline: Deadline
    received = 0

    def recv_into(self, buffer: WriteableBuffer, nbytes: int | None = None, flags: int = 0) -> int:
        try:
            self.settimeout(self.deadline.left())
            count = super().recv_into(buffer, nbytes or 0, flags)
        except OSError as error:
            raise WireError(error) from None
        self.received += count
        if self.received > REPLY_LIMIT:
            raise WireError(ConnectionAbortedError(f"a reply is longer than {REPLY_LIMIT:,} bytes"))
        return count

    def sendall(self, data: ReadableBuffer, flags: int = 0) -> None:
        self.received = 0
        with memoryview(data) as view, view.cast("B") as octets:
            sent = 0
            while sent < len(octets):
                sent += self._send_some(octets[sent:], flags)

    def _send_some(self, octets: memoryview, flags: int) -> int:
        try:
            self.settimeout(self.deadline.left())
            return self.send(octets, flags)
        except OSError as error:
            raise WireError(error) from None


class BoundedTlsSocket(BoundedSocket, ssl.SSLSocket):
    """The same inside TLS: here a timeout bounds one call as a whole, however the bytes drip."""

    def do_handshake(self, block: bool = False) -> None:
        self.settimeout(self.deadline.left())
        super().do_handshake(block)

    def getpeername(self) -> Any:
        """Raises ConnectionResetError if the connection is gone, after closing.

        Python before 3.13, which asks this before the handshake, would forget the socket and leave it open.
        """
        try:
            return super().getpeername()
        except OSError:
            self.close()
            raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET)) from None


Dial = Callable[[str, int, Deadline], BoundedSocket]
"""How to reach a host's port."""

Address = tuple[int, int, int, str, Any]
"""What `socket.getaddrinfo` returns a list of."""


def dial(host: str, port: int, deadline: Deadline) -> BoundedSocket:
    """Resolve the name, which may overrun the deadline as nothing can interrupt it, and connect.

    Raises:
        OSError: as `first_to_answer`; socket.gaierror if there is no such name.
    """
    return first_to_answer(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM), deadline)


def first_to_answer(addresses: Sequence[Address], deadline: Deadline) -> BoundedSocket:
    """Connect to the first address that answers; each has its share of the time that is left.

    Raises:
        OSError: none answered; the last one's error.
        TimeoutError: the time is up.
    """
    for remaining in range(len(addresses), 1, -1):
        with suppress(OSError):
            return _reach(addresses[-remaining], deadline, remaining)
    return _reach(addresses[-1], deadline, 1)


def _reach(entry: Address, deadline: Deadline, remaining: int) -> BoundedSocket:
    family, kind, protocol, _name, address = entry
    sock = BoundedSocket(family, kind, protocol)
    try:
        sock.deadline = deadline
        sock.settimeout(deadline.left() / remaining)
        sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return sock


def is_host_name(text: str) -> bool:
    """Whether it can be looked up; where it can't be encoded, Python 3.11's ssl would leave a socket open."""
    try:
        text.encode("idna")
    except UnicodeError:
        return False
    return 0 < len(text) <= 253 and text.isprintable() and " " not in text


def is_address(host: str) -> bool:
    """Whether it is an IP address rather than a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback(address: str) -> bool:
    """Whether a socket's address cannot leave this machine, an IPv4 one in IPv6 clothes included."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(ip, "ipv4_mapped", None)
    return (mapped or ip).is_loopback


def ehlo_name(host_name: str, address: str) -> str:
    """Return how to introduce this machine: by a full name, else by its address (RFC 5321 section 4.1.3).

    smtplib would ask `socket.getfqdn`, which can wait for a name server beyond any deadline.
    """
    if _FULL_NAME.fullmatch(host_name) and not host_name.startswith("localhost."):
        return host_name
    address = address.partition("%")[0]
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"


class Client(smtplib.SMTP):
    """smtplib's client over a bounded socket, and particular about what a reply is."""

    reach: Callable[[str, int], BoundedSocket]

    def _get_socket(self, host: str, port: int, _timeout: float) -> socket.socket:
        return self.reach(host, port)

    def getreply(self) -> tuple[int, bytes]:
        """Raises SMTPServerDisconnected for what is no reply: smtplib returns -1, or 500 for a long line."""
        try:
            code, text = super().getreply()
        except smtplib.SMTPResponseException:
            code, text = -1, b""
        if not 200 <= code <= 599:
            raise smtplib.SMTPServerDisconnected("what came is not an SMTP reply")
        return code, text

    def is_quiet(self) -> bool:
        """Whether the connection is open and nothing waits to be read: no goodbye, no end, no stray reply."""
        if self.sock is None:
            return False
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        return not poll.poll(0)

    def say_goodbye(self) -> None:
        """Send QUIT, if that can be done without waiting; its answer is not waited for either."""
        if self.sock is not None:
            with suppress(OSError):
                self.sock.settimeout(0)
                self.sock.send(b"QUIT\r\n")

    def hang_up(self) -> None:
        """Close the connection at once."""
        if self.sock is not None:
            with suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)
        self.close()


class TlsClient(smtplib.SMTP_SSL, Client):
    """The same with TLS from the first byte."""
