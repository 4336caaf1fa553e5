"""Which incidents become which mail, and when next: pure decisions, no I/O, threads or clock.

The story of an incident: its first alert is mailed at once; repeats are told by follow-ups after `repeat_after`,
then at doubling intervals; after `quiet_after` without a repeat it closes, with a closing mail if anything is still
untold. `resolved` closes it at once, with a mail. A process that leaves as the last one on its outbox tells what is
untold. Mails are rationed by a token bucket; what does not fit is merged into one digest, nothing is dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from alertlog.alert import Incident
from alertlog.draft import Cause, Reason
from alertlog.errors import Category

HOUR = 3600.0
LONGEST_WAIT = 4 * HOUR
"""Seconds; the ceiling of every interval. A due time further ahead than this means that the clock went back."""
KEPT = 7 * 24 * HOUR
"""Seconds that an alert is kept while it can't be sent."""
BURST = 3
"""Incidents that may open at once with a mail each; of more, the worst has its mail and the others are one digest."""
DIGEST_LIMIT = 200
"""Incidents told by one digest at most; the worst first, the others by further ones."""
CLOCK_JUMP = 60.0
"""Seconds by which the calendar's clock may run off the monotonic one before it counts as having been set."""
QUIET_ENOUGH = 300.0
"""Seconds without a repeat after which an incident that is told may close to make room for others."""
NEW_PROCESS = 300.0
"""Seconds after an attempt that waits for a repair; then a new process, which may come of the repair, tries once."""
UNKNOWN_LIMIT = 3
"""Attempts with an unknown outcome, after which the next ones are `LONGEST_WAIT` apart."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How often to write.

    Attributes:
        repeat_after: seconds from the first mail to the first follow-up; the interval then doubles, up to 4 h.
        quiet_after: seconds without a repeat after which an incident closes.
        mails_per_hour: how many mails may be accepted in any hour; half of them may come in one burst.
    """

    repeat_after: float = 300.0
    quiet_after: float = 3600.0
    mails_per_hour: float = 30.0

    @property
    def burst(self) -> float:
        """The bucket's size. With half the ration in the bucket and half as its refill, no hour sees more than all."""
        return max(1.0, self.mails_per_hour / 2)


@dataclass(frozen=True, slots=True)
class Bucket:
    """A token bucket: `tokens` were in it at Unix time `at`; an accepted mail takes one."""

    tokens: float
    at: float

    def filled(self, now: float, pace: Pace) -> Bucket:
        gained = max(0.0, now - self.at) * pace.mails_per_hour / 2 / HOUR
        return Bucket(min(pace.burst, self.tokens + gained), now)

    def spent(self) -> Bucket:
        return Bucket(max(0.0, self.tokens - 1.0), self.at)

    def wait(self, pace: Pace) -> float:
        """Return the seconds until one token is there."""
        return max(0.0, 1.0 - self.tokens) * 2 * HOUR / pace.mails_per_hour


@dataclass(frozen=True, slots=True)
class Plan:
    """One mail to write about these incidents; where it is a digest, or comes at another time, why."""

    reason: Reason
    incidents: tuple[Incident, ...]
    cause: Cause = ""


@dataclass(frozen=True, slots=True)
class Situation:
    """What a decision depends on beside the incidents.

    Attributes:
        now: Unix time in seconds.
        tokens: mails that the ration allows now.
        leaving: this is the last process on the outbox, and it is going.
        repaired: sending failed until now, so that what has gathered is told by one digest.
        opened: incidents that opened with a mail within the last second.
    """

    now: float
    tokens: float
    leaving: bool = False
    repaired: bool = False
    opened: int = 0


def decide(incidents: Sequence[Incident], situation: Situation, pace: Pace) -> list[Plan]:
    """Return the mails to write now about incidents that no unsent letter speaks of yet."""
    tests = [Plan("test", (incident,)) for incident in incidents if incident.alert.test]
    plans = [
        Plan(reason, (incident,), _cause(reason, incident, situation, pace))
        for incident in incidents
        if not incident.alert.test and (reason := _reason(incident, situation, pace))
    ]
    mails = _merged(plans, "repair") if situation.repaired else _calmed(plans, situation.opened)
    if len(mails) > situation.tokens:
        mails = _merged(mails, "repair" if situation.repaired else "ration")
    return tests + mails[: max(0, int(situation.tokens))]


def over(incident: Incident, now: float, pace: Pace) -> bool:
    """Return whether the incident can close without a word: told whole, and quiet."""
    return not (incident.telling or incident.resolved) and _quiet(incident, now, pace)


def closes(reason: Reason, incident: Incident) -> bool:
    """Return whether a mail for this reason is the incident's last one."""
    return reason in ("closing", "resolved", "test") or incident.resolved


def due(incident: Incident, pace: Pace) -> float:
    """Return the Unix time at which there is something to decide about the incident; 0 for at once."""
    if incident.resolved or (incident.telling and (incident.mails == 0 or incident.urgent)):
        return 0.0
    quiet = incident.seen + pace.quiet_after
    return min(quiet, incident.mailed + interval(incident.mails, pace)) if incident.untold else quiet


def interval(mails: int, pace: Pace) -> float:
    """Return the seconds between the `mails`-th mail about an incident and the next one."""
    return float(min(LONGEST_WAIT, pace.repeat_after * 2.0 ** min(mails - 1, 32)))


def _reason(incident: Incident, situation: Situation, pace: Pace) -> Reason | None:
    if incident.resolved:
        return "resolved"
    if not incident.telling:
        return None
    if incident.mails == 0:
        return "opening"
    if situation.leaving or _quiet(incident, situation.now, pace):
        return "closing"
    elapsed = situation.now - incident.mailed
    if incident.urgent or elapsed >= interval(incident.mails, pace) or elapsed < -LONGEST_WAIT:
        return "follow-up"
    return None


def _cause(reason: Reason, incident: Incident, situation: Situation, pace: Pace) -> Cause:
    return "end" if reason == "closing" and not _quiet(incident, situation.now, pace) else ""


def _quiet(incident: Incident, now: float, pace: Pace) -> bool:
    return now - incident.seen >= pace.quiet_after


def _calmed(plans: list[Plan], opened: int) -> list[Plan]:
    """Return the mails without a burst among them: the first to open has its own, unless one has just had."""
    opening = [plan for plan in plans if plan.reason == "opening"]
    if opened + len(opening) <= BURST:
        return plans
    own = opening[: 0 if opened else 1]
    return [plan for plan in plans if plan.reason != "opening"] + own + _merged(opening[len(own) :], "burst")


def _merged(plans: list[Plan], cause: Cause) -> list[Plan]:
    """Return one digest or, of very many incidents, several; a lone mail stays what it is, and says why it is late.

    One that comes because the process ends says that instead: that the trouble may go on matters more.
    """
    if len(plans) <= 1:
        return [replace(plan, cause=plan.cause or cause) if cause == "repair" else plan for plan in plans]
    incidents = [incident for plan in plans for incident in plan.incidents]
    worst_first = sorted(incidents, key=lambda incident: (-incident.level, -incident.untold, incident.first))
    starts = range(0, len(worst_first), DIGEST_LIMIT)
    return [Plan("digest", tuple(worst_first[start : start + DIGEST_LIMIT]), cause) for start in starts]


def retry_in(category: Category, attempts: int, chance: float) -> float:
    """Return the seconds to wait after the `attempts`-th failure in a row.

    Args:
        category: `temporary` starts at 5 s and ends at 15 min, `refused` goes from 15 min to 4 h.
        chance: a random number from 0 to 1; it lengthens the wait by up to a quarter, so that many hosts do not come
            back as one.
    """
    first, last = (900.0, LONGEST_WAIT) if category == "refused" else (5.0, 900.0)
    return float(min(last, first * 2.0 ** min(attempts - 1, 16) * (1 + chance / 4)))


def retry_unknown_in(unknown: int, chance: float) -> float:
    """Return the seconds to wait after the `unknown`-th attempt whose outcome nobody knows (RFC 5321 4.5.3.2.6)."""
    return retry_in("temporary", unknown, chance) if unknown < UNKNOWN_LIMIT else LONGEST_WAIT
