"""From the draft of a mail to what it says: what broke, where, since when, how often; then the evidence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from alertlog.alert import Alert, Draft, Incident, Reason
from alertlog.evidence import NAME_LIMIT, TITLE_LIMIT, Evidence, body_of, headline, hosts_of
from alertlog.footer import Footer, since
from alertlog.headers import squeezed
from alertlog.view import Section, Tone, View
from alertlog.words import Words

_BADGES: Mapping[Reason, str] = {
    "opening": "Alert",
    "follow-up": "Reminder",
    "closing": "Closing",
    "resolved": "Resolved",
    "digest": "Digest",
    "test": "Test",
}
_FOLDED = "There were too many different alerts to keep: this one stands for several, counted together."
_MUTED = "Muted from {begin} to {end}: {reason}"
_MUTED_FOR_DAYS = "Muted from {begin} until {end}: {reason}"
_TEST = "This is a test: nothing has happened. An operator sent it to see whether alerts arrive."


def view_of(draft: Draft, service: str, handler: str, words: Words) -> View:
    """Return what the mail says, in the given language."""
    teller = _Teller(squeezed(service, TITLE_LIMIT), handler, words)
    return teller.digest(draft) if draft.reason == "digest" else teller.incident(draft)


def is_test(draft: Draft) -> bool:
    return draft.reason == "test" or any(incident.alert.test for incident in draft.incidents)


def counted(draft: Draft, words: Words) -> str:
    """Return how many alerts of how many incidents a digest tells."""
    alerts = words.plural("{n} alert", "{n} alerts", draft.count)
    incidents = words.plural("{n} incident", "{n} incidents", len(draft.incidents))
    return words.say("{alerts} in {incidents}", alerts=alerts, incidents=incidents)


def tone_of(level: int) -> Tone:
    if level >= 50:
        return "critical"
    if level >= 40:
        return "error"
    return "warning" if level >= 30 else "info"


@dataclass(frozen=True, slots=True)
class _Teller:
    service: str
    handler: str
    words: Words

    def incident(self, draft: Draft) -> View:
        (incident,) = draft.incidents
        alert, say = incident.alert, self.words.say
        over = draft.reason == "resolved"
        footer = self._footer(draft, hosts_of(incident))
        hint, command = footer.command()
        evidence = Evidence(incident, self.service, self.words)
        return View(
            words=self.words,
            tone="good" if over else tone_of(incident.level),
            badge=f"{squeezed(incident.levelname, NAME_LIMIT)} · {say(_BADGES[draft.reason])}",
            notices=((say(_TEST),) if is_test(draft) else ()) + tuple(self._notes(incident)),
            title=self._title(alert),
            leads=tuple(self._leads(draft.reason, incident)),
            frame=evidence.frame(),
            sections=tuple(evidence.sections()),
            footer=(*footer.lines(), self._fingerprint(incident)),
            hint=hint,
            command=command,
        )

    def digest(self, draft: Draft) -> View:
        worst = max(incident.level for incident in draft.incidents)
        first = min(incident.first for incident in draft.incidents)
        last = max(incident.last for incident in draft.incidents)
        footer = self._footer(draft, host="")
        hint, command = footer.command()
        return View(
            words=self.words,
            tone=tone_of(worst),
            badge=self.words.say("Digest"),
            notices=(self.words.say(_TEST),) if is_test(draft) else (),
            title=counted(draft, self.words),
            leads=(self.service, self.words.span(first, last)),
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

    def _leads(self, reason: Reason, incident: Incident) -> Iterator[str]:
        alert = incident.alert
        yield from self._exception(alert)
        place = self._where(hosts_of(incident))
        course = tuple(self._course(reason, incident))
        # Whoever reads of an incident again knows where it is, and wants to hear how it went on.
        yield from (place, *course) if reason in ("opening", "test") else (*course, place)

    def _exception(self, alert: Alert) -> Iterator[str]:
        if alert.exception and alert.message and not alert.text:
            yield squeezed(alert.exception, TITLE_LIMIT)

    def _course(self, reason: Reason, incident: Incident) -> Iterator[str]:
        if reason == "resolved":
            lasted = self.words.duration(incident.last - incident.first)
            yield self.words.say("Resolved after {duration}.", duration=lasted)
        if incident.total > 1:
            yield self._news(incident)
        yield self._span(incident)

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
        return Footer(draft, self._where(host), self.handler, self.words)

    def _fingerprint(self, incident: Incident) -> str:
        fingerprint = squeezed(incident.fingerprint, NAME_LIMIT)
        return self.words.say("Fingerprint: {fingerprint}", fingerprint=fingerprint)

    def _where(self, host: str) -> str:
        if not host:
            return self.service
        return self.words.say("{service} on {host}", service=self.service, host=squeezed(host, TITLE_LIMIT))
