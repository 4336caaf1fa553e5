"""The first half of a round: is there anything to send, may it be sent now, and what exactly will it say.

What leads to the server, settings included, is guarded by a gate: after a failure it stays shut for a while, and
what gathers meanwhile is told by one digest when it opens. What operators have muted, and what the ration does not
allow, waits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from alertlog import policy
from alertlog.alert import Alert, Incident
from alertlog.bounds import Bounds
from alertlog.clock import Clock
from alertlog.events import Reports
from alertlog.gatekeeper import Gatekeeper
from alertlog.outbox import Outbox, Waiting
from alertlog.policy import Bucket, Pace, Plan, Situation
from alertlog.redact import Redactor
from alertlog.route import blocked

if TYPE_CHECKING:
    from alertlog.letter import Wording
    from alertlog.settings import SmtpSettings

BURST_SECONDS = 1.0
"""Seconds within which different alerts are one burst."""
LONGEST_HOLD = 600.0
"""Seconds for which an incident that may not be told now is not looked at again."""
ASIDE_LIMIT = 200
"""Letters set aside that are kept for the operator to see; beyond it the oldest go."""


@dataclass(frozen=True, slots=True)
class Post:
    """How one handler writes: its pace, and where its wording and its SMTP settings come from at each round.

    Attributes:
        learn: is told each secret that comes meanwhile, to keep it out of what is written.
        redactor: knows the secrets that there are at the time.
    """

    pace: Pace
    wording: Callable[[], Wording]
    read_settings: Callable[[], SmtpSettings]
    bounds: Bounds = field(default_factory=Bounds)
    learn: Callable[[str], object] = str
    redactor: Redactor = field(default_factory=Redactor)


@dataclass(frozen=True, slots=True)
class Round:
    """What goes out now, and with which settings: the first server's, and those of its backups."""

    outbox: Outbox
    settings: SmtpSettings
    letters: tuple[Waiting, ...]


class Planner:
    """Plans the rounds of one handler. To be used with the keeper's lock held."""

    def __init__(self, post: Post, reporter: Reports, clock: Clock) -> None:
        self._pace = post.pace
        self._reporter = reporter
        self._clock = clock
        self._gatekeeper = Gatekeeper(post.read_settings, reporter, clock)
        self._openings: deque[tuple[float, int]] = deque(maxlen=100)
        self._rationed = False

    def able(self, outbox: Outbox) -> bool:
        """Return whether mail can be sent now, as far as is known."""
        gates = outbox.gates()
        return not (gates and blocked(gates)) and not self._gatekeeper.problems

    def plan(self, outbox: Outbox, *, leaving: bool) -> Round | None:
        """Decide what goes out now and freeze it in the outbox; None if nothing does.

        Args:
            leaving: this process is the last one on the outbox, and it is going: what is untold is told now.

        Raises:
            OutboxError: the outbox can't be used.
        """
        now = self._clock.wall()
        self._report_closed(outbox.take_closed(), "closed to make room")
        self._expire(outbox, now)
        if self._gatekeeper.shut(outbox):  # first, because what has gathered can be much to load each second
            return None
        incidents = self._due(outbox, now, leaving=leaving)
        if not incidents and not outbox.letters.due(now):
            return None
        settings = self._gatekeeper.settings(incidents)
        if settings is None or not self._gatekeeper.way_out(outbox, settings):
            return None
        self._claim(outbox, settings, incidents, now, leaving=leaving)
        letters = self._affordable(outbox, now)
        if not letters:
            return None
        self._gatekeeper.try_with(outbox, settings)
        return Round(outbox, settings, letters)

    def _due(self, outbox: Outbox, now: float, *, leaving: bool) -> list[Incident]:
        incidents = outbox.incidents.untold() if leaving else outbox.incidents.due(now)
        incidents = self._without_told(outbox, incidents, now)
        return self._without_muted(outbox, incidents, now) if incidents else []

    def _without_told(self, outbox: Outbox, incidents: list[Incident], now: float) -> list[Incident]:
        """Close what is told and quiet; return the others."""
        told = [incident for incident in incidents if policy.over(incident, now, self._pace)]
        if told:
            outbox.remove(told)
            self._report_closed(told, "quiet since its last mail")
        return _others(incidents, told)

    def _without_muted(self, outbox: Outbox, incidents: list[Incident], now: float) -> list[Incident]:
        """Hold back what an operator has silenced; return the others."""
        for mute in outbox.mutes.in_force(now):
            muted = [incident for incident in incidents if mute.covers(incident) and not incident.alert.test]
            if muted:
                outbox.mutes.note(mute, muted, min(mute.until, now + LONGEST_HOLD))
                incidents = _others(incidents, muted)
        return incidents

    def _affordable(self, outbox: Outbox, now: float) -> tuple[Waiting, ...]:
        """Return the letters to try now: those that were put off come on top of new ones, within the same ration."""
        left = outbox.gate().ration(self._pace, now).tokens
        letters = []
        for letter in outbox.letters.due(now):
            if rationed(letter):
                left -= 1
            if left >= 0 or not rationed(letter):
                letters.append(letter)
        return tuple(letters)

    # The claim

    def _claim(
        self, outbox: Outbox, settings: SmtpSettings, incidents: list[Incident], now: float, *, leaving: bool
    ) -> None:
        repaired = blocked([outbox.gate(way.way) for way in settings.ways])
        unseen = [letter for letter in outbox.letters.due(now) if not letter.offered] if repaired else []
        if unseen and (len(unseen) + len(incidents) > 1 or _oldest(unseen) < now - policy.KEPT):
            outbox.dissolve(unseen)
            self._expire(outbox, now)  # a digest is as young as its youngest incident: not so the others
            incidents = self._due(outbox, now, leaving=leaving)
        ration = outbox.gate().ration(self._pace, now)
        tokens = ration.tokens - sum(map(rationed, outbox.letters.due(now)))
        situation = Situation(now, tokens, leaving, repaired, self._opened_lately())
        plans = policy.decide(incidents, situation, self._pace)
        outbox.claim(plans, _domain(settings), now)
        self._openings.append((self._clock.monotonic(), sum(map(_opened, plans))))
        self._hold(outbox, incidents, plans, situation, ration)

    def _opened_lately(self) -> int:
        since = self._clock.monotonic() - BURST_SECONDS
        return sum(number for when, number in self._openings if when > since)

    def _hold(
        self, outbox: Outbox, incidents: list[Incident], plans: list[Plan], situation: Situation, ration: Bucket
    ) -> None:
        """Look at what the ration holds back when there is a mail to be had again, rather than each second."""
        held = _others(incidents, [incident for plan in plans for incident in plan.incidents])
        if not held or situation.tokens >= 1:
            self._rationed = False
            return
        wait = min(ration.wait(self._pace), LONGEST_HOLD)
        outbox.hold(held, situation.now + wait)
        if not self._rationed:
            self._rationed = True
            self._report_ration(len(held), wait)

    # Say so

    def _expire(self, outbox: Outbox, now: float) -> None:
        self._report_lost(outbox.expire(now - policy.KEPT), "could not be sent for a week and are given up")
        self._report_lost(outbox.trim_aside(ASIDE_LIMIT), "were refused for good, before many others, and are removed")

    def _report_lost(self, lost: Iterable[tuple[int, Alert]], how: str) -> None:
        for count, alert in lost:
            self._reporter.report(
                "alert_expired",
                f"{count} alerts {how}: {alert.summary}",
                kind=alert.kind,
                fingerprint=alert.fingerprint,
                count=count,
                alert=alert.to_dict(),
            )

    def _report_closed(self, incidents: Iterable[Incident], why: str) -> None:
        for incident in incidents:
            self._reporter.report(
                "incident_closed",
                f"{why}: {incident.alert.summary}",
                kind=incident.kind,
                fingerprint=incident.fingerprint,
                count=incident.count,
            )

    def _report_ration(self, held: int, wait: float) -> None:
        ration = f"the ration of {self._pace.mails_per_hour:g} mails an hour is used up"
        self._reporter.report(
            "smtp_send_failed",
            f"{ration}; {held} incidents wait for a digest",
            stage="ration",
            category="temporary",
            retry_in_s=round(wait),
        )


def _others(incidents: Iterable[Incident], without: Iterable[Incident]) -> list[Incident]:
    numbers = {incident.id for incident in without}
    return [incident for incident in incidents if incident.id not in numbers]


def rationed(letter: Waiting) -> bool:
    return letter.draft.reason != "test"


def _opened(plan: Plan) -> int:
    return 0 if plan.reason == "test" else sum(incident.mails == 0 for incident in plan.incidents)


def _oldest(letters: list[Waiting]) -> float:
    """Return when an incident was last heard of that has been quiet for longest."""
    return min(incident.seen for letter in letters for incident in letter.draft.incidents)


def _domain(settings: SmtpSettings) -> str:
    return settings.sender.address.rpartition("@")[2]
