"""The step of a check that counts what waits in an outbox, and for how long: what a monitoring probe asks for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from alertlog.advice import Advice, Seen, advise
from alertlog.alert import Incident, Tally
from alertlog.desk import Desk
from alertlog.journal import Journal, OtherJournal, journal_paths
from alertlog.listing import moment, number
from alertlog.mistakes_outbox import OF_WHAT_WAITS
from alertlog.outbox import Outbox
from alertlog.ownership import Owner
from alertlog.route import overall
from alertlog.steps import Step, Stopwatch
from alertlog.unread import unread


@dataclass(frozen=True, slots=True)
class Limits:
    """What a probe allows.

    Attributes:
        waiting: how many mails and alerts may wait; None for any number.
        age: seconds for which the oldest of them may; None for any time.
    """

    waiting: int | None = None
    age: float | None = None


BELOW, ELSEWHERE = "below", "in alertlog check without --offline"
"""Where the way to the server is walked, as the advice about mails that fail says it."""


@dataclass(frozen=True, slots=True)
class Silence:
    """A mute in force.

    Attributes:
        target: the kind or the fingerprint that is silenced.
        until: Unix time in seconds.
        held_back: how many alerts no mail has told of for its sake.
    """

    target: str
    until: float
    held_back: int

    def in_words(self) -> str:
        return f"muted: {self.target} until {moment(self.until)}, {number(self.held_back, 'alert')} held back"


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits to be sent. Repeats that are told in their turn, and what is muted, do not wait.

    Attributes:
        letters: mails that could not be sent yet.
        incidents: those that it is time to tell of, and no mail does.
        unread: alerts in journals that no courier has read.
        aside: mails that were refused for good.
        since: Unix time in seconds of the oldest alert that waits; None if none does.
        error: why the last attempt failed, "" if it did not.
        silences: what operators have muted, until when, and how many alerts that holds back.
    """

    letters: int = 0
    incidents: int = 0
    unread: int = 0
    aside: int = 0
    since: float | None = None
    error: str = ""
    silences: tuple[Silence, ...] = ()

    def __add__(self, other: Backlog) -> Backlog:
        return Backlog(
            self.letters + other.letters,
            self.incidents + other.incidents,
            self.unread + other.unread,
            self.aside + other.aside,
            min((one.since for one in (self, other) if one.since is not None), default=None),
            self.error or other.error,
            self.silences + other.silences,
        )

    @property
    def waiting(self) -> int:
        return self.letters + self.incidents + self.unread

    def age(self, now: float) -> float:
        """Return for how many seconds the oldest waits, 0 if nothing does."""
        return max(0.0, now - self.since) if self.since is not None else 0.0

    def in_words(self, now: float) -> str:
        """Return what waits, since when, and why."""
        amounts = ((self.letters, "mail"), (self.incidents, "incident"), (self.unread, "unread alert"))
        said = ", ".join(number(count, noun) for count, noun in amounts if count) or "nothing waits"
        if self.waiting:
            said += f", the oldest for {_span(self.age(now))}"
        if self.error:
            said += f"; the last attempt failed: {self.error}"
        if self.aside:
            said += f"; {number(self.aside, 'mail')} set aside"
        return "; ".join((said, *(silence.in_words() for silence in self.silences)))

    def facts(self, now: float) -> dict[str, Any]:
        return {
            "waiting": self.waiting,
            "mails": self.letters,
            "incidents": self.incidents,
            "unread": self.unread,
            "aside": self.aside,
            "oldest_seconds": round(self.age(now), 1),
            "last_error": self.error,
            "mutes": [asdict(silence) for silence in self.silences],
        }


def waiting_step(desk: Desk, limits: Limits, where: str, now: float, watch: Stopwatch) -> Step:
    """Say what waits, of the owners that fit the configuration; failed if it is more, or older, than allowed.

    Args:
        where: the server's part of the check is, `BELOW` or `ELSEWHERE`.

    Raises:
        OutboxError: the outbox can't be read.
    """
    registered = desk.registered()
    backlog = sum((_of_owner(desk, owner, registered, now) for owner in desk.own()), Backlog())
    too_much = _too_much(backlog, backlog.age(now), limits)
    return Step(
        "waiting",
        backlog.in_words(now) + too_much,
        "temporary" if too_much else None,
        tuple(_advice(backlog, too_much, where)),
        watch.lap(),
        backlog.facts(now),
    )


def _advice(backlog: Backlog, too_much: str, where: str) -> Iterator[Advice]:
    refused = f"{number(backlog.aside, 'mail')} {'was' if backlog.aside == 1 else 'were'}"
    words = {"error": backlog.error, "aside": refused, "where": where}
    failing = backlog.waiting and backlog.error and where == BELOW  # with nothing in its way any more, it can go now
    if too_much or failing:
        marks = frozenset({"failing"} if backlog.error else ())
        yield from advise(Seen("waiting", marks=marks, words=words), OF_WHAT_WAITS)
    if backlog.aside:
        yield from advise(Seen("aside", words=words), OF_WHAT_WAITS)


def _too_much(backlog: Backlog, age: float, limits: Limits) -> str:
    found = []
    if limits.waiting is not None and backlog.waiting > limits.waiting:
        found.append(f"{limits.waiting} may wait")
    if limits.age is not None and backlog.waiting and age > limits.age:
        found.append(f"{_span(limits.age)} are allowed")
    return f": too much, as {' and '.join(found)}" if found else ""


def _span(seconds: float) -> str:
    """Return a time for people."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:,.0f} {unit}"
    return f"{seconds:.0f} s"


def _of_owner(desk: Desk, owner: Owner, registered: Iterable[Owner], now: float) -> Backlog:
    found, read_to = Backlog(), dict[str, int]()
    if owner in registered:
        with desk.part(owner) as outbox:
            found, read_to = _of_outbox(outbox, now), outbox.journals.read_to()
    left = unread(desk.place, owner, read_to).alerts
    if left:
        since = first_unread(journal_paths(desk.place, owner.key), read_to)
        found += Backlog(unread=left, since=since)
    return found


def _of_outbox(outbox: Outbox, now: float) -> Backlog:
    letters = outbox.letters.all()
    waiting = [letter for letter in letters if not letter.aside]
    untold = list(_to_tell(outbox, now))
    times = [_since(letter.draft.incidents, letter.created) for letter in waiting]
    times += [_since([incident], incident.last) for incident in untold]
    gate = overall(outbox.gates())
    error = next((letter.error for letter in waiting if letter.error), gate.error if gate.failures else "")
    aside = len(letters) - len(waiting)
    return Backlog(len(waiting), len(untold), 0, aside, min(times, default=None), error, _silences(outbox, now))


def _to_tell(outbox: Outbox, now: float) -> Iterator[Incident]:
    """Yield the incidents that it is time to tell of, and no mail does."""
    mutes = outbox.mutes.in_force(now)
    due = {incident.id for incident in outbox.incidents.due(now)}
    for incident in outbox.incidents.unspoken():
        in_its_turn = incident.mails and incident.id not in due
        if incident.untold and not in_its_turn and not any(mute.covers(incident) for mute in mutes):
            yield incident


def _silences(outbox: Outbox, now: float) -> tuple[Silence, ...]:
    """Return the mutes in force: what they hold back does not wait, and whoever misses a mail has to know of them."""
    incidents = outbox.incidents.unspoken()
    return tuple(
        Silence(mute.target, mute.until, sum(incident.untold for incident in incidents if mute.covers(incident)))
        for mute in outbox.mutes.in_force(now)
    )


def _since(incidents: Iterable[Incident], otherwise: float) -> float:
    """Return when the first alert was raised that no mail tells of yet."""
    return min((incident.news for incident in incidents if incident.news), default=otherwise)


def first_unread(paths: Iterable[Path], read_to: Mapping[str, int]) -> float | None:
    """Return when the first alert was raised that journals hold and no courier has read."""
    return min((at for path in paths if (at := _first_beyond(path, read_to.get(path.name, 0)))), default=None)


def _first_beyond(path: Path, offset: int) -> float | None:
    here = Journal.of_this_process(path)  # whose lock a second descriptor would take away
    if here is not None:
        return _first(here, offset)
    try:
        with closing(OtherJournal(path)) as journal:
            return _first(journal, offset)
    except OSError:  # a courier has just read it
        return None


def _first(journal: Journal | OtherJournal, offset: int) -> float | None:
    for payload, _end in journal.read(offset):
        with suppress(ValueError, TypeError, KeyError, RecursionError):  # a courier shows it in an event
            return Tally.from_json(payload).first
    return None
