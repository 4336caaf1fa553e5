"""What hosts write on the server that they share, and read there: names of keys, and words on their way.

All that one call touches is in keys of one hash tag, so that it is one slot of a Redis Cluster. Offers may be made
again; keys that nobody touches go by themselves.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from alertlog.errors import FleetUnavailable
from alertlog.link import Call, Link, Script
from alertlog.policy import HOUR, Pace
from alertlog.sharing import Ack, Answer, Offer, Parcel

KEPT = 48 * HOUR
"""Seconds after which a key goes that nobody has touched."""
LONGEST_LEASE = 600.0
"""Seconds; no teller is believed to be one for longer without another word."""
HIGHEST = 10**13
"""All counts are below it: Redis's JSON gives 14 digits."""
LONGEST_AGE = 10 * 365 * 24 * HOUR
"""Seconds; no age is said to be longer, whatever a host's clock says."""

_MESSAGE_ID = re.compile(r"<[!-;=?-~]{1,200}@[!-;=?-~]{1,200}>")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ration:
    """How many mails may go out now, and how many tokens the fleet has left after that."""

    granted: int
    tokens: float


class Board:
    """What one owner's hosts share. Every method raises FleetUnavailable if the server can't be used.

    Args:
        key: what the names of the owner's keys hold.
    """

    def __init__(self, link: Link, key: str) -> None:
        self._link = link
        self._name = f"alertlog:1:{{{key}"
        self._exchange = Script.load("exchange.lua")
        self._ration = Script.load("ration.lua")

    def exchange(self, offers: Sequence[Offer], lease: float) -> list[Answer]:
        """Say how things stand with each incident, and return the answers in the same order.

        Args:
            lease: seconds for which a teller stays the teller without another word.
        """
        calls = [Call(self._keys(offer), (_encode(offer), _ms(lease), _ms(KEPT))) for offer in offers]
        replies = self._link.run(self._exchange, calls)
        return [self._decode(reply, _Reader(offer)) for reply, offer in zip(replies, offers, strict=True)]

    def ration(self, wanted: int, pace: Pace, believed: float, *, limits: bool) -> Ration:
        """Take tokens for so many mails, or as many as there are; a negative number gives tokens back.

        Args:
            believed: tokens that there are as far as this host knows: what a server starts with that has forgotten.
            limits: there are no more than that, because this host has mailed without asking.
        """
        gain = pace.mails_per_hour / 2 / HOUR
        arguments = (wanted, pace.burst, gain, max(0.0, believed), int(limits), _ms(KEPT))
        (reply,) = self._link.run(self._ration, [Call((f"{self._name}}}:mails",), arguments)])
        return self._decode(reply, lambda said: Ration(int(said["granted"]), float(said["tokens"])))

    def close(self) -> None:
        self._link.close()

    def _keys(self, offer: Offer) -> tuple[str, ...]:
        desk = f"{self._name}:{offer.holding.fingerprint}}}"
        return (desk, *(f"{desk}:{member}" for member in (offer.share.member, *_tellers(offer))))

    def _decode(self, reply: bytes, read: Callable[[Any], T]) -> T:
        try:
            return read(json.loads(reply))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            self.close()
            text = f"{self._link.place}: what it answers makes no sense ({type(error).__name__})"
            raise FleetUnavailable(text) from None


def _tellers(offer: Offer) -> list[str]:
    return [row.teller for row in offer.share.handed if not row.settled]


def _encode(offer: Offer) -> str:
    share, holding = offer.share, offer.holding
    return json.dumps(
        {
            "member": share.member,
            "story": share.story,
            "standing": holding.standing,
            "asked": share.asked,
            "able": holding.able,
            "bare": holding.resolved and not holding.count,
            "resolved": offer.resolved,
            "host": _plain(holding.host),
            "level": min(max(0, holding.level), HIGHEST - 1),
            "levelname": _plain(holding.levelname),
            "mails": holding.mails,
            "thread": _message_id(holding.thread),
            "quiet_after": _ms(holding.quiet_after),
            "first_age": _ms(offer.first_age),
            "last_age": _ms(offer.last_age),
            "mailed_age": _ms(offer.mailed_age),
            "told": {**share.told, share.member: holding.told},
            "taken": share.taken,
            "handed": [{"offered": row.offered, "withdrawn": row.withdrawn} for row in share.handed if not row.settled],
        }
    )


class _Reader:
    """Reads the answer to one offer. Raises whatever comes of it where the answer is none."""

    def __init__(self, offer: Offer) -> None:
        self._offer = offer

    def __call__(self, said: Mapping[str, Any]) -> Answer:
        return Answer(
            teller=str(said["teller"]),
            lease=min(_seconds(said["lease"]), LONGEST_LEASE),
            story=str(said["story"]),
            over=bool(said["over"]),
            resolved=bool(said["resolved"]),
            level=_count(said["level"]),
            levelname=_plain(said["levelname"]),
            mails=_count(said["mails"]),
            mailed_age=_seconds(said["mailed_age"]),
            thread=_message_id(said["thread"]),
            told={str(member): _count(told) for member, told in said["told"].items()},
            hosts=tuple(map(_plain, said["hosts"])),
            acks=self._acks(list(said["acks"])),
            offered={str(member): _parcel(row) for member, row in said["offered"].items()},
        )

    def _acks(self, rows: list[Any]) -> dict[str, Ack]:
        pairs = zip(_tellers(self._offer), rows, strict=True)
        return {teller: Ack(_count(row["taken"]), bool(row["final"])) for teller, row in pairs}


def _parcel(row: Mapping[str, Any]) -> Parcel:
    return Parcel(_count(row["count"]), _seconds(row["first_age"]), _seconds(row["last_age"]))


def _plain(text: str) -> str:
    """Without what is not printable: Redis's JSON doesn't read lone surrogates, and the answer becomes mail."""
    return "".join(character if character.isprintable() else "?" for character in text[:200])


def _message_id(text: str) -> str:
    return text if _MESSAGE_ID.fullmatch(text) else ""


def _count(number: float) -> int:
    """Raises ValueError for a number that nothing was ever counted to, and that no database takes."""
    if not 0 <= number < HIGHEST:
        raise ValueError(number)
    return int(number)


def _ms(seconds: float) -> int:
    return int(min(max(0.0, seconds), LONGEST_AGE) * 1000)


def _seconds(milliseconds: float) -> float:
    return max(0.0, float(milliseconds)) / 1000
