"""What must hold after every step of every scenario, whatever happened."""

from __future__ import annotations

from collections.abc import Iterator

from alertlog.alert import Incident
from alertlog.outbox import Waiting
from alertlog.policy import HOUR, LONGEST_WAIT, interval
from tests.simulation.server import Offer
from tests.simulation.world import Sight, Step, World

ENOUGH = 45
"""Letters and incidents up to which one round takes all that there is."""
LEVELS = 3
"""Levels that scenarios log at; each rise is a reason for a mail of its own."""


class Broken(AssertionError):
    """An invariant does not hold."""

    def __init__(self, invariant: str, how: str) -> None:
        super().__init__(f"{invariant}: {how}")
        self.invariant = invariant


class Watch:
    """Watches a world, and says what is wrong with it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._known: dict[str, Offer] = {}
        self._threads: set[str] = set()
        self._has: set[tuple[str, str]] = set()
        self._accepted: list[float] = []
        self._since: dict[int, float] = {}

    def after(self, step: Step) -> None:
        """Raises Broken."""
        self._look_for_expired(step)
        for offer in self._world.server.offers[step.first_offer :]:
            self._check_offer(offer, step)
        self._check_trouble(step)
        self._check_claims(step.after)
        self._check_pace(step.after)
        if step.owned and not step.killed:
            self._check_counts(step.after)
        if step.smooth:
            self._check_prompt(step)

    # No alert is told twice, none is not told

    def _check_counts(self, sight: Sight) -> None:
        """What was raised is what mails have told, what the outbox holds, and what is known to be lost."""
        world, taken = self._world, self._world.taken()
        unsent = [letter for letter in sight.letters if not letter.told]
        parts = {
            "told": sum(taken.values()),
            "untold": sum(incident.untold for incident in sight.incidents),
            "told, though nobody knows yet": -sum(
                letter.draft.count for letter in unsent if not letter.aside and letter.draft.message_id in taken
            ),
            "set aside": sum(
                letter.draft.count for letter in unsent if letter.aside and letter.draft.message_id not in taken
            ),
            "expired": sum(event.fields["count"] for event in world.recorder.named("alert_expired")),
            "purged": world.purged,
            "told, and then expired or purged": -world.doubled,
            "pending": sum(sum(process.pending.values()) for process in world.processes),
            "lost by kills": world.lost,
        }
        if sum(parts.values()) != world.raised:
            what = ", ".join(f"{name} {number}" for name, number in parts.items() if number)
            raise Broken("counts add up", f"raised {world.raised}, but {what}")

    def _look_for_expired(self, step: Step) -> None:
        """A letter that expires may have been taken by a server that could not say so."""
        events = self._world.recorder.events[step.first_event :]
        expired = {
            (told.fields["fingerprint"], told.fields["count"]) for told in events if told.name == "alert_expired"
        }
        taken = self._world.taken()
        left = {letter.id for letter in step.after.letters}
        for letter in step.before.letters:
            if letter.id not in left and not letter.told and _parts(letter) <= expired:
                self._threads.add(letter.draft.message_id)
                if letter.draft.message_id in taken:
                    self._world.doubled += letter.draft.count

    def _check_claims(self, sight: Sight) -> None:
        """No incident is in two unsent letters, and none in one is free for another."""
        unsent = [letter for letter in sight.letters if not (letter.told or letter.aside)]
        claimed = [incident.id for letter in unsent for incident in letter.draft.incidents]
        if len(claimed) != len(set(claimed)) or set(claimed) & {incident.id for incident in sight.free}:
            raise Broken("no incident in two unsent letters", f"claimed: {claimed}, free: {sight.free}")

    # What reaches the server

    def _check_offer(self, offer: Offer, step: Step) -> None:
        self._check_same(offer)
        self._check_thread(offer, step)
        noted = offer.heard and not (step.killed and _waits(offer, step.after))
        for address in offer.accepted:
            if (offer.message_id, address) in self._has:
                raise Broken("nobody gets a letter twice", f"{address} has {offer.message_id} already")
            if noted:
                self._has.add((offer.message_id, address))
        if offer.accepted and noted and not offer.test:
            self._check_ration(offer.at)

    def _check_same(self, offer: Offer) -> None:
        """A letter that was offered stays the same: nobody knows who has it."""
        first = self._known.setdefault(offer.message_id, offer)
        self._threads.add(offer.message_id)
        for header in ("Date", "Subject", "X-Alertlog-Count", "X-Alertlog-Total", "References"):
            if first.message[header] != offer.message[header]:
                raise Broken("an offered letter stays the same", f"{header} of {offer.message_id} has changed")

    def _check_thread(self, offer: Offer, step: Step) -> None:
        """A mail that answers another one answers one that somebody got, or may still get."""
        before = offer.message["In-Reply-To"]
        waiting = {letter.draft.message_id for letter in (*step.before.letters, *step.after.letters)}
        if before and before not in self._threads | waiting:
            raise Broken("a thread begins with a letter", f"{offer.message_id} answers {before}, which never was")

    def _check_ration(self, now: float) -> None:
        """No hour sees more accepted mails than the ration, but for what the calendar brings that leaps unnoticed."""
        self._accepted.append(now)
        pace = self._world.pace
        bonus = sum(
            min(pace.burst, seconds * pace.mails_per_hour / 2 / HOUR)
            for at, seconds in self._world.leaps
            if at > now - HOUR
        )
        most = int(pace.burst + pace.mails_per_hour / 2 + bonus + 1e-6)
        found = sum(1 for at in self._accepted if at > now - HOUR)
        if found > most:
            raise Broken("never more mails than the ration", f"{found} in an hour, {most} are allowed")

    # When mails go

    def _check_prompt(self, step: Step) -> None:
        """What can be told now is told now: nothing is left over that the ration and the gate would have let pass."""
        sight, now, pace = step.after, self._world.clock.wall(), self._world.pace
        if sight.gate.failures and now < sight.gate.due <= now + LONGEST_WAIT:
            return
        letters = [letter for letter in sight.letters if not letter.aside and _is_due(letter.due, now)]
        # What a letter of before spoke of comes free by its being sent: the next round is the first that can tell more.
        bound = {incident.id for letter in step.before.letters for incident in letter.draft.incidents}
        free = [incident for incident in sight.free if incident.id not in bound]
        late = [incident for incident in free if step.alone or self._must_be_told(incident, now)]
        if len(letters) + len(late) > ENOUGH:
            return
        tests = [letter for letter in letters if letter.draft.reason == "test"]
        if tests or (sight.gate.ration(pace, now).tokens >= 1 and (letters or late)):
            raise Broken("never later than the next free slot", f"left over: {letters} {late}, {sight.gate}")

    def _must_be_told(self, incident: Incident, now: float) -> bool:
        if incident.resolved or not incident.mails:
            return True
        overdue = now - incident.mailed >= interval(incident.mails, self._world.pace)
        quiet = now - incident.seen >= self._world.pace.quiet_after
        return bool(incident.untold) and (incident.urgent or overdue or quiet)

    def _check_pace(self, sight: Sight) -> None:
        """However often it is raised, an incident is told by as many mails as its age allows."""
        now, pace = self._world.clock.now, self._world.pace
        for incident in sight.incidents:
            age = now - self._since.setdefault(incident.id, now)
            most = sum(1 for _ in _intervals(age, pace.repeat_after)) + LEVELS
            if incident.mails > most and not self._world.astray:
                raise Broken("few mails about one incident", f"{incident.mails} in {age:,.0f} s: {incident}")

    # Nobody is stuck

    def _check_trouble(self, step: Step) -> None:
        for told in self._world.recorder.events[step.first_event :]:
            failed = told.fields.get("stage") == "courier"
            if failed or told.name in ("outbox_unavailable", "outbox_corrupt", "alert_capture_failed"):
                raise Broken("the courier works", told.message)

    def at_the_end(self, sight: Sight) -> None:
        """After a time without alerts and without faults all is told, and everything is closed."""
        untold = [incident for incident in sight.incidents if incident.untold]
        waiting = [letter for letter in sight.letters if not letter.aside]
        if untold or waiting:
            raise Broken("no incident is left untold", f"{untold} {waiting} {sight.gate}")
        if sight.incidents:
            raise Broken("what is told and quiet closes", f"{sight.incidents}")
        self._check_counts(sight)


def _parts(letter: Waiting) -> set[tuple[str, int]]:
    return {(incident.fingerprint, incident.untold) for incident in letter.draft.incidents}


def _waits(offer: Offer, sight: Sight) -> bool:
    return any(letter.draft.message_id == offer.message_id and not letter.told for letter in sight.letters)


def _is_due(due: float, now: float) -> bool:
    return due <= now or due > now + LONGEST_WAIT


def _intervals(age: float, repeat_after: float) -> Iterator[float]:
    """Yield the moments at which a mail may go about an incident of that age: at once, then at doubling intervals."""
    at, step = 0.0, repeat_after
    while at <= age:
        yield at
        at, step = at + min(step, LONGEST_WAIT), step * 2
