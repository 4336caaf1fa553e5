"""Credentials: how they are shown to a mail server, and kept from everyone else.

RFC 4954 (SMTP AUTH), RFC 4616 (PLAIN, in UTF-8), RFC 2195 (CRAM-MD5). smtplib's own `login` encodes in ASCII
only, and on failure raises errors that hold the password.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from alertlog.errors import SessionRefused

if TYPE_CHECKING:
    import smtplib

Reply = tuple[int, bytes]

INSIDE_TLS = ("PLAIN", "LOGIN", "CRAM-MD5")
IN_THE_CLEAR = ("CRAM-MD5", "PLAIN", "LOGIN")  # the first does not show the password to who listens
_TRY_ANOTHER = frozenset({504, 534, 538})
"""The mechanism is unknown, too weak, or wants encryption: not the password's fault (RFC 4954 section 6)."""

TEXT_LIMIT = 300
"""Characters kept of what a server says."""

_MASK = b"[redacted]"
_BASE64 = re.compile(rb"[A-Za-z0-9+/_=-]{2,}")


class Credentials:
    """A user name and a password, or neither.

    What a server answers may repeat them, as text or in base64; `redact` takes them out again.
    """

    def __init__(self, username: str, password: str) -> None:
        self._username = _octets(username)
        self._password = _octets(password)
        self._cores: tuple[bytes, ...] = ()
        self._keep_secret(self._password)

    def __bool__(self) -> bool:
        return bool(self._username)

    def log_in(self, client: smtplib.SMTP, mechanisms: tuple[str, ...]) -> Reply:
        """Try those of the mechanisms that the server offers, in this order; (0, b"") if it offers none.

        A refused password is not tried again by the next mechanism: servers count failures, and then lock
        accounts.

        Returns:
            The server's last answer; 235 is success.

        Raises:
            SessionRefused: user name or password hold what cannot be sent (RFC 4616 section 2).
            ValueError: the server's challenge is not base64, or this machine has no MD5.
        """
        if b"\0" in self._username + self._password:
            raise SessionRefused("the user name or the password holds a character that cannot be sent", stage="auth")
        offered = client.esmtp_features.get("auth", "").upper().split()
        reply = (0, b"")
        for mechanism in mechanisms:
            if mechanism in offered:
                reply = self._exchange(client, mechanism)
                if reply[0] not in _TRY_ANOTHER:
                    break
        return reply

    def _exchange(self, client: smtplib.SMTP, mechanism: str) -> Reply:
        if mechanism == "PLAIN":
            response = _encoded(b"\0" + self._username + b"\0" + self._password)
            return client.docmd("AUTH", f"PLAIN {response}")
        code, challenge = client.docmd("AUTH", mechanism)
        for answer in self._answers(mechanism):
            if code != 334:
                break
            code, challenge = client.docmd(_encoded(answer(challenge)))
        return code, challenge

    def _answers(self, mechanism: str) -> tuple[Callable[[bytes], bytes], ...]:
        if mechanism == "LOGIN":
            return (lambda _prompt: self._username, lambda _prompt: self._password)
        return (self._digest,)

    def _digest(self, challenge: bytes) -> bytes:
        digest = hmac.digest(self._password, base64.b64decode(challenge), "md5").hex().encode("ascii")
        self._keep_secret(digest)
        return self._username + b" " + digest

    def _keep_secret(self, secret: bytes) -> None:
        self._cores += tuple(filter(None, _cores(secret)))

    def redact(self, text: bytes) -> bytes:
        """Return the text without the password, and without any base64 word that has it inside."""
        if self._password:
            text = text.replace(self._password, _MASK)
        return _BASE64.sub(self._masked, text) if self._cores else text

    def readable(self, reply: bytes) -> str:
        """Return what a server said as one line of printable text, redacted and cut to size."""
        text = self.redact(reply).decode("utf-8", "replace")
        return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:TEXT_LIMIT]

    def _masked(self, word: re.Match[bytes]) -> bytes:
        return _MASK if any(core in word[0] for core in self._cores) else word[0]


def _octets(text: str) -> bytes:
    """Return the text in UTF-8, or the environment's own bytes where they are not; NUL for what has none."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return b"\0"


def _encoded(octets: bytes) -> str:
    return base64.b64encode(octets).decode("ascii")


def _cores(secret: bytes) -> Iterator[bytes]:
    """Yield what a base64 text with the secret in it shows of that, for the three ways it can lie there.

    Characters at its ends that also carry bits of what stands before and after it are left out.
    """
    for offset in range(3):
        whole = (offset + len(secret)) * 8 // 6
        yield base64.b64encode(bytes(offset) + secret)[(offset * 8 + 5) // 6 : whole]
