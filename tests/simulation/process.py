"""One process of a simulated machine: its intake and its courier, without the thread."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

from alertlog.alert import Alert
from alertlog.courier import LAST_LOOKS, Courier
from alertlog.intake import Intake
from alertlog.letter import Wording
from alertlog.planning import Post
from alertlog.rounds import Rounds
from tests.stories import OWNER

if TYPE_CHECKING:
    from tests.simulation.world import World


class Process:
    """One process with one handler.

    Attributes:
        pending: repeats that were accepted and are not yet written, by fingerprint: a kill may lose them.
    """

    def __init__(self, name: str, world: World) -> None:
        self.name = name
        self.pending: Counter[str] = Counter()
        self.intake = Intake(world.place, OWNER, world.clock, world.unwritable)
        self.rounds: Rounds | None = None
        self.courier = Courier(partial(self._prepare, world), self.intake, world.recorder)

    def _prepare(self, world: World) -> Rounds:
        post = Post(world.pace, lambda: Wording(OWNER.service), world.read_settings, world.bounds)
        self.rounds = Rounds(
            world.place, OWNER, post, self.intake, world.recorder, world.clock, connect=world.server.connect
        )
        return self.rounds

    @property
    def owns(self) -> bool:
        return self.rounds is not None and self.rounds.owns

    def accept(self, made: Alert) -> None:
        if made.resolved or made.test or not self.intake.repeat(made.fingerprint, made.level, made.created):
            self.intake.add(made)
            if made.resolved:
                self.pending.clear()
        else:
            self.pending[made.fingerprint] += 1

    def look(self, *, leaving: bool) -> None:
        """The courier looks. Raises Killed."""
        self.pending.clear()
        self.courier.step(leaving=leaving)
        for _ in range(LAST_LOOKS if leaving else 0):  # as the courier's thread does
            if self.rounds is None or not self.rounds.release():
                break
            self.courier.step(leaving=True)

    def vanish(self) -> None:
        """What it had open is closed by the kernel."""
        if self.rounds is not None:
            self.rounds.release()
        self.intake.forget()
