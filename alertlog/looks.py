"""A second look at a server that could not be used: its certificate, read without trusting it.

Nothing but EHLO and STARTTLS is sent, and nothing after the handshake: whoever answers is not trusted.
"""

from __future__ import annotations

import os
import ssl
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from alertlog.certificate import Certificate, read_certificate
from alertlog.failures import FOREIGN
from alertlog.login import Credentials
from alertlog.opening import Opening, Peer
from alertlog.wire import BoundedTlsSocket, Deadline, Dial

if TYPE_CHECKING:
    from alertlog.clock import Clock
    from alertlog.settings import SmtpSettings

PATIENCE = 3.0
"""Seconds for one look, or less where an attempt to deliver has less."""


class _SeenEnough(Exception):
    """Ends the opening after the handshake."""


class _Look(Opening):
    """An opening that trusts whoever answers, and ends where trust would be needed."""

    def context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.sslsocket_class = BoundedTlsSocket
        return context


def shown_certificate(settings: SmtpSettings, clock: Clock, dial: Dial) -> Certificate | None:
    """Return the certificate that the server shows on the way that the settings name; None if it shows none."""
    shown: list[bytes] = []

    def see(step: str, peer: Peer) -> None:
        if step == "tls":
            shown.append(peer.certificate)
            raise _SeenEnough

    settings = replace(settings, plain_on_loopback=False)
    deadline = Deadline(clock, min(PATIENCE, settings.timeout))
    with suppress(_SeenEnough, *FOREIGN):
        _Look(settings, Credentials("", ""), deadline, dial, see).open()
    return read_certificate(shown[0]) if shown else None


def speaks_tls_at_once(settings: SmtpSettings, clock: Clock, dial: Dial) -> bool:
    """Whether the server begins with TLS at this port, whatever the settings say."""
    return shown_certificate(replace(settings, transport="ssl"), clock, dial) is not None


def knows_authorities() -> bool:
    """Whether this system has any certificates of authorities: a slim container mostly has none."""
    if ssl.create_default_context().cert_store_stats()["x509_ca"]:
        return True
    folder = ssl.get_default_verify_paths().capath
    try:
        return bool(folder) and bool(os.listdir(folder))
    except OSError:  # what can't be read vouches for nobody
        return False
