"""From the draft of a mail to what it says: what broke, where, since when, how often; then the evidence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from alertlog.alert import Alert, Incident
from alertlog.draft import Draft, Reason
from alertlog.evidence import NAME_LIMIT, TITLE_LIMIT, Evidence, Origin, body_of, headline, hosts_of, tone_of
from alertlog.footer import Footer, since
from alertlog.headers import squeezed
from alertlog.samples import ended
from alertlog.view import Section, View
from alertlog.words import Words

_BADGES: Mapping[Reason, str] = {
    "opening": "Alert",
    "follow-up": "Reminder",
    "closing": "Closing",
    "resolved": "Resolved",
    "digest": "Digest",
    "test": "Test",
}
_AT_ITS_END: tuple[Reason, ...] = ("closing", "resolved")
"""Mails that tell how an incident went: their readers need no more to act at once."""
_ENDED = "Program ended"
"""Stands for "Closing", which reads as if the trouble were over, where only the process is."""
_FOLDED = "There were too many different alerts to keep: this one stands for several, counted together."
_MUTED = "Muted from {begin} to {end}: {reason}"
_MUTED_FOR_DAYS = "Muted from {begin} until {end}: {reason}"
_TEST = "This is a test: nothing has happened. An operator sent it to see whether alerts arrive."


def view_of(draft: Draft, origin: Origin, words: Words) -> View:
    """Return what the mail says, in the given language."""
    teller = _Teller(origin, words)
    return teller.digest(draft) if draft.reason == "digest" else teller.incident(draft)


def is_test(draft: Draft) -> bool:
    return draft.reason == "test" or any(incident.alert.test for incident in draft.incidents)


def _badge(draft: Draft) -> str:
    return _ENDED if draft.cause == "end" else _BADGES[draft.reason]


def _at_its_end(draft: Draft) -> bool:
    return draft.reason in _AT_ITS_END and draft.cause != "end"


def counted(draft: Draft, words: Words) -> str:
    """Return how many alerts of how many incidents a digest tells."""
    alerts = words.plural("{n} alert", "{n} alerts", draft.count)
    incidents = words.plural("{n} incident", "{n} incidents", len(draft.incidents))
    return words.say("{alerts} in {incidents}", alerts=alerts, incidents=incidents)


@dataclass(frozen=True, slots=True)
class _Teller:
    origin: Origin
    words: Words

    def incident(self, draft: Draft) -> View:
        (incident,) = draft.incidents
        alert, say = incident.alert, self.words.say
        over = draft.reason == "resolved"
        footer = self._footer(draft, self.origin.host or hosts_of(incident))
        hint, command = footer.command()
        evidence = Evidence(incident, self.origin, self.words)
        return View(
            words=self.words,
            tone="good" if over else tone_of(incident.level),
            badge=f"{squeezed(incident.levelname, NAME_LIMIT)} · {say(_badge(draft))}",
            notices=((say(_TEST),) if is_test(draft) else ()) + tuple(self._notes(incident)),
            title=self._title(alert),
            leads=tuple(self._leads(draft, incident)),
            frame="" if _at_its_end(draft) else evidence.frame(),
            sections=tuple(evidence.sections()),
            footer=(*footer.lines(), self._fingerprint(incident)),
            hint=hint,
            command=command,
        )

    def digest(self, draft: Draft) -> View:
        worst = max(incident.level for incident in draft.incidents)
        first = min(incident.first for incident in draft.incidents)
        last = max(incident.last for incident in draft.incidents)
        footer = self._footer(draft, self.origin.host)
        hint, command = footer.command()
        return View(
            words=self.words,
            tone=tone_of(worst),
            badge=self.words.say("Digest"),
            notices=(self.words.say(_TEST),) if is_test(draft) else (),
            title=counted(draft, self.words),
            leads=(self.origin.name, self.words.span(first, last)),
            sections=tuple(self._entry(incident) for incident in draft.incidents),
            footer=tuple(footer.lines()),
            hint=hint,
            command=command,
        )

    def _entry(self, incident: Incident) -> Section:
        alert = incident.alert
        names = [incident.kind or alert.logger, hosts_of(incident), self._fingerprint(incident)]
        return Section(
            title=self._title(alert),
            lines=(
                *self._exception(alert),
                self._news(incident),
                self._span(incident),
                " · ".join(squeezed(name, NAME_LIMIT) for name in names if name),
                *self._notes(incident),
            ),
            badge=squeezed(incident.levelname, NAME_LIMIT),
            tone="good" if incident.resolved else tone_of(incident.level),
        )

    def _title(self, alert: Alert) -> str:
        return headline(body_of(alert)) or headline(alert.exception) or self.words.say("(no message)")

    def _leads(self, draft: Draft, incident: Incident) -> Iterator[str]:
        place = self._where(hosts_of(incident))
        if _at_its_end(draft):
            yield from self._end(draft, incident)
            yield place
            yield from self._exception(incident.alert)
            return
        if draft.cause == "end":
            yield self.words.say("Told now because the program ended; whether it is over is not known.")
        yield from self._exception(incident.alert)
        course = tuple(self._course(incident))
        # Whoever reads of an incident again knows where it is, and wants to hear how it went on.
        yield from (*course, place) if draft.reason in ("follow-up", "closing") else (place, *course)

    def _exception(self, alert: Alert) -> Iterator[str]:
        if alert.exception and alert.message and not alert.text:
            yield squeezed(alert.exception, TITLE_LIMIT)

    def _course(self, incident: Incident) -> Iterator[str]:
        if incident.total > 1:
            yield self._news(incident)
        yield self._span(incident)

    def _end(self, draft: Draft, incident: Incident) -> Iterator[str]:
        """Yield how it ended, how often it came, and from when to when all of it."""
        words = self.words
        if draft.reason == "resolved":
            lasted = words.duration(ended(incident, draft.date) - incident.first)
            yield words.say("Resolved after {duration}.", duration=lasted)
        else:
            quiet = words.duration(draft.date - incident.last)
            yield words.say("Closed {duration} after its last alert.", duration=quiet)
        yield self._news(incident)
        yield words.span(incident.first, incident.last)

    def _news(self, incident: Incident) -> str:
        """Return how many alerts are new, how many there were in all, and how fast they come."""
        # Of n alerts, n - 1 came within the time from the first to the last.
        number = incident.untold or incident.total
        rate = self.words.rate(number - 1, incident.last - since(incident))
        return ", ".join(filter(None, (*self._counts(incident), rate)))

    def _span(self, incident: Incident) -> str:
        return self.words.span(since(incident), incident.last)

    def _notes(self, incident: Incident) -> Iterator[str]:
        if incident.folded:
            yield self.words.say(_FOLDED)
        if incident.mute_until:
            begin, end = self.words.moments(incident.mute_since, incident.mute_until)
            reason = squeezed(incident.mute_reason, TITLE_LIMIT) or self.words.say("no reason given")
            text = _MUTED_FOR_DAYS if end == self.words.moment(incident.mute_until) else _MUTED
            yield self.words.say(text, begin=begin, end=end, reason=reason)

    def _counts(self, incident: Incident) -> tuple[str, ...]:
        words = self.words
        if incident.total == incident.untold or not (incident.untold or incident.mails):
            return (words.plural("{n} alert", "{n} alerts", incident.total),)
        in_all = words.say("{n} in all", n=words.number(incident.total))
        if not incident.untold:
            return words.say("No further alert since the last mail"), in_all
        more = "{n} more alert since the last mail", "{n} more alerts since the last mail"
        return words.plural(*more, incident.untold), in_all

    def _footer(self, draft: Draft, host: str) -> Footer:
        return Footer(draft, self._where(host), self.origin.handler, self.words)

    def _fingerprint(self, incident: Incident) -> str:
        fingerprint = squeezed(incident.fingerprint, NAME_LIMIT)
        return self.words.say("Fingerprint: {fingerprint}", fingerprint=fingerprint)

    def _where(self, host: str) -> str:
        if not host:
            return self.origin.name
        return self.words.say("{service} on {host}", service=self.origin.name, host=squeezed(host, TITLE_LIMIT))
