"""What `alertlog outbox export` prints: all that an outbox and its journals hold, as plain values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

from alertlog.alert import Alert, Incident, Tally
from alertlog.desk import Desk
from alertlog.hindsight import Knows, clean_alert, clean_incident, clean_waiting
from alertlog.outbox import Outbox, Waiting
from alertlog.ownership import Owner
from alertlog.unread import tallies


def records(desk: Desk) -> Iterator[dict[str, Any]]:
    """Yield one for each letter, incident that no letter speaks of, mute, and alert in a journal; of all owners.

    Raises:
        OutboxError: the outbox, or a journal, can't be read.
    """
    registered = desk.registered()
    for owner in desk.owners():
        secrets = desk.works(owner).redactor
        read_to: dict[str, int] = {}
        if owner in registered:
            with desk.part(owner) as outbox:
                with outbox.transaction():  # what a courier claims meanwhile would be in neither list
                    found = list(_part(owner, outbox, secrets))
                    read_to = outbox.journals.read_to()
                yield from found
        for tally in tallies(desk.place, owner, read_to):
            yield _named("alert", owner) | _tally(replace(tally, alert=clean_alert(tally.alert, secrets)))


def _part(owner: Owner, outbox: Outbox, secrets: Knows) -> Iterator[dict[str, Any]]:
    for letter in outbox.letters.all():
        yield _named("letter", owner) | _letter(clean_waiting(letter, secrets))
    for incident in outbox.incidents.unspoken():
        yield _named("incident", owner) | _incident(clean_incident(incident, secrets))
    for mute in outbox.mutes.all():
        yield _named("mute", owner) | asdict(replace(mute, reason=secrets.known(mute.reason)))


def _named(kind: str, owner: Owner) -> dict[str, Any]:
    return {"type": kind, "service": owner.service, "handler": owner.handler}


def _letter(letter: Waiting) -> dict[str, Any]:
    draft = letter.draft
    return {
        "id": letter.id,
        "message_id": draft.message_id,
        "reason": draft.reason,
        "cause": draft.cause,
        "count": draft.count,
        "created": letter.created,
        "due": letter.due,
        "attempts": letter.attempts,
        "unknown": letter.unknown,
        "offered": letter.offered,
        "told": letter.told,
        "aside": letter.aside,
        "done": letter.done,
        "error": letter.error,
        "incidents": [_incident(incident) for incident in draft.incidents],
    }


def _incident(incident: Incident) -> dict[str, Any]:
    plain = {name: getattr(incident, name) for name in Incident.__slots__}
    samples = [_alert(sample) for sample in incident.samples]
    return {**plain, "untold": incident.untold, "alert": _alert(incident.alert), "samples": samples}


def _tally(tally: Tally) -> dict[str, Any]:
    return {"count": tally.count, "first": tally.first, "last": tally.last, "alert": _alert(tally.alert)}


def _alert(alert: Alert) -> dict[str, Any]:
    return {**alert.to_dict(), "context": [list(line) for line in alert.context]}
