"""The last lines of a mail: why it exists, why it comes late, who sent it, and how to have no more of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from alertlog.alert import Alert, Incident
from alertlog.draft import Cause, Draft, Reason
from alertlog.evidence import NAME_LIMIT, SAMPLE_LIMIT, body_of, extras_by, headline, said_by
from alertlog.headers import squeezed
from alertlog.redact import MARK
from alertlog.samples import ended
from alertlog.words import Words

LATE = 120.0
"""Seconds from the first alert to the mail's date from which on the mail says that it is late."""

_REASONS: Mapping[Reason, str] = {
    "opening": "This is the first mail about this incident.",
    "follow-up": "The incident goes on; this mail tells what is new since the last one.",
    "closing": "This mail closes the incident and tells what no earlier one did.",
    "resolved": "The program said that the trouble is over; the incident is closed.",
    "digest": "Several incidents were due at once; this mail tells them together, worst first.",
    "test": "An operator asked for this mail.",
}
_CAUSES: Mapping[Cause, str] = {
    "burst": "Many different alerts came at once: the first has a mail of its own, this one tells the others.",
    "ration": "More was due than the hour's ration of mails allows, so this mail tells it together.",
    "repair": "Mail could not be sent for a while; this mail tells what has gathered.",
    "end": "The last program on the outbox ended; this mail tells what no earlier one did.",
}
_DELAYED = "Delayed by {duration}."
_MUTED = "Delayed by {duration}: it was muted."
_HELD_BACK = "Delayed by {duration}: mail failed, its ration was used up, or no process was there to send it."
_OLDER = "The first alert that it tells came {duration} before it."
_REDACTED = "{n} secret was taken out of what this mail shows.", "{n} secrets were taken out of what this mail shows."

_FINGERPRINT = re.compile("[0-9a-f]{16}")
_MARKS = (MARK, "***@")
"""What stands in the place of a secret, the second one in a URL."""


def since(incident: Incident) -> float:
    """Return when the first alert came that no earlier mail told; where there is none, the incident's first."""
    return min(incident.news or incident.first, incident.last)


def delay(draft: Draft) -> float:
    """Return by how many seconds a mail is later than what it had to tell at once; 0 where nothing was, or in time.

    A new incident and a resolved one are to be told at once; how long a repeat waits is a matter of `repeat_after`.
    """
    at_once = [
        since(incident) if incident.mails == 0 else ended(incident, draft.date)
        for incident in draft.incidents
        if incident.resolved or incident.mails == 0
    ]
    return _late(draft, at_once)


def _late(draft: Draft, moments: Iterable[float]) -> float:
    late = draft.date - min(moments, default=draft.date)
    return late if late > LATE else 0.0


@dataclass(frozen=True, slots=True)
class Footer:
    """The footer of one draft's mail, in one language.

    Attributes:
        where: the service, with the host if there is one.
        handler: the name of the handler that sent it, or "".
        words: the language.
    """

    draft: Draft
    where: str
    handler: str
    words: Words

    def lines(self) -> Iterator[str]:
        draft, say = self.draft, self.words.say
        if draft.cause != "end":
            yield say(_REASONS[draft.reason])
        if draft.cause:
            yield say(_CAUSES[draft.cause])
        yield from self._delay()
        if taken_out := sum(text.count(mark) for text in self._shown() for mark in _MARKS):
            yield self.words.plural(*_REDACTED, taken_out)
        if self.handler:
            handler = squeezed(self.handler, NAME_LIMIT)
            yield say("Sent by alertlog for {where}, handler {handler}", where=self.where, handler=handler)
        else:
            yield say("Sent by alertlog for {where}", where=self.where)

    def _shown(self) -> Iterator[str]:
        """Yield the texts that the mail shows."""
        for incident in self.draft.incidents:
            if self.draft.reason == "digest":
                yield from _of_a_digest(incident)
                continue
            yield from (incident.kind, *_of_an_incident(incident), *_of_an_alert(incident.alert))
            for sample in incident.samples:
                yield self.words.cut(said_by(sample, incident), SAMPLE_LIMIT)
                for name, value in extras_by(sample, incident):
                    yield from (name, self.words.cut(value, SAMPLE_LIMIT))

    def _delay(self) -> Iterator[str]:
        draft, words = self.draft, self.words
        if draft.reason == "test":
            return
        if seconds := delay(draft):
            yield words.say(self._why(), duration=words.duration(seconds))
        elif draft.cause in ("ration", "repair") and (seconds := _late(draft, map(since, draft.incidents))):
            yield words.say(_OLDER, duration=words.duration(seconds))

    def _why(self) -> str:
        if self.draft.cause:
            return _DELAYED
        return _MUTED if any(incident.mute_until for incident in self.draft.incidents) else _HELD_BACK

    def command(self) -> tuple[str, str]:
        """Return what can be done about further mails, and the command that does it; "" where there is none.

        Readers paste it into a shell: nothing of a record's own text may stand in it.
        """
        say = self.words.say
        reason = say("being repaired")
        if self.draft.reason in ("test", "resolved"):
            return "", ""
        if self.draft.reason == "digest":
            target, hint = "FINGERPRINT", say("To have no mail about one of them for two hours:")
        else:
            target, hint = self.draft.incidents[0].fingerprint, say("To have no mail about it for two hours:")
            if not _FINGERPRINT.fullmatch(target):
                return "", ""
        return hint, f'alertlog mute {target} --for 2h --reason "{reason}"'


def _of_a_digest(incident: Incident) -> Iterator[str]:
    """Yield the texts of which a digest shows something, each once."""
    alert = incident.alert
    yield from (headline(body_of(alert)), incident.kind or alert.logger, *_of_an_incident(incident))
    if not alert.text:
        yield headline(alert.exception)


def _of_an_incident(incident: Incident) -> Iterator[str]:
    yield from incident.hosts or (incident.alert.host,)
    yield incident.mute_reason


def _of_an_alert(alert: Alert) -> Iterator[str]:
    """Yield the texts that a mail about an alert shows, each once; a title only repeats."""
    yield from (body_of(alert), alert.problem, alert.logger, alert.path, alert.function)
    yield from (alert.process, alert.thread, alert.task)
    if not alert.text:  # a formatter's own text stands for both, and the traceback ends in the exception's line
        yield alert.traceback or alert.exception
    for extra in alert.extras:
        yield from extra
    for _when, *texts in alert.context:
        yield from texts
