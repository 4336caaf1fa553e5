"""When mails must come, and when they must not: the invariants of the pace, of bursts, mutes and bounds."""

from __future__ import annotations

from collections.abc import Iterator

from alertlog.alert import Incident
from alertlog.policy import BURST, CLOCK_JUMP, LONGEST_WAIT, interval
from tests.simulation.broken import Broken, brief
from tests.simulation.sight import Sight, Step
from tests.simulation.world import World

ENOUGH = 45
"""Letters and incidents up to which one round takes all that there is."""
LEVELS = 3
"""Levels that scenarios log at; each rise is a reason for a mail of its own."""


class Timing:
    """Watches when a world writes about what."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._since: dict[int, float] = {}
        self._mailed: dict[int, tuple[int, float]] = {}
        self._partings: set[str] = set()

    def after(self, step: Step) -> None:
        """Raises Broken."""
        self._check_pace(step.after)
        self._check_gaps(step)
        if step.leaving:
            before = {letter.draft.message_id for letter in step.before.letters}
            self._partings |= {letter.draft.message_id for letter in step.after.letters} - before
        self._check_burst(step)
        self._check_mutes(step)
        self._check_bound(step.after)
        if step.smooth:
            self._check_prompt(step)

    def forget(self, number: int) -> None:
        """This incident's number is given to another one."""
        self._mailed.pop(number, None)
        self._since.pop(number, None)

    def _check_prompt(self, step: Step) -> None:
        """What can be told now is told now: nothing is left over that the ration and the gate would have let pass."""
        sight, now, pace = step.after, self._world.clock.wall(), self._world.pace
        if sight.gate.failures and not _is_due(sight.gate.due, now):
            return
        if self._world.astray and self._world.clock.now - self._world.jumped <= CLOCK_JUMP:
            return  # what a small move that nobody follows has made late is in time by then
        letters = [letter for letter in sight.letters if not letter.aside and _is_due(letter.due, now)]
        # What a letter of before spoke of comes free by its being sent: the next round is the first that can tell more.
        bound = {incident.id for letter in step.before.letters for incident in letter.draft.incidents}
        free = [incident for incident in sight.free if incident.id not in bound]
        late = [
            incident
            for incident in free
            if self._must_be_told(incident, step, now) and not _is_muted(incident, sight, now)
        ]
        if len(letters) + len(late) + len(self._world.server.offers) - step.first_offer > ENOUGH:
            return
        tests = [letter for letter in letters if letter.draft.reason == "test"]
        tokens = sight.gate.ration(pace, now).tokens - self._unneeded(step)
        if tests or (tokens >= 1 + 1e-6 and (letters or late)):
            raise Broken("never later than the next free slot", f"left over: {brief(letters, late)}, {sight.gate}")

    def _unneeded(self, step: Step) -> int:
        """Letters for which a part of the ration was kept, and whose recipients are none any more."""
        gone = {letter.draft.message_id for letter in step.before.letters}
        gone -= {letter.draft.message_id for letter in step.after.letters}
        return len(gone - {offer.message_id for offer in self._world.server.offers[step.first_offer :]})

    def _must_be_told(self, incident: Incident, step: Step, now: float) -> bool:
        if incident.resolved or not incident.mails:
            return True
        overdue = now - incident.mailed >= interval(incident.mails, self._world.pace)
        quiet = now - incident.seen >= self._world.pace.quiet_after
        return bool(incident.untold) and (step.alone or incident.urgent or overdue or quiet)

    def _check_pace(self, sight: Sight) -> None:
        """However often it is raised, an incident is told by as many mails as its age allows."""
        now, pace = self._world.clock.now, self._world.pace
        for incident in sight.incidents:
            age = now - self._since.setdefault(incident.id, now)
            most = sum(1 for _ in _intervals(age, pace.repeat_after)) + LEVELS
            if incident.mails > most and not self._world.astray:
                raise Broken("few mails about one incident", f"{incident.mails} in {age:,.0f} s: {incident}")

    def _check_gaps(self, step: Step) -> None:
        """Between two mails about one incident lies its interval, but for what may not wait."""
        world, mailed = self._world, self._mailed
        before = {incident.id: incident for incident in step.before.incidents}
        drafts = {one.id: one for letter in step.before.letters for one in letter.draft.incidents}
        parting = self._parting(step.before)
        self._mailed = {}
        for incident in step.after.incidents:
            mails, at = mailed.get(incident.id, (0, step.began))
            self._mailed[incident.id] = (mails, at) if incident.mails == mails else (incident.mails, step.began)
            known = drafts.get(incident.id) or before.get(incident.id)
            gap = world.clock.now - at
            if not 0 < mails < incident.mails or known is None or gap >= interval(mails, world.pace) - 1e-3:
                continue
            early = step.leaving or incident.id in parting or self._may_be_early(known, incident)
            if not (world.astray or incident.resolved or early):
                raise Broken("no mail before its time", f"{gap:,.0f} s after the last one: {brief([], [incident])}")

    def _parting(self, sight: Sight) -> set[int]:
        """The incidents of letters that a process left behind, which had to tell all before it went."""
        letters = (letter for letter in sight.letters if letter.draft.message_id in self._partings)
        return {incident.id for letter in letters for incident in letter.draft.incidents}

    def _may_be_early(self, before: Incident, after: Incident) -> bool:
        """Whether a mail could not wait: the level rose, or the incident was quiet."""
        return before.urgent or after.level > before.level or after.mailed - before.seen >= self._world.pace.quiet_after

    def _check_burst(self, step: Step) -> None:
        """Of different alerts that open at once, few have a mail of their own."""
        known = {letter.draft.message_id for letter in step.before.letters}
        opening = {
            told.fields["message_id"]
            for told in self._world.recorder.events[step.first_event :]
            if told.message.startswith("opening mail")
        }
        if len(opening - known) > BURST:
            raise Broken("a burst is a digest", f"{len(opening - known)} mails opened at once")

    def _check_mutes(self, step: Step) -> None:
        """Nobody begins to write about what an operator has silenced."""
        now = self._world.clock.wall()
        silent = {mute.target for mute in step.before.mutes} & {
            mute.target for mute in step.after.mutes if mute.until > now
        }
        known = {letter.draft.message_id for letter in step.before.letters}
        for offer in self._world.server.offers[step.first_offer :]:
            if offer.message_id not in known and not offer.test and silent & set(offer.fingerprints):
                raise Broken("what is muted is not mailed", f"{offer.message_id} about {offer.fingerprints}")

    def _check_bound(self, sight: Sight) -> None:
        """Beyond the bound there is one incident for each kind at most, and those that operators ask for."""
        bounds = self._world.bounds
        number = sum(not incident.alert.test for incident in sight.incidents)
        if number > bounds.incidents + bounds.margin + 1:
            raise Broken("the outbox is bounded", f"{number} incidents, {bounds.incidents} are allowed")


def _is_muted(incident: Incident, sight: Sight, now: float) -> bool:
    return any(mute.until > now and mute.covers(incident) for mute in sight.mutes) and not incident.alert.test


def _is_due(due: float, now: float) -> bool:
    return due <= now or due > now + LONGEST_WAIT + CLOCK_JUMP


def _intervals(age: float, repeat_after: float) -> Iterator[float]:
    """Yield the moments at which a mail may go about an incident of that age: at once, then at doubling intervals."""
    at, step = 0.0, repeat_after
    while at <= age:
        yield at
        at, step = at + min(step, LONGEST_WAIT), step * 2
