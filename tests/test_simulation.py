"""Random scenarios in virtual time, and that what watches over them can see what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from alertlog.policy import Pace
from tests.simulation.invariants import Broken, Watch
from tests.simulation.play import play, play_many
from tests.simulation.scenario import scenario
from tests.simulation.world import Sight, Step, World

SCENARIOS = 200


def test_random_scenarios_break_no_invariant() -> None:
    assert play_many(range(1, SCENARIOS + 1)) is None


def test_a_scenario_is_the_same_each_time() -> None:
    assert scenario(7) == scenario(7)
    assert play(scenario(7)) == play(scenario(7))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path, Pace(mails_per_hour=2.0), 1)
    yield made
    made.close()


def told(world: World) -> Step:
    """An alert, and the look that mails it."""
    world.alert(0, "quota used up", 1, 50)
    return world.look(world.process(0))


def test_a_sound_world_passes(world: World) -> None:
    Watch(world).after(told(world))


def test_a_lost_count_is_seen(world: World) -> None:
    step = told(world)
    world.raised += 1
    with pytest.raises(Broken, match="counts add up"):
        Watch(world).after(step)


def test_a_letter_that_comes_twice_is_seen(world: World) -> None:
    step = told(world)
    world.server.offers.append(world.server.offers[0])
    with pytest.raises(Broken, match="nobody gets a letter twice"):
        Watch(world).after(step)


def test_a_mail_beyond_the_ration_is_seen(world: World) -> None:
    step = told(world)
    offer = world.server.offers[0]
    world.server.offers += [replace(offer, accepted=(f"{number}@example.org",)) for number in range(3)]
    with pytest.raises(Broken, match="never more mails than the ration"):
        Watch(world).after(step)


def test_an_incident_that_two_letters_speak_of_is_seen(world: World) -> None:
    world.server.weather = "data 4xx"
    step = told(world)
    twice = replace(step.after, letters=step.after.letters * 2)
    with pytest.raises(Broken, match="no incident in two unsent letters"):
        Watch(world).after(replace(step, after=twice))


def test_what_is_left_over_at_the_end_is_seen(world: World) -> None:
    world.server.weather = "data 4xx"
    step = told(world)
    with pytest.raises(Broken, match="no incident is left untold"):
        Watch(world).at_the_end(step.after)


def test_an_incident_that_never_closes_is_seen(world: World) -> None:
    step = told(world)
    with pytest.raises(Broken, match="what is told and quiet closes"):
        Watch(world).at_the_end(Sight(incidents=step.after.incidents))
