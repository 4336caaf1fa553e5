"""What must hold after every step of every scenario, whatever happened."""

from __future__ import annotations

from alertlog.outbox import Waiting
from alertlog.policy import HOUR
from tests.simulation.broken import Broken, brief
from tests.simulation.server import Offer
from tests.simulation.sight import Sight, Step
from tests.simulation.timing import Timing
from tests.simulation.world import World

TURNS = ("incident_opened", "incident_closed")
"""Events at which an incident may begin or end."""


class Watch:
    """Watches a world, and says what is wrong with it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._known: dict[str, Offer] = {}
        self._threads: set[str] = set()
        self._has: set[tuple[str, str]] = set()
        self._accepted: list[float] = []
        self._timing = Timing(world)
        self._roots: dict[int, str] = {}

    def after(self, step: Step) -> None:
        """Raises Broken."""
        self._look_for_expired(step)
        for offer in self._world.server.offers[step.first_offer :]:
            self._check_offer(offer, step)
        self._check_trouble(step)
        self._check_claims(step.after)
        self._forget_ended(step)
        self._check_roots(step.after)
        self._timing.after(step)
        if step.owned and not step.killed:
            self._check_counts(step.after)

    def _forget_ended(self, step: Step) -> None:
        """An incident's number may be given again, in the same step even; events say what ends and what opens."""
        events = [told.fields for told in self._world.recorder.events[step.first_event :] if told.name in TURNS]
        turned = {fields.get("fingerprint") for fields in events}
        before = {(incident.id, incident.fingerprint) for incident in step.before.incidents}
        for incident in step.after.incidents:
            if incident.fingerprint in turned or None in turned:  # of very many that open, events name a few
                self._roots.pop(incident.id, None)
            if incident.fingerprint in turned or (incident.id, incident.fingerprint) not in before:
                self._timing.forget(incident.id)

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
        left = {letter.draft.message_id for letter in step.after.letters}  # numbers are given again
        sent = {
            offer.message_id
            for offer in self._world.server.offers[step.first_offer :]
            if offer.accepted and offer.heard
        }
        for letter in step.before.letters:
            if letter.draft.message_id not in left | sent and not letter.told and _parts(letter) <= expired:
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
        noted = [address for address in offer.accepted if offer.heard and not _forgotten(address, offer, step)]
        for address in offer.accepted:
            if (offer.message_id, address) in self._has:
                raise Broken("nobody gets a letter twice", f"{address} has {offer.message_id} already")
        self._has |= {(offer.message_id, address) for address in noted}
        if noted and not offer.test:
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
        if before in self._known and not set(offer.fingerprints) <= set(self._known[before].fingerprints):
            raise Broken("a thread is about one incident", f"{offer.message_id} answers {before}")

    def _check_roots(self, sight: Sight) -> None:
        """All mails about one incident answer the same one, once somebody has got that."""
        got = {message_id for message_id, _ in self._has}
        roots = {one.id: one.thread for one in sight.incidents if one.thread in got}
        for incident, root in roots.items():
            if self._roots.get(incident, root) != root:
                raise Broken("a thread has one root", f"{root} after {self._roots[incident]}")
        self._roots = roots

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
            raise Broken("no incident is left untold", f"{brief(waiting, untold)}, {sight.gate}")
        if sight.incidents:
            raise Broken("what is told and quiet closes", brief([], sight.incidents))
        self._check_counts(sight)


def _parts(letter: Waiting) -> set[tuple[str, int]]:
    return {(incident.fingerprint, incident.untold) for incident in letter.draft.incidents}


def _forgotten(address: str, offer: Offer, step: Step) -> bool:
    """Whether a kill came between what the server said and its being noted, so that the address is tried again."""
    waiting = [letter for letter in step.after.letters if letter.draft.message_id == offer.message_id]
    return step.killed and any(address not in letter.done for letter in waiting)
