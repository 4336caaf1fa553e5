"""What hosts that share an incident remember of it, say of it and are answered. The rules are in `alertlog.handover`.

One host is the teller: it writes the mails, and the others hand it their alerts. Each alert is at any time one host's
to tell. It changes hands through a tray, which the teller has on a server that may forget all, answer twice or not at
all; so the two ends remember, in their outboxes, how many alerts one has offered to the other so far, and how many of
them the other has taken. Both numbers only grow, and saying one again changes nothing.

A host writes down what it offers before it says so. From then on it doesn't tell these alerts, as the teller may;
only what is not taken for hours is its own again.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Standing = Literal["open", "closed", "over"]
"""Of one host's incident: it goes on, it is closed on this host, or the trouble is over for all."""
Role = Literal["teller", "member", "alone"]
"""Who tells of an incident: this host for all, another host for all, or each host by itself."""


@dataclass(frozen=True, slots=True)
class Handed:
    """What one host hands to one teller, in alerts since the beginning.

    Attributes:
        offered: how many it has offered; `acked`: how many of them the teller has taken.
        since: Unix time in seconds by this host's clock from which some of them have been on their way.
        withdrawn: True once the teller was given up; no alert may go to it again.
        settled: True once it is certain that this teller will take no more.
    """

    teller: str
    offered: int
    acked: int = 0
    since: float = 0.0
    withdrawn: bool = False
    settled: bool = False


@dataclass(frozen=True, slots=True)
class Share:
    """What a host has to remember of an incident that it shares.

    Attributes:
        member: the name of this host's incident among the others, which no other ever had.
        story: the member that began the story that this one takes part in; "" before it does.
        asked: True once this one was the teller: others may be handing alerts to it.
        handed: what this one has handed to others.
        taken: alerts that this one has taken of others, by member.
        told: alerts that other members' mails have told, by member.
        hosts: the names of all hosts that the alerts came from.
    """

    member: str = field(default_factory=lambda: secrets.token_hex(8))
    story: str = ""
    asked: bool = False
    handed: tuple[Handed, ...] = ()
    taken: Mapping[str, int] = field(default_factory=dict)
    told: Mapping[str, int] = field(default_factory=dict)
    hosts: tuple[str, ...] = ()

    @property
    def promised(self) -> int:
        """Alerts that are not this host's to tell: taken by others, or on their way."""
        return sum(row.offered for row in self.handed)

    @property
    def pending(self) -> int:
        """Those of them that are on their way."""
        return sum(row.offered - row.acked for row in self.handed)

    def total(self, count: int) -> int:
        """Return the alerts that the story is known to have had on all hosts; `count` are those that this one held.

        That is what all mails have told and what this host has not yet told, and at the least what was raised here.
        """
        acked = sum(row.acked for row in self.handed)
        return max(count - sum(self.taken.values()), sum(self.told.values()) + count - acked)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Share:
        """Raises KeyError or TypeError if the data is not what `to_dict` returned."""
        rows = tuple(Handed(**row) for row in data["handed"])
        return cls(**{**data, "handed": rows, "hosts": tuple(data["hosts"])})


@dataclass(frozen=True, slots=True)
class Holding:
    """One host's incident as its outbox has it; times are Unix times in seconds by the host's clock.

    Attributes:
        count: all alerts that it ever held, those taken of others too.
        told: how many of them this host's own mails have told.
        quiet_after: seconds without an alert after which its story is over.
        tied: True while a letter is under way, which tells what is untold.
        able: whether this host can send mail now, as far as it knows.
    """

    fingerprint: str
    host: str
    count: int
    told: int
    level: int
    levelname: str
    first: float
    last: float
    quiet_after: float
    mails: int = 0
    mailed: float = 0.0
    thread: str = ""
    resolved: bool = False
    tied: bool = False
    able: bool = True
    standing: Standing = "open"

    def free(self, share: Share) -> int:
        """Return how many alerts this host may still tell or hand over."""
        return max(0, self.count - self.told - share.promised)


@dataclass(frozen=True, slots=True)
class Offer:
    """What a host says of one incident: its share and holding, at one moment.

    Attributes:
        first_age, last_age, mailed_age: seconds since the first and the last alert, and since the last mail.
        resolved: True if the end of the trouble was reported here and all alerts before it are handed over.
    """

    share: Share
    holding: Holding
    first_age: float
    last_age: float
    mailed_age: float
    resolved: bool


@dataclass(frozen=True, slots=True)
class Ack:
    """How many alerts a teller has taken of a member; where `final`, it will never take more."""

    taken: int
    final: bool


@dataclass(frozen=True, slots=True)
class Parcel:
    """How many alerts a member has offered so far, and seconds since the first and the last of them."""

    count: int
    first_age: float
    last_age: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What the fleet says to one offer. Ages and the lease are in seconds.

    Attributes:
        teller: the member that tells; "" if nobody can.
        lease: how long it still is the teller without another word from it.
        over: True if the story that the offer is about has come to its end.
        mails, mailed_age, thread: of the story's mails so far.
        told: alerts told so far, by the member whose mails told them.
        acks: by teller, what it has taken of this member.
        offered: by member, what it has offered to this one.
    """

    teller: str
    lease: float
    story: str
    over: bool
    resolved: bool
    level: int
    levelname: str
    mails: int
    mailed_age: float
    thread: str
    told: Mapping[str, int]
    hosts: tuple[str, ...]
    acks: Mapping[str, Ack]
    offered: Mapping[str, Parcel]


@dataclass(frozen=True, slots=True)
class Heard:
    """What a host makes of an answer; to be written down whole, before another word is said.

    Attributes:
        took: alerts of others that are this host's to tell from now on.
        role: who tells of the incident now.
        wait: seconds before which this host writes nothing about it; None where that is as before.
        over: True if this incident has to close: what is still untold of it is for this host alone to tell.
    """

    share: Share
    holding: Holding
    took: int
    role: Role
    wait: float | None
    over: bool
