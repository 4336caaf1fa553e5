"""TLS for an SMTP session: 1.2 or newer, certificate and host name verified, handshake on the deadline."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Callable
from functools import lru_cache

from alertlog.wire import BoundedTlsSocket, Deadline


class Tls:
    """Stands for the SSLContext that smtplib asks to wrap a socket, and knows host and deadline."""

    def __init__(
        self,
        context: ssl.SSLContext,
        host: str,
        deadline: Deadline,
        shaken: Callable[[ssl.SSLSocket], object] | None = None,
    ) -> None:
        """`shaken` is called with the socket once the handshake is done."""
        self._context = context
        self._host = host
        self._deadline = deadline
        self._shaken = shaken

    def wrap_socket(self, sock: socket.socket, server_hostname: str | None = None) -> ssl.SSLSocket:
        """Shake hands, and verify the certificate against the host, whatever smtplib says that it is called.

        Raises:
            ssl.SSLError: the handshake failed, or the certificate is not to be trusted.
            OSError: the connection broke, or the time is up.
        """
        del server_hostname
        before, self._deadline.stage = self._deadline.stage, "tls"
        wrapped = self._context.wrap_socket(sock, server_hostname=self._host, do_handshake_on_connect=False)
        try:
            vars(wrapped)["deadline"] = self._deadline
            wrapped.do_handshake()
            if self._shaken is not None:
                self._shaken(wrapped)
        except BaseException:
            wrapped.close()
            raise
        self._deadline.stage = before
        return wrapped


Certificate = tuple[str, str]
"""The paths of a client's key file and certificate file."""


def tls_context(ca_file: str = "", client_certificate: Certificate | None = None) -> ssl.SSLContext:
    """Return a context that trusts the system's CAs and those in `ca_file`.

    Building one takes some 34 ms, so it is kept until one of the files changes.

    Raises:
        OSError: a file cannot be read, or holds no certificate (ssl.SSLError).
    """
    system = ssl.get_default_verify_paths()
    files = (ca_file, *(client_certificate or ()), system.cafile or "", system.capath or "")
    return _tls_context(ca_file, client_certificate, tuple(_stamp(path) for path in files if path))


def _stamp(path: str) -> tuple[str, int, int, int]:
    about = os.stat(path)
    return path, about.st_mtime_ns, about.st_size, about.st_ino


@lru_cache(maxsize=8)
def _tls_context(ca_file: str, client_certificate: Certificate | None, _stamps: object) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.sslsocket_class = BoundedTlsSocket
    if ca_file:
        context.load_verify_locations(cafile=ca_file)
    if client_certificate:
        key_file, certificate_file = client_certificate
        # With no password given, OpenSSL would ask for an encrypted key's on the terminal, and wait.
        context.load_cert_chain(certificate_file, key_file or None, password="")
    return context
