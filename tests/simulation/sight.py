"""What an outbox shows at a moment, and what one look of a courier has made of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from alertlog.alert import Incident
from alertlog.gate import Gate
from alertlog.mutes import Mute
from alertlog.outbox import Outbox, Waiting
from alertlog.route import overall


@dataclass(frozen=True, slots=True)
class Sight:
    """What can be seen in the outbox at a moment.

    Attributes:
        incidents: all of them; `free`: those with something untold of which no letter speaks.
    """

    incidents: tuple[Incident, ...] = ()
    free: tuple[Incident, ...] = ()
    letters: tuple[Waiting, ...] = ()
    gate: Gate = field(default_factory=Gate)
    mutes: tuple[Mute, ...] = ()

    @classmethod
    def of(cls, outbox: Outbox) -> Sight:
        incidents, letters = outbox.incidents, outbox.letters
        return cls(
            tuple(incidents.all()),
            tuple(incidents.untold()),
            tuple(letters.all()),
            overall(outbox.gates()),
            tuple(outbox.mutes.all()),
        )


@dataclass(frozen=True, slots=True)
class Step:
    """One look of a process's courier, and what it found and left.

    Attributes:
        smooth: it owns the outbox, it lived on, no time passed in it, and no server or setting made trouble.
        alone: it left as the last process there is.
        leaving: it left; a process without alerts, which has no journal, is not known to stay.
        began: monotonic seconds.
    """

    process: str
    before: Sight
    after: Sight
    owned: bool
    killed: bool
    smooth: bool
    alone: bool
    leaving: bool
    first_offer: int
    first_event: int
    began: float
