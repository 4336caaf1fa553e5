"""Tokens in the place of passwords: from where the settings say, kept until they expire, had anew after a refusal."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from alertlog.access import FixedToken, OAuthClient, TokenCommand, TokenSource, is_token
from alertlog.errors import SessionRefused

if TYPE_CHECKING:
    from alertlog.clock import Clock
    from alertlog.wire import Deadline

KEPT = 300.0
"""Seconds for which a token is used again that does not say how long it is good."""
LONGEST = 86_400.0
"""Seconds; whatever it says, a token is had anew after a day."""
EARLY = 60.0
"""Seconds before its expiry at which a token is replaced; a tenth of its lifetime if that is less."""
SOURCES = 16
"""How many sources have a token kept, and how many a refresh token; settings that change leave old ones behind."""

Source = TypeVar("Source", bound=TokenSource)

_NAMES = ("access_token", "accessToken", "token")


@dataclass(frozen=True, slots=True)
class Fresh:
    """A token that was had just now, and for how many seconds it is good; None if nobody says."""

    token: str = field(repr=False)
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class _Kept:
    token: str = field(repr=False)
    until: float


class Tokens:
    """The tokens of one handler's servers. Used by one thread.

    Args:
        learn: is told each token that comes, to keep it out of what is written.
    """

    def __init__(self, clock: Clock, learn: Callable[[str], object] = str) -> None:
        self._clock = clock
        self._learn = learn
        self._kept: dict[TokenSource, _Kept] = {}
        self._refresh: dict[OAuthClient, str] = {}

    def of(self, source: TokenSource, deadline: Deadline) -> str:
        """Return a token that is good for now, as far as one can know.

        Raises:
            SessionRefused: there is none to be had until somebody repairs something.
            ServerUnavailable: there is none now.
            DeadlineExceeded: the time is up.
        """
        if isinstance(source, FixedToken):
            return source.token
        kept = self._kept.get(source)
        if kept is not None and self._clock.monotonic() < kept.until:
            return kept.token
        fresh = (
            self._from_command(source, deadline) if isinstance(source, TokenCommand) else self._ask(source, deadline)
        )
        self._learn(fresh.token)
        self._keep(source, fresh)
        return fresh.token

    def forget(self, source: TokenSource) -> bool:
        """A server has refused the token. Return whether another one can be had at once."""
        return self._kept.pop(source, None) is not None

    def _keep(self, source: TokenSource, fresh: Fresh) -> None:
        seconds = min(LONGEST, KEPT if fresh.seconds is None else fresh.seconds)
        gone = _make_room(self._kept, source)
        if isinstance(gone, OAuthClient):
            self._refresh.pop(gone, None)
        self._kept[source] = _Kept(fresh.token, self._clock.monotonic() + seconds - min(EARLY, seconds / 10))

    def _from_command(self, source: TokenCommand, deadline: Deadline) -> Fresh:
        from alertlog.command import output_of

        fresh = printed(output_of(source.words, deadline), self._clock.wall())
        if fresh is None:
            raise SessionRefused(
                "the token command prints neither a token nor JSON with an access_token", stage="token"
            )
        return fresh

    def _ask(self, source: OAuthClient, deadline: Deadline) -> Fresh:
        from alertlog.oauth import request

        try:
            answer = request(source, self._refresh.get(source, source.refresh_token), deadline)
        except SessionRefused:
            self._refresh.pop(source, None)  # the next time with the one of the settings
            raise
        if not is_token(answer.token):
            raise SessionRefused("what the token server gave is no token", stage="token")
        if source.refresh_token and answer.refresh_token:
            self._learn(answer.refresh_token)
            _make_room(self._refresh, source)  # one whose token was forgotten may never come back
            self._refresh[source] = answer.refresh_token
        return Fresh(answer.token, answer.seconds)


def _make_room(kept: dict[Source, Any], source: Source) -> Source | None:
    """Leave room for a source, as the newest. Return the oldest one, if it has to go for that."""
    kept.pop(source, None)
    if len(kept) < SOURCES:
        return None
    oldest = next(iter(kept))
    del kept[oldest]
    return oldest


def printed(output: bytes, now: float) -> Fresh | None:
    """Return the token in what a command printed; None if there is none.

    Args:
        output: a token alone; or JSON with `access_token` (`accessToken`, `token`) and, as far as it is known,
            `expires_in` in seconds, `expires_on` as Unix time in seconds, or `expiry` by RFC 3339.
        now: Unix time in seconds.
    """
    text = output.decode("utf-8", "replace").strip()
    if not text.startswith("{"):
        return Fresh(text) if is_token(text) else None
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return None
    token = next((said[name] for name in _NAMES if isinstance(said.get(name), str)), "")
    return Fresh(token, _seconds(said, now)) if is_token(token) else None


def _seconds(said: dict[str, Any], now: float) -> float | None:
    try:
        if "expires_in" in said:
            return max(0.0, float(said["expires_in"]))
        if "expires_on" in said:
            return max(0.0, float(said["expires_on"]) - now)
        moment = datetime.fromisoformat(said["expiry"])
        return max(0.0, (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now)
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
