"""A token from an OAuth 2 token server (RFC 6749): by client credentials (section 4.4), or by a refresh token (6).

What the request and the answer look like is oauthlib's to know, which is imported at the first use. The HTTP goes over
the sockets of this library, so that it ends with the attempt's own deadline however slowly the answer comes. Redirects
are not followed: the client's secret goes where the settings say, and proxies are not asked.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, IncompleteRead
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from alertlog.echoes import Echoes
from alertlog.errors import DeadlineExceeded, DeliveryError, ServerUnavailable, SessionRefused
from alertlog.tls import Tls, tls_context
from alertlog.wire import REPLY_LIMIT, Deadline, Dial, WireError, dial, is_loopback

if TYPE_CHECKING:
    from alertlog.access import OAuthClient

_LATER = ("server_error", "temporarily_unavailable", "slow_down")
"""Errors of the protocol that pass by themselves."""
_TOO_MANY = (408, 425, 429)
"""4xx that pass by themselves, too."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the token server gave.

    Attributes:
        seconds: for how long the token is good; None if it does not say.
        refresh_token: the one to use from now on, or "".
    """

    token: str = field(repr=False)
    seconds: float | None
    refresh_token: str = field(default="", repr=False)


def request(client: OAuthClient, refresh_token: str, deadline: Deadline, dial: Dial = dial) -> Answer:
    """Ask for a token, with the refresh token if there is one; `dial` reaches the server.

    Raises:
        SessionRefused: the server gives us none, or is not to be trusted.
        ServerUnavailable: it can't be reached, or is in trouble itself.
        DeadlineExceeded: the time is up.
    """
    from oauthlib.oauth2 import BackendApplicationClient

    asking = BackendApplicationClient(client.client_id)
    secret = {"client_secret": client.client_secret} if client.client_secret else {}
    if refresh_token:
        body = asking.prepare_refresh_body("", refresh_token, client.scope, client_id=client.client_id, **secret)
    else:
        body = asking.prepare_request_body("", client.scope, include_client_id=True, **secret)
    server = _Server(client, deadline, dial, Echoes(client.client_secret.encode(), refresh_token.encode()))
    status, content = server.post(body)
    return server.answer(asking, status, content)


class _Connection(HTTPConnection):
    """An HTTP connection over a bounded socket: inside TLS, or to this machine."""

    def __init__(self, host: str, port: int, deadline: Deadline, dial: Dial, context: ssl.SSLContext | None) -> None:
        super().__init__(host, port)
        self._deadline = deadline
        self._dial = dial
        self._context = context

    def connect(self) -> None:
        sock = self._dial(self.host, self.port, self._deadline)
        self.sock = sock
        if self._context is not None:
            self.sock = Tls(self._context, self.host, self._deadline).wrap_socket(sock)
        elif not is_loopback(sock.getpeername()[0]):  # what a name server or a hosts file makes of `localhost`
            text = f"the token server {self.host} is not on this machine, and http:// would show it the secret"
            raise SessionRefused(f"{text}; use https://", stage="token")


class _Server:
    """The token server, and what its answers mean."""

    def __init__(self, client: OAuthClient, deadline: Deadline, dial: Dial, echoes: Echoes) -> None:
        self._client = client
        self._url = urlsplit(client.url)
        self._deadline = deadline
        self._dial = dial
        self._echoes = echoes

    def post(self, body: str) -> tuple[int, bytes]:
        """Return the status and the content of the answer.

        Raises:
            SessionRefused: the server is not to be trusted, or the certificates to tell by cannot be loaded.
            ServerUnavailable: it can't be reached, or does not speak HTTP.
            DeadlineExceeded: the time is up.
        """
        try:
            return self._post(body)
        except (OSError, WireError, HTTPException, ValueError) as error:
            failure = self._failure(error.error if isinstance(error, WireError) else error)
        # Out here, so that it has no context, in which the body could be found.
        raise failure

    def _post(self, body: str) -> tuple[int, bytes]:
        url = self._url
        secure = url.scheme == "https"
        context = self._context() if secure else None
        port = url.port or (443 if secure else 80)
        connection = _Connection(url.hostname or "", port, self._deadline, self._dial, context)
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/json",
            "Connection": "close",
        }
        try:
            target = f"{url.path or '/'}?{url.query}" if url.query else url.path or "/"
            connection.request("POST", target, body, headers)
            response = connection.getresponse()
            # Bounded, as http.client makes room at once for all that Content-Length promises.
            content = response.read(REPLY_LIMIT)
            if response.length:
                raise IncompleteRead(b"", response.length)
            return response.status, content
        finally:
            connection.close()

    def _context(self) -> ssl.SSLContext:
        try:
            return tls_context(self._client.ca_file)
        except OSError as error:
            text = f"the certificates cannot be loaded ({self._client.ca_file}): {error.strerror}"
            raise SessionRefused(text, stage="token") from None

    def _failure(self, error: Exception) -> DeliveryError:
        if isinstance(error, DeliveryError):
            return error
        where = f"the token server {self._url.hostname}"
        if isinstance(error, TimeoutError):
            return DeadlineExceeded(f"{where} did not answer within {self._deadline.seconds:g} s", stage="token")
        if isinstance(error, ssl.SSLCertVerificationError):
            return SessionRefused(f"the certificate of {where} is not trusted: {error.verify_message}", stage="token")
        if isinstance(error, OSError):
            reason = error.strerror or type(error).__name__
            return ServerUnavailable(f"{where} can't be reached: {reason}", stage="token")
        return ServerUnavailable(f"{where} does not speak HTTP: {type(error).__name__}", stage="token")

    def answer(self, asking: Any, status: int, content: bytes) -> Answer:
        """Return what is in an answer.

        Raises:
            SessionRefused: the server gives no token, and will not until somebody repairs something.
            ServerUnavailable: it gives none now.
        """
        from oauthlib.oauth2 import OAuth2Error

        try:
            given = asking.parse_request_body_response(content.decode("utf-8"))
            if status == 200:
                return self._answer(given)
            problem, passes = "", False
        except OAuth2Error as error:
            problem, passes = f"{error.error}: {error.description or ''}", error.error in _LATER
        except Exception as error:  # whatever a parser makes of what is no answer at all
            problem, passes = f"what it says makes no sense ({type(error).__name__})", False
        passes = passes or status >= 500 or status in _TOO_MANY
        failure = ServerUnavailable if passes else SessionRefused
        said = self._echoes.readable(problem.encode("utf-8", "replace"))
        raise failure(f"the token server {self._url.hostname} answered with HTTP {status}, {said}", stage="token")

    def _answer(self, given: Any) -> Answer:
        return Answer(
            str(given["access_token"]), seconds_of(given.get("expires_in")), str(given.get("refresh_token") or "")
        )


def seconds_of(expires_in: Any) -> float | None:
    """Return for how long a token is good; some servers say it as a text."""
    try:
        return max(0.0, float(expires_in))
    except (TypeError, ValueError, OverflowError):
        return None
