"""Credentials: how they are shown to a mail server, and kept from everyone else.

RFC 4954 (SMTP AUTH), RFC 4616 (PLAIN, in UTF-8), RFC 2195 (CRAM-MD5), and XOAUTH2, which is Google's and Microsoft's.
smtplib's own `login` encodes in ASCII only, and on failure raises errors that hold the password.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable
from typing import TYPE_CHECKING

from alertlog.echoes import Echoes
from alertlog.errors import SessionRefused

if TYPE_CHECKING:
    import smtplib

    from alertlog.access import Auth

Reply = tuple[int, bytes]

INSIDE_TLS = ("PLAIN", "LOGIN", "CRAM-MD5")
IN_THE_CLEAR = ("CRAM-MD5", "PLAIN", "LOGIN")  # the first does not show the password to who listens
TRY_ANOTHER = frozenset({504, 534, 538})
"""The mechanism is unknown, too weak, or wants encryption: not the password's fault (RFC 4954 section 6)."""
LINE_LIMIT = 510
"""Octets of a command without its line end (RFC 5321 section 4.5.3.1.4); an answer to a 334 may be longer."""


def mechanisms(auth: Auth, order: tuple[str, ...]) -> tuple[str, ...]:
    """Return the mechanisms to try: in this order, or the one that was chosen."""
    return order if auth == "auto" else (auth.upper(),)


class Credentials:
    """A user name and a password, or a token in its place, or neither.

    What a server answers may repeat them, as text or in base64; `redact` takes them out again.

    Attributes:
        mechanism: the last one that was tried, "" before that.
    """

    def __init__(self, username: str, password: str) -> None:
        self.mechanism = ""
        self._username = _octets(username)
        self._password = _octets(password)
        self._echoes = Echoes(self._password)
        self.redact = self._echoes.redact
        self.readable = self._echoes.readable

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
                self.mechanism = mechanism
                reply = self._exchange(client, mechanism)
                if reply[0] not in TRY_ANOTHER:
                    break
        return reply

    def _exchange(self, client: smtplib.SMTP, mechanism: str) -> Reply:
        if mechanism == "PLAIN":
            response = _encoded(b"\0" + self._username + b"\0" + self._password)
            return client.docmd("AUTH", f"PLAIN {response}")
        if mechanism == "XOAUTH2":
            return self._show_token(client)
        code, challenge = client.docmd("AUTH", mechanism)
        for answer in self._answers(mechanism):
            if code != 334:
                break
            code, challenge = client.docmd(_encoded(answer(challenge)))
        return code, challenge

    def _show_token(self, client: smtplib.SMTP) -> Reply:
        response = _encoded(b"user=" + self._username + b"\1auth=Bearer " + self._password + b"\1\1")
        command = f"XOAUTH2 {response}"
        if len(f"AUTH {command}") <= LINE_LIMIT:
            code, said = client.docmd("AUTH", command)
        else:  # longer ones have to wait until they are asked for (RFC 4954 section 4)
            code, said = client.docmd("AUTH", "XOAUTH2")
            if code == 334:
                code, said = client.docmd(response)
        if code != 334:
            return code, said
        # Not a question, but why it is refused; the refusal itself comes when that is answered with nothing.
        code, refusal = client.docmd("")
        return code, refusal + b" " + _decoded(said)

    def _answers(self, mechanism: str) -> tuple[Callable[[bytes], bytes], ...]:
        if mechanism == "LOGIN":
            return (lambda _prompt: self._username, lambda _prompt: self._password)
        return (self._digest,)

    def _digest(self, challenge: bytes) -> bytes:
        digest = hmac.digest(self._password, base64.b64decode(challenge), "md5").hex().encode("ascii")
        self._echoes.know(digest)
        return self._username + b" " + digest


def _octets(text: str) -> bytes:
    """Return the text in UTF-8, or the environment's own bytes where they are not; NUL for what has none."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return b"\0"


def _encoded(octets: bytes) -> str:
    return base64.b64encode(octets).decode("ascii")


def _decoded(challenge: bytes) -> bytes:
    try:
        return base64.b64decode(challenge)
    except ValueError:
        return challenge
