"""What an outbox that is full does with alerts of new trouble: they are counted together, one incident a kind."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b

from alertlog.alert import Alert, Tally


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much one owner's part of an outbox may hold.

    Attributes:
        incidents: beyond so many, those that are told and quiet close, and further trouble is folded.
        bytes: of the whole file; incidents may take half of it, letters need the other half.
    """

    incidents: int = 1_000
    bytes: int = 64 * 1024 * 1024

    @property
    def margin(self) -> int:
        """Incidents that may come on top, so that folded ones have room, and that are closed in one go."""
        return max(1, self.incidents // 10)


def fold(tallies: Iterable[Tally]) -> list[Tally]:
    """Return one tally for each kind, which stands for all of that kind and shows the worst of them."""
    by_kind: dict[str, list[Tally]] = {}
    for tally in tallies:
        by_kind.setdefault(tally.alert.kind, []).append(tally)
    return [_one(kind, group) for kind, group in by_kind.items()]


def is_folded(alert: Alert) -> bool:
    """Return whether an alert stands for others of its kind."""
    return alert.fingerprint == _fingerprint(alert.kind)


def _fingerprint(kind: str) -> str:
    return blake2b(f"folded\x1f{kind}".encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def _one(kind: str, group: list[Tally]) -> Tally:
    worst = max(group, key=lambda tally: tally.alert.level).alert
    return Tally(
        worst._replace(fingerprint=_fingerprint(kind), kind=kind, context=()),
        sum(tally.count for tally in group),
        min(tally.first for tally in group),
        max(tally.last for tally in group),
    )
