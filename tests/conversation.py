"""One SMTP connection as its server sees it, for `tests.servers`: each octet can be paced, inside TLS too."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable


class HangUp(Exception):
    """Ends a conversation; the connection is closed."""


class Conversation:
    """One connection, seen from the server.

    Attributes:
        pace: is called before each octet that goes out, if it is set.
        heard: the client's last line.
        said: the last reply.
    """

    def __init__(self, sock: socket.socket, record: bytearray, stopped: threading.Event) -> None:
        self.pace: Callable[[], object] | None = None
        self.heard = self.said = b""
        self.stopped = stopped
        self._sock = sock
        self._record = record
        self._unread = b""
        self._tls: ssl.SSLObject | None = None
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()

    def reply(self, text: str) -> None:
        self.said = text.encode()
        self.send(b"".join(line + b"\r\n" for line in self.said.split(b"\n")))

    def send(self, data: bytes) -> None:
        if self._tls:
            self._tls.write(data)
            data = self._outgoing.read()
        self._transmit(data)

    def read_line(self) -> bytes:
        self.heard = self._read_until(b"\r\n")
        return self.heard

    def read_content(self) -> bytes:
        """Return what follows the 354, as it came over the wire, without the final dot."""
        return self._read_until(b"\r\n.\r\n")

    def read(self) -> bytes:
        """Return some octets as soon as there are any."""
        while self._tls:
            try:
                data = self._tls.read(65_536)
            except ssl.SSLWantReadError:
                self._incoming.write(self._receive())
            else:
                self._record += data
                return data
        return self._receive()

    def shake_hands(self, context: ssl.SSLContext) -> None:
        """Go on inside TLS; what the client sent before that is forgotten."""
        self._unread = b""
        tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        try:
            while True:
                try:
                    tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    self._transmit(self._outgoing.read())
                    self._incoming.write(self._receive())
        finally:
            self._transmit(self._outgoing.read())
        self._tls = tls

    def wait(self, seconds: float) -> None:
        """Let time pass, but not beyond the server's end."""
        if self.stopped.wait(seconds):
            raise HangUp

    def reset(self) -> None:
        """Close with RST, as a crashed machine's kernel does."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise HangUp

    def _read_until(self, mark: bytes) -> bytes:
        while mark not in self._unread:
            self._unread += self.read()
        before, _, self._unread = self._unread.partition(mark)
        return before

    def _receive(self) -> bytes:
        data = self._sock.recv(65_536)
        if not data:
            raise HangUp
        if not self._tls:
            self._record += data
        return data

    def _transmit(self, data: bytes) -> None:
        if self.pace is None:
            self._sock.sendall(data)
            return
        for octet in struct.iter_unpack("c", data):
            self.pace()
            self._sock.sendall(octet[0])
