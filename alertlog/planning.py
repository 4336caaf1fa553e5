"""The first half of a round: is there anything to send, may it be sent now, and what exactly will it say.

What leads to the server, settings included, is guarded by a gate: after a failure it stays shut for a while, and
what gathers meanwhile is told by one digest when it opens.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from alertlog import policy
from alertlog.alert import Incident
from alertlog.clock import Clock
from alertlog.errors import ConfigError
from alertlog.events import Reports
from alertlog.outbox import Gate, Outbox, Waiting
from alertlog.policy import CLOCK_JUMP, HOUR, NEW_PROCESS, Bucket, Pace, Plan, Situation

if TYPE_CHECKING:
    from alertlog.letter import Wording
    from alertlog.settings import SmtpSettings

BURST_SECONDS = 1.0
"""Seconds within which different alerts are one burst."""
LONGEST_HOLD = 600.0
"""Seconds for which an incident that may not be told now is not looked at again."""


@dataclass(frozen=True, slots=True)
class Post:
    """How one handler writes: its pace, and where its wording and its SMTP settings come from at each round."""

    pace: Pace
    wording: Callable[[], Wording]
    read_settings: Callable[[], SmtpSettings]


@dataclass(frozen=True, slots=True)
class Round:
    """What goes out now, and with which settings."""

    outbox: Outbox
    settings: SmtpSettings
    letters: tuple[Waiting, ...]


class Planner:
    """Plans the rounds of one handler. To be used with the keeper's lock held."""

    def __init__(self, post: Post, reporter: Reports, clock: Clock) -> None:
        self._post = post
        self._reporter = reporter
        self._clock = clock
        self._problems: dict[str, str] = {}
        self._warned = False
        self._in_force: tuple[object, ...] | None = None
        self._tried = False
        self._openings: deque[tuple[float, int]] = deque(maxlen=100)
        self._rationed = False

    def plan(self, outbox: Outbox, *, leaving: bool) -> Round | None:
        """Decide what goes out now and freeze it in the outbox; None if nothing does.

        Args:
            leaving: this process is the last one on the outbox, and it is going: what is untold is told now.

        Raises:
            OutboxError: the outbox can't be used.
        """
        now = self._clock.wall()
        self._expire(outbox, now)
        if self._shut(outbox, now):  # first, because what has gathered meanwhile can be much to load each second
            return None
        incidents = outbox.incidents.untold() if leaving else outbox.incidents.due(now)
        incidents = self._close_told(outbox, incidents, now)
        if not incidents and not outbox.letters.due(now):
            return None
        settings = self._settings(incidents)
        if settings is None:
            return None
        self._claim(outbox, settings, incidents, now, leaving=leaving)
        letters = self._affordable(outbox, now)
        if not letters:
            return None
        self._tried = True
        return Round(outbox, settings, letters)

    def _affordable(self, outbox: Outbox, now: float) -> tuple[Waiting, ...]:
        """Return the letters to try now: those that were put off come on top of new ones, within the same ration."""
        left = fill(outbox.gate(), self._post.pace, now).tokens
        letters = []
        for letter in outbox.letters.due(now):
            if _rationed(letter):
                left -= 1
            if left >= 0 or not _rationed(letter):
                letters.append(letter)
        return tuple(letters)

    def _expire(self, outbox: Outbox, now: float) -> None:
        for count, alert in outbox.expire(now - policy.KEPT):
            self._reporter.report(
                "alert_expired",
                f"{count} alerts could not be sent for a week and are given up: {alert.summary}",
                kind=alert.kind,
                fingerprint=alert.fingerprint,
                count=count,
                alert=alert.to_dict(),
            )

    def _close_told(self, outbox: Outbox, incidents: list[Incident], now: float) -> list[Incident]:
        """Close what is told and quiet; return the others."""
        over = {incident.id for incident in incidents if policy.over(incident, now, self._post.pace)}
        told = [incident for incident in incidents if incident.id in over]
        if told:
            outbox.remove(told)
        for incident in told:
            self._reporter.report(
                "incident_closed",
                f"quiet since its last mail: {incident.alert.summary}",
                kind=incident.kind,
                fingerprint=incident.fingerprint,
                count=incident.count,
            )
        return [incident for incident in incidents if incident.id not in over]

    def _settings(self, incidents: list[Incident]) -> SmtpSettings | None:
        try:
            settings = self._post.read_settings()
        except ConfigError as error:
            if error.problems != self._problems:
                self._problems = error.problems
                self._report_problems(error, incidents)
            return None
        self._problems = {}
        self._warn_of_insecure_login(settings)
        return settings

    def _warn_of_insecure_login(self, settings: SmtpSettings) -> None:
        if settings.username and settings.transport == "none" and not self._warned:
            self._warned = True
            self._reporter.report(
                "smtp_insecure_login",
                f"credentials go to {settings.host} without TLS",
                host=settings.host,
                port=settings.port,
                transport=settings.transport,
            )

    def _report_problems(self, error: ConfigError, incidents: list[Incident]) -> None:
        first = incidents[0].alert if incidents else None
        self._reporter.report(
            "smtp_config_missing" if error.missing else "smtp_config_invalid",
            f"mail can't be sent, alerts are kept: {error}",
            stage=error.stage,
            category=error.category,
            problems=error.problems,
            alert=first.to_dict() if first else None,
        )

    # The gate

    def _shut(self, outbox: Outbox, now: float) -> bool:
        gate = outbox.gate()
        furthest = now + policy.LONGEST_WAIT + CLOCK_JUMP  # a small step back, which nothing follows, opens no gate
        if gate.failures == 0 or not now < gate.due <= furthest:
            return False
        settings = self._settings([])
        if settings is None:
            return True
        if self._may_be_repaired(gate, settings, now):
            outbox.hurry()
            return False
        if gate.category == "refused" and now - gate.told >= HOUR:
            self._remind(gate, settings, now)
            outbox.set_gate(replace(gate, told=now))
        return True

    def _may_be_repaired(self, gate: Gate, settings: SmtpSettings, now: float) -> bool:
        """Whether this is not what failed: other settings, files or, as far as a new process can know, passwords."""
        before, self._in_force = self._in_force, _in_force(settings)
        if settings.place != gate.place or before not in (None, self._in_force):
            return True
        return gate.category == "refused" and not self._tried and now - gate.tried >= NEW_PROCESS

    def _remind(self, gate: Gate, settings: SmtpSettings, now: float) -> None:
        self._reporter.report(
            "smtp_send_failed",
            f"mail is still not accepted and waits for a repair: {gate.error}",
            category=gate.category,
            attempt=gate.failures,
            retry_in_s=round(gate.due - now),
            host=settings.host,
            port=settings.port,
            transport=settings.transport,
        )

    # The claim

    def _claim(
        self, outbox: Outbox, settings: SmtpSettings, incidents: list[Incident], now: float, *, leaving: bool
    ) -> None:
        gate = outbox.gate()
        repaired = gate.failures > 0
        unseen = [letter for letter in outbox.letters.due(now) if not letter.offered] if repaired else []
        if unseen and (len(unseen) + len(incidents) > 1 or _oldest(unseen) < now - policy.KEPT):
            outbox.dissolve(unseen)
            self._expire(outbox, now)  # a digest is as young as its youngest incident: not so the others
            incidents = outbox.incidents.untold() if leaving else outbox.incidents.due(now)
        self._in_force = _in_force(settings)
        ration = fill(gate, self._post.pace, now)
        tokens = ration.tokens - sum(map(_rationed, outbox.letters.due(now)))
        situation = Situation(now, tokens, leaving, repaired, self._opened_lately())
        plans = policy.decide(incidents, situation, self._post.pace)
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
        planned = {incident.id for plan in plans for incident in plan.incidents}
        held = [incident for incident in incidents if incident.id not in planned]
        if not held or situation.tokens >= 1:
            self._rationed = False
            return
        wait = min(ration.wait(self._post.pace), LONGEST_HOLD)
        outbox.hold(held, situation.now + wait)
        if not self._rationed:
            self._rationed = True
            self._reporter.report(
                "smtp_send_failed",
                f"the ration of {self._post.pace.mails_per_hour:g} mails an hour is used up;"
                f" {len(held)} incidents wait for a digest",
                stage="ration",
                category="temporary",
                retry_in_s=round(wait),
            )


def fill(gate: Gate, pace: Pace, now: float) -> Bucket:
    """Return the ration of mails as it is now; full before the first mail."""
    return gate.bucket.filled(now, pace) if gate.bucket else Bucket(pace.burst, now)


def _rationed(letter: Waiting) -> bool:
    return letter.draft.reason != "test"


def _opened(plan: Plan) -> int:
    return 0 if plan.reason == "test" else sum(incident.mails == 0 for incident in plan.incidents)


def _in_force(settings: SmtpSettings) -> tuple[object, ...]:
    """Return what would differ if somebody had repaired the settings, or a file that they name."""
    return (settings, *map(_changed, (settings.ca_file, *(settings.client_certificate or ()))))


def _changed(path: str) -> float:
    try:
        return os.stat(path).st_mtime
    except (OSError, ValueError):
        return 0.0


def _oldest(letters: list[Waiting]) -> float:
    """Return when an incident was last heard of that has been quiet for longest."""
    return min(incident.seen for letter in letters for incident in letter.draft.incidents)


def _domain(settings: SmtpSettings) -> str:
    return settings.sender.address.rpartition("@")[2]
