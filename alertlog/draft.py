"""The Draft: what one mail will say about incidents, frozen when it falls due, so that each attempt says the same."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import Literal

from alertlog.alert import Alert, Incident, encode

Reason = Literal["opening", "follow-up", "closing", "resolved", "digest", "test"]
"""Why a mail exists."""

Cause = Literal["", "burst", "ration", "repair", "end"]
"""Why a digest is one: too many opened at once, the ration did not allow more, or sending failed until now.

A lone mail has one only where it is late because sending failed, or where it closes an incident that has not been
quiet, because the last process on the outbox ends.
"""


@dataclass(frozen=True, slots=True)
class Draft:
    """What one mail will say, frozen: retries of the same letter say the same, whatever happens meanwhile.

    Attributes:
        message_id: in angle brackets, unique, the same over all attempts.
        date: Unix time in seconds, for the Date header.
        reason: why this mail exists.
        incidents: as they were when the draft was made; several only in a digest.
        cause: why a digest is one, or a lone mail late or early; else "".
    """

    message_id: str
    date: float
    reason: Reason
    incidents: tuple[Incident, ...]
    cause: Cause = ""

    @property
    def count(self) -> int:
        """The alerts that this mail accounts for and no earlier one did."""
        return sum(incident.untold for incident in self.incidents)

    @property
    def total(self) -> int:
        """The alerts of these incidents so far."""
        return sum(incident.total for incident in self.incidents)

    def to_json(self) -> str:
        incidents = [
            [getattr(incident, name) for name in _INCIDENT_PLAIN] + [incident.alert, incident.samples]
            for incident in self.incidents
        ]
        return encode([self.message_id, self.date, self.reason, self.cause, incidents])

    @classmethod
    def from_json(cls, text: str) -> Draft:
        message_id, date, reason, cause, rows = json.loads(text)
        incidents = []
        for *plain, alert, samples in rows:
            named = dict(zip(_INCIDENT_PLAIN, plain, strict=True))
            named |= {"hosts": tuple(named["hosts"]), "samples": tuple(map(Alert.from_list, samples))}
            incidents.append(Incident(**named, alert=Alert.from_list(alert)))
        return cls(message_id, date, reason, tuple(incidents), cause)


_INCIDENT_PLAIN = tuple(field.name for field in fields(Incident) if field.name not in ("alert", "samples"))
