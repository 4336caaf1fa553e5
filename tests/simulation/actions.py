"""What may happen to a machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from tests.simulation.world import PEOPLE, World
from tests.stories import fingerprint


class Action(Protocol):
    """One thing that happens. It always can: with nobody there, somebody is started, or nothing happens."""

    def play(self, world: World) -> None: ...


@dataclass(frozen=True, slots=True)
class Raise:
    """A process logs a trouble so many times at once."""

    process: int
    trouble: int
    times: int
    level: int

    def play(self, world: World) -> None:
        world.alert(self.process, f"Trouble {self.trouble}", self.times, self.level)


@dataclass(frozen=True, slots=True)
class Burst:
    """A process logs so many troubles, the first ones, once each."""

    process: int
    troubles: int

    def play(self, world: World) -> None:
        for trouble in range(self.troubles):
            world.alert(self.process, f"Trouble {trouble}", 1, 50)


@dataclass(frozen=True, slots=True)
class Resolve:
    process: int
    trouble: int

    def play(self, world: World) -> None:
        world.alert(self.process, f"Trouble {self.trouble}", 1, 20, resolved=True)


@dataclass(frozen=True, slots=True)
class Trial:
    process: int

    def play(self, world: World) -> None:
        world.alert(self.process, "A test", 1, 50, kind="test", test=True)


@dataclass(frozen=True, slots=True)
class Wait:
    """Time passes, in which each courier looks so many times."""

    seconds: float
    looks: int

    def play(self, world: World) -> None:
        world.wait(self.seconds, self.looks)


@dataclass(frozen=True, slots=True)
class Weather:
    """From now on this is what happens to letters."""

    happening: str

    def play(self, world: World) -> None:
        world.server.weather = self.happening
        world.tell(f"the server's way is: {self.happening}")


@dataclass(frozen=True, slots=True)
class Announce:
    """This happens to the next letters, one each."""

    happenings: tuple[str, ...]

    def play(self, world: World) -> None:
        world.server.announced.extend(self.happenings)
        world.tell(f"the next letters meet: {', '.join(self.happenings)}")


@dataclass(frozen=True, slots=True)
class Kill:
    """A process is killed after so many signs of life in its next round, or after that; None for at once."""

    process: int
    fuse: int | None
    leaving: bool = False

    def play(self, world: World) -> None:
        process = world.process(self.process)
        if self.fuse is not None:
            world.look(process, fuse=self.fuse, leaving=self.leaving)
        if process in world.processes:
            world.end(process, "is killed")


@dataclass(frozen=True, slots=True)
class Leave:
    process: int

    def play(self, world: World) -> None:
        if world.processes:
            world.look(world.process(self.process), leaving=True)


@dataclass(frozen=True, slots=True)
class Start:
    def play(self, world: World) -> None:
        world.start()


@dataclass(frozen=True, slots=True)
class Jump:
    seconds: float

    def play(self, world: World) -> None:
        world.jump(self.seconds)


@dataclass(frozen=True, slots=True)
class Deploy:
    """Settings change: another server, other recipients, or none at all."""

    host: str
    people: tuple[int, ...]

    def play(self, world: World) -> None:
        people = tuple(PEOPLE[number] for number in self.people)
        if people:
            world.deploy(self.host, people)
        else:
            world.settings = None
        world.tell(f"settings: {self.host}, to {', '.join(map(str, people)) or 'nobody'}")


@dataclass(frozen=True, slots=True)
class Mute:
    """An operator silences a trouble for so long, in place of an earlier mute of the same."""

    trouble: int
    seconds: float

    def play(self, world: World) -> None:
        world.mute(fingerprint(f"Trouble {self.trouble}"), self.seconds)


@dataclass(frozen=True, slots=True)
class Unmute:
    trouble: int

    def play(self, world: World) -> None:
        world.unmute(fingerprint(f"Trouble {self.trouble}"))


@dataclass(frozen=True, slots=True)
class Flush:
    def play(self, world: World) -> None:
        world.flush()


@dataclass(frozen=True, slots=True)
class Purge:
    letter: int

    def play(self, world: World) -> None:
        world.purge(self.letter)
