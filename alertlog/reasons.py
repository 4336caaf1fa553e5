"""Why something in an outbox waits, and until when, in words. Pure: how things stand is given.

The rules are those of `alertlog.planning` and `alertlog.policy`, asked without changing anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from alertlog import policy
from alertlog.alert import Incident
from alertlog.gate import Gate
from alertlog.mutes import Mute
from alertlog.planning import rationed
from alertlog.policy import Pace
from alertlog.waiting import Waiting

Why = Literal["told", "elsewhere", "muted", "repeat", "retry", "gate", "settings", "ration", "due", "aside"]
"""The `why` of `outbox list --json`."""


@dataclass(frozen=True, slots=True)
class Wait:
    """What something waits for.

    Attributes:
        until: Unix time in seconds at which that ends by itself; None if it does not, or is over.
        text: in words, without the time; "" if the word says it all.
    """

    why: Why
    until: float | None
    text: str


@dataclass(frozen=True, slots=True)
class Standing:
    """How things stand with one owner.

    Attributes:
        now: Unix time in seconds.
        mutes: those in force.
        running: whether a process is there that sends.
        problem: what is wrong with the settings that this command sees, or "".
    """

    now: float
    pace: Pace
    gate: Gate
    mutes: Sequence[Mute]
    running: bool
    problem: str

    def of_letter(self, letter: Waiting) -> Wait:
        if letter.aside:
            return Wait("aside", None, "refused for good")
        way = self.way(letter)
        if way.why == "gate" or letter.due <= self.now:
            return way
        if letter.unknown:
            return Wait("retry", letter.due, "no answer came after the last attempt: the mail may have arrived")
        if letter.told:
            return Wait("retry", letter.due, "some recipients still lack it")
        return Wait("retry", letter.due, "the last attempt failed")

    def of_incident(self, incident: Incident) -> Wait:
        """Describe one that no letter speaks of."""
        if not (incident.telling or incident.resolved):
            return self._of_told(incident)
        mute = next((mute for mute in self.mutes if mute.covers(incident)), None)
        if mute is not None:
            return Wait("muted", mute.until, f"muted, {mute.reason}" if mute.reason else "muted")
        due = policy.due(incident, self.pace)
        if due > self.now:
            return Wait("repeat", due, "repeats are told then")
        return self.way()

    def _of_told(self, incident: Incident) -> Wait:
        return Wait("elsewhere" if incident.handed else "told", incident.seen + self.pace.quiet_after, "")

    def way(self, letter: Waiting | None = None) -> Wait:
        """Return what is in the way of a mail that is due, of a letter that is there already or a new one."""
        gate = self.gate
        if gate.failures and self.now < gate.due:
            failed = "waits for a repair" if gate.category == "refused" else "sending failed"
            known = letter is not None and letter.error == gate.error
            return Wait("gate", gate.due, failed if known else f"{failed}: {gate.error}")
        if self.problem:
            return Wait("settings", None, f"due, but not with the settings here: {self.problem}")
        ration = gate.ration(self.pace, self.now)
        if ration.tokens < 1 and (letter is None or rationed(letter)):
            spent = f"the ration of {self.pace.mails_per_hour:g} mails an hour is spent"
            return Wait("ration", self.now + ration.wait(self.pace), spent)
        who = "the process that runs sends it" if self.running else "the next process sends it, or `outbox flush`"
        return Wait("due", None, f"due now: {who}")
