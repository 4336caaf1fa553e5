"""Plays scenarios: checks after each step, runs the world on until it is quiet, and finds the story of a failure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from alertlog.policy import HOUR, LONGEST_WAIT
from tests.simulation.broken import Broken
from tests.simulation.invariants import Watch
from tests.simulation.scenario import Scenario, scenario, smaller
from tests.simulation.sight import Sight
from tests.simulation.world import World

LOOK_EACH = 600.0
"""Seconds between two looks while the world is run on until it is quiet."""
ATTEMPTS = 300
"""Smaller scenarios that are tried, at most, to find the shortest one that fails."""


@dataclass(frozen=True, slots=True)
class Failure:
    """How a scenario failed: the name of what does not hold, and all that happened until then."""

    scenario: Scenario
    invariant: str
    reason: str
    story: tuple[str, ...]

    def __str__(self) -> str:
        actions = "\n".join(f"    {action}," for action in self.scenario.actions)
        story = "\n".join(self.story)
        played = f"seed {self.scenario.seed}, {self.scenario.pace}, {self.scenario.bounds}"
        return f"{played}\n{actions}\n\n{story}\n\n{self.reason}"


def play(scenario: Scenario) -> Failure | None:
    """Play one scenario in a folder of its own; return how it failed, if it did."""
    with TemporaryDirectory(prefix="alertlog-") as folder:
        world = World(Path(folder), scenario.pace, scenario.seed, scenario.bounds, scenario.servers)
        watch = Watch(world)
        world.watch = watch.after
        try:
            for action in scenario.actions:
                action.play(world)
            watch.at_the_end(_run_on(world))
        except Broken as error:
            return Failure(scenario, error.invariant, str(error), tuple(world.story))
        except Exception as error:
            return Failure(scenario, type(error).__name__, repr(error), tuple(world.story))
        finally:
            world.close()
    return None


def _run_on(world: World) -> Sight:
    """Have all faults repaired and nothing more logged, until there is nothing left to do, or for long enough."""
    world.server.weather = "ok"
    world.deploy()
    world.server.announced.clear()
    world.tell("from here on nothing goes wrong any more")
    world.process(0)
    for _ in range(2):  # what the first look of one process writes down, another one reads at its second
        world.everybody_looks()
    sight = world.sight()
    mails = len(sight.letters) + len(sight.incidents)
    slots = 2 * HOUR / world.pace.mails_per_hour * (mails + 1)
    end = world.clock.now + 2 * LONGEST_WAIT + world.pace.quiet_after + slots
    while world.clock.now < end and not _quiet(sight):
        world.wait(LOOK_EACH, 1)
        sight = world.sight()
    return sight


def _quiet(sight: Sight) -> bool:
    return not sight.incidents and all(letter.aside for letter in sight.letters)


def play_many(seeds: Iterable[int], servers: int = 1) -> Failure | None:
    """Play the scenarios of these numbers; return the first failure, by its shortest scenario."""
    for seed in seeds:
        failure = play(replace(scenario(seed), servers=servers))
        if failure is not None:
            return shortest(failure)
    return None


def shortest(failure: Failure) -> Failure:
    """Return the same failure by a scenario with fewer actions."""
    attempts = ATTEMPTS
    tries = smaller(failure.scenario)
    while attempts and (candidate := next(tries, None)) is not None:
        attempts -= 1
        found = play(candidate)
        if found is not None and found.invariant == failure.invariant:
            failure, tries = found, smaller(found.scenario)
    return failure
