"""What is needed to act on an incident: its whole text, its details, where and when, the traceback."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from logging import getLevelNamesMapping

from alertlog import telemetry
from alertlog.alert import Alert, Incident
from alertlog.frames import innermost
from alertlog.headers import squeezed, visible
from alertlog.view import Entry, Section, Tone
from alertlog.words import Words

TEXT_LIMIT = 70_000
"""Characters shown of a message, a formatter's text or a traceback."""
SAMPLE_LIMIT = 2_000
"""Characters shown of each further text of an incident."""
VALUE_LIMIT = 5_000
"""Characters shown of one extra or one fact."""
NAME_LIMIT = 60
"""Characters shown of an extra's name."""
TITLE_LIMIT = 200
"""Characters shown of a title, a host or an exception's line."""
EXTRAS_LIMIT = 65
SAMPLE_EXTRAS_LIMIT = 8
"""Extras shown of each further alert of an incident."""
CONTEXT_LIMIT = 1_000
"""Records shown that came before an alert."""


def body_of(alert: Alert) -> str:
    """Return the message, or the text of the user's own formatter, which stands for it and the traceback."""
    return alert.text or alert.message


def said_by(sample: Alert, incident: Incident) -> str:
    """Return what a sample says, with its exception where that says something else than the first alert's."""
    other = not sample.text and sample.exception != incident.alert.exception
    return "\n".join(filter(None, (body_of(sample), sample.exception if other else "")))


def extras_by(sample: Alert, incident: Incident) -> list[tuple[str, str]]:
    """Return those of a sample's extras that differ from the first alert's."""
    return [extra for extra in sample.extras if extra not in incident.alert.extras]


def headline(text: str) -> str:
    """Return the first line that says anything."""
    lines = text[: TITLE_LIMIT * 10].splitlines()
    return squeezed(next((line for line in lines if line.strip()), ""), TITLE_LIMIT)


def hosts_of(incident: Incident) -> str:
    """Return the names of all hosts that an incident's alerts came from."""
    return ", ".join(incident.hosts) or incident.alert.host


def tone_of(level: int) -> Tone:
    if level >= 50:
        return "critical"
    if level >= 40:
        return "error"
    return "warning" if level >= 30 else "info"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where mails come from.

    Attributes:
        service: what is being watched.
        environment: which one of its deployments, such as `production`, or "".
        handler: the name of the handler that sends, or "".
        host: the name of the machine that sends, or "" for that of the alerts.
    """

    service: str
    environment: str = ""
    handler: str = ""
    host: str = ""

    @property
    def name(self) -> str:
        """The service and, if it has several, which of its deployments."""
        service = squeezed(self.service, TITLE_LIMIT)
        return f"{service} ({squeezed(self.environment, NAME_LIMIT)})" if self.environment else service


@dataclass(frozen=True, slots=True)
class Evidence:
    """An incident laid out in one language."""

    incident: Incident
    origin: Origin
    words: Words

    def frame(self) -> str:
        """Return where the exception was raised, with the line of code, or "": what one looks at first."""
        alert = self.incident.alert
        found = None if alert.text else innermost(alert.traceback, alert.exception)
        if found is None:
            return ""
        code = squeezed(found.code, TITLE_LIMIT)
        place = f"{found.path}:{found.line} ({found.function})"
        return squeezed(place, TITLE_LIMIT) + (f"\n    {code}" if code else "")

    def sections(self) -> Iterator[Section]:
        alert = self.incident.alert
        problem = self._shown(alert.problem, VALUE_LIMIT)
        yield from self._unless_empty("Trouble while the record was captured", problem)
        if body_of(alert) != headline(body_of(alert)):  # else the title says it all
            yield from self._unless_empty("Message", self._shown(body_of(alert), TEXT_LIMIT))
        samples = self.incident.samples
        yield from self._samples("Resolved", [sample for sample in samples if sample.resolved])
        if details := tuple(self._extras(alert.extras, EXTRAS_LIMIT, VALUE_LIMIT)):
            yield Section(self.words.say("Details"), rows=details)
        yield Section(self.words.say("Where and when"), rows=(*self._places(), *self._times()))
        if not alert.text:
            yield from self._unless_empty("Traceback", self._shown(alert.traceback.rstrip(), TEXT_LIMIT))
        if before := tuple(self._before(alert)):
            yield Section(self.words.say("Before it"), entries=before)
        yield from self._samples("Also seen in this incident", [sample for sample in samples if not sample.resolved])

    def _unless_empty(self, title: str, text: str) -> Iterator[Section]:
        if text:
            yield Section(self.words.say(title), text=text)

    def _before(self, alert: Alert) -> Iterator[Entry]:
        """Yield what the task logged before; the further lines of a text are indented, to look like no record."""
        levels = getLevelNamesMapping()
        for when, level, logger, text in alert.context[-CONTEXT_LIMIT:]:
            time = self.words.time(when, beside=alert.created)
            said = f"{squeezed(logger, TITLE_LIMIT)}: {self._shown(text, SAMPLE_LIMIT)}".replace("\n", "\n    ")
            yield Entry(time, f"{squeezed(level, NAME_LIMIT):<8}", tone_of(levels.get(level, 0)), said)

    def _samples(self, title: str, samples: Iterable[Alert]) -> Iterator[Section]:
        for sample in samples:
            text = self._shown(said_by(sample, self.incident), SAMPLE_LIMIT)
            rows = self._extras(extras_by(sample, self.incident), SAMPLE_EXTRAS_LIMIT, SAMPLE_LIMIT)
            yield Section(self.words.say(title), (self.words.moment(sample.created),), tuple(rows), text)

    def _extras(self, extras: Iterable[tuple[str, str]], most: int, characters: int) -> Iterator[tuple[str, str]]:
        shown = [extra for extra in extras if not telemetry.told_elsewhere(*extra, self.origin.service)]
        for name, value in shown[:most]:
            yield squeezed(name, NAME_LIMIT), self._shown(value, characters)
        left_out = len(shown) - most
        if left_out > 0:
            note = self.words.plural("{n} further extra left out", "{n} further extras left out", left_out)
            yield "...", note

    def _places(self) -> Iterator[tuple[str, str]]:
        incident, alert, say = self.incident, self.incident.alert, self.words.say
        process = f"{alert.process} ({alert.pid})" if alert.pid else alert.process
        for label, value in (
            (say("Service"), self.origin.service),
            (say("Environment"), self.origin.environment),
            (say("Kind"), incident.kind),
            (say("Level"), f"{incident.levelname} ({incident.level})"),
            (say("Logger"), alert.logger),
            (say("Place in code"), _place(alert)),
            (say("Host"), alert.host),
            (say("Hosts"), ", ".join(self.incident.hosts[1:] and self.incident.hosts)),
            (say("Process"), process),
            (say("Thread"), alert.thread),
            (say("Task"), alert.task),
            *self._traced(),
        ):
            if value:
                yield label, squeezed(value, VALUE_LIMIT)

    def _traced(self) -> Iterator[tuple[str, str]]:
        extras, say = dict(self.incident.alert.extras), self.words.say
        trace, span = telemetry.identifiers(extras)
        yield (
            say("Trace"),
            say("{trace} (not sampled)", trace=trace) if trace and telemetry.unsampled(extras) else trace,
        )
        yield say("Span"), span

    def _times(self) -> Iterator[tuple[str, str]]:
        incident, words = self.incident, self.words
        if incident.total == 1:
            yield words.say("Time"), words.moment(incident.first)
        else:
            yield words.say("First"), words.moment(incident.first)
            yield words.say("Last"), words.moment(incident.last)
        yield words.say("Alerts"), words.number(incident.total)

    def _shown(self, text: str, limit: int) -> str:
        return visible(self.words.cut(text, limit))


def _place(alert: Alert) -> str:
    place = f"{alert.path}:{alert.line}" if alert.path else ""
    return f"{place} ({alert.function})" if place and alert.function else place
