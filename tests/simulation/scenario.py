"""What may happen to a machine, and how it is drawn by lot: the same seed always gives the same scenario."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from random import Random

from alertlog.bounds import Bounds
from alertlog.policy import BURST, Pace
from tests.simulation.actions import (
    Action,
    Announce,
    Burst,
    Deploy,
    Flush,
    Jump,
    Kill,
    Leave,
    Mute,
    Purge,
    Raise,
    Resolve,
    Start,
    Trial,
    Unmute,
    Wait,
    Weather,
)
from tests.simulation.server import CONNECTIONS, LETTERS
from tests.stories import DAY, HOUR

FEATURES = (
    "bursts", "levels", "ends", "tests", "weather", "faults", "kills", "leaves", "crowd", "jumps", "deploys",
    "operator", "outages", "mutes", "bounds",
)  # fmt: skip
"""Each scenario has some of them: what is seldom together would otherwise always be."""


@dataclass(frozen=True, slots=True)
class Scenario:
    seed: int
    pace: Pace
    actions: tuple[Action, ...]
    bounds: Bounds = field(default_factory=Bounds)
    servers: int = 1


def scenario(seed: int) -> Scenario:
    """Return the scenario of that number."""
    chance = Random(seed)
    pace = Pace(
        repeat_after=chance.choice((20.0, 300.0, 3600.0)),
        quiet_after=chance.choice((60.0, 1000.0, 3600.0, 20_000.0)),
        mails_per_hour=chance.choice((1.0, 2.0, 3.0, 7.0, 30.0, 1_000.0)),
    )
    features = [feature for feature in FEATURES if chance.random() < 0.45]
    makers = [_raise, _raise, _wait, _wait, *(_MAKERS[feature] for feature in features if feature in _MAKERS)]
    lot = Lot(chance, pace, frozenset(features))
    bounds = Bounds(incidents=chance.choice((1, 3, 10))) if "bounds" in features else Bounds()
    return Scenario(seed, pace, tuple(chance.choice(makers)(lot) for _ in range(chance.randint(5, 45))), bounds)


@dataclass(frozen=True, slots=True)
class Lot:
    """What actions are drawn from."""

    chance: Random
    pace: Pace
    features: frozenset[str]

    @property
    def process(self) -> int:
        return self.chance.randrange(4) if "crowd" in self.features else 0

    @property
    def trouble(self) -> int:
        return self.chance.randrange(4)


def _raise(lot: Lot) -> Action:
    level = lot.chance.choice((40, 50, 60)) if "levels" in lot.features else 50
    return Raise(lot.process, lot.trouble, lot.chance.choice((1, 1, 2, 7, 100)), level)


def _wait(lot: Lot) -> Action:
    spans = [1.0, 1.0, 6.0, 60.0, lot.pace.repeat_after, lot.pace.quiet_after + 1, HOUR, 4 * HOUR]
    if "outages" in lot.features:
        spans += [DAY, 3 * DAY, 8 * DAY]
    span = lot.chance.choice(spans)
    return Wait(span, 1 if span < 10 else lot.chance.choice((1, 2, 5, 12)))


def _faults(lot: Lot) -> Action:
    return Announce(tuple(lot.chance.choices(("ok", *CONNECTIONS, *LETTERS), k=lot.chance.randint(1, 4))))


def _weather(lot: Lot) -> Action:
    lasting = [name for name in LETTERS if "killed" not in name]
    return Weather(lot.chance.choice(("ok", "ok", "ok", *CONNECTIONS, *lasting)))


def _kill(lot: Lot) -> Action:
    return Kill(lot.process, lot.chance.choice((None, lot.chance.randrange(60))), lot.chance.random() < 0.2)


def _jump(lot: Lot) -> Action:
    return Jump(lot.chance.choice((20.0, 59.0, 300.0, HOUR, 5 * HOUR, 2 * DAY, 9 * DAY)) * lot.chance.choice((-1, 1)))


def _deploy(lot: Lot) -> Action:
    people = lot.chance.choice(((0,), (0, 1), (0, 1, 2), (1, 2), ()))
    return Deploy(lot.chance.choice(("mail.example.org", "mail.example.net")), people)


def _mute(lot: Lot) -> Action:
    spans = (1.0, 60.0, lot.pace.repeat_after, HOUR, 4 * HOUR)
    return lot.chance.choice((Mute(lot.trouble, lot.chance.choice(spans)), Unmute(lot.trouble)))


_MAKERS: dict[str, Callable[[Lot], Action]] = {
    "bursts": lambda lot: Burst(lot.process, lot.chance.choice((BURST, BURST + 1, 20, 70))),
    "ends": lambda lot: Resolve(lot.process, lot.trouble),
    "tests": lambda lot: Trial(lot.process),
    "weather": _weather,
    "faults": _faults,
    "kills": _kill,
    "leaves": lambda lot: Leave(lot.process),
    "crowd": lambda _lot: Start(),
    "jumps": _jump,
    "deploys": _deploy,
    "mutes": _mute,
    "bounds": lambda lot: Burst(lot.process, lot.chance.choice((4, 12, 20))),
    "operator": lambda lot: lot.chance.choice((Flush(), Purge(lot.chance.randrange(5)))),
}


def smaller(scenario: Scenario) -> Iterator[Scenario]:
    """Yield scenarios with fewer actions, the much smaller ones first."""
    actions = scenario.actions
    size = len(actions)
    while size := size // 2:
        for start in range(0, len(actions), size):
            yield replace(scenario, actions=actions[:start] + actions[start + size :])
