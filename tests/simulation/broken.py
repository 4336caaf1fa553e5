"""How an invariant fails, and what it says of letters and incidents."""

from __future__ import annotations

from collections.abc import Iterable

from alertlog.alert import Incident
from alertlog.outbox import Waiting


class Broken(AssertionError):
    """An invariant does not hold."""

    def __init__(self, invariant: str, how: str) -> None:
        super().__init__(f"{invariant}: {how}")
        self.invariant = invariant


def brief(letters: Iterable[Waiting], incidents: Iterable[Incident]) -> str:
    told = [f"{one.draft.reason} {one.draft.message_id[:9]} due {one.due:.1f}" for one in letters]
    told += [
        f"{one.alert.message} ({one.accounted} of {one.count} told by {one.mails} mails, seen {one.seen:.1f},"
        f" mailed {one.mailed:.1f})"
        for one in incidents
    ]
    return "; ".join(told)
