"""Opens a session, logged in as the settings say: fetch the credentials, connect, log in.

Once more with a new token, where the server refused the kept one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from alertlog.errors import DeliveryError
from alertlog.failures import FOREIGN, Failures
from alertlog.login import TRY_ANOTHER, Credentials
from alertlog.opening import Opening, Peer, Watch

if TYPE_CHECKING:
    from alertlog.settings import SmtpSettings
    from alertlog.tokens import Tokens
    from alertlog.wire import Client, Deadline, Dial


@dataclass(frozen=True, slots=True)
class Entrance:
    """A server that has let us in, and what a session with it needs."""

    client: Client
    peer: Peer
    deadline: Deadline
    credentials: Credentials
    failures: Failures


def enter(
    settings: SmtpSettings, deadline: Deadline, dial: Dial, tokens: Tokens, watch: Watch | None = None
) -> Entrance | DeliveryError:
    """Get in, or return why not: an error without traceback, cause and context, which could hold a secret."""
    entered = _enter(settings, deadline, dial, tokens, watch)
    if isinstance(entered, DeliveryError) and _gave_up(entered, settings, tokens):
        entered = _enter(settings, deadline, dial, tokens, watch)
        if isinstance(entered, DeliveryError):
            _gave_up(entered, settings, tokens)
    return entered


def _enter(
    settings: SmtpSettings, deadline: Deadline, dial: Dial, tokens: Tokens, watch: Watch | None
) -> Entrance | DeliveryError:
    credentials = Credentials(settings.username, settings.password)
    try:
        if settings.token_source is not None:
            deadline.stage = "token"
            credentials = Credentials(settings.username, tokens.of(settings.token_source, deadline))
            deadline.stage = "connect"
            if watch is not None:
                watch("token", Peer(settings.host, settings.port, "", "none", "", "", ()))
        opening = Opening(settings, credentials, deadline, dial, watch)
        peer = opening.open()
    except FOREIGN as error:
        return Failures(settings, credentials).of(error, deadline.stage)
    return Entrance(opening.client, peer, deadline, credentials, Failures(settings, credentials))


def _gave_up(error: DeliveryError, settings: SmtpSettings, tokens: Tokens) -> bool:
    """Give a token up that the server has refused; return whether another one can be had in its place."""
    refused = error.stage == "auth" and error.code is not None and error.category == "refused"
    if not refused or error.code in TRY_ANOTHER or settings.token_source is None:
        return False
    return tokens.forget(settings.token_source)
