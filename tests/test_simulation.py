"""Random scenarios in virtual time, and that what watches over them can see what is wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator
from copy import copy
from dataclasses import replace
from pathlib import Path

import pytest

from alertlog.alert import Incident
from alertlog.bounds import Bounds
from alertlog.mutes import Mute
from alertlog.policy import BURST, Pace
from tests.simulation import broken, invariants, timing
from tests.simulation.actions import (
    Action,
    Announce,
    Burst,
    Deploy,
    Jump,
    Kill,
    Leave,
    Purge,
    Raise,
    Resolve,
    Start,
    Trial,
    Wait,
    Weather,
)
from tests.simulation.broken import Broken
from tests.simulation.invariants import Watch
from tests.simulation.play import play, play_many
from tests.simulation.scenario import Scenario, scenario
from tests.simulation.server import Offer
from tests.simulation.sight import Sight, Step
from tests.simulation.world import World
from tests.stories import DAY, HOUR

SCENARIOS = 150
WITH_TWO = 25


def test_random_scenarios_break_no_invariant() -> None:
    assert play_many(range(1, SCENARIOS + 1)) is None


def test_random_scenarios_with_a_second_server_break_none_either() -> None:
    """No alert is lost, told twice or late: where the first server fails and the second does not, or both."""
    assert play_many(range(1, WITH_TWO + 1), servers=2) is None


def test_a_scenario_is_the_same_each_time() -> None:
    assert scenario(7) == scenario(7)
    assert play(scenario(7)) == play(scenario(7))


# Stories that once broke an invariant, or seemed to.


def breaks(pace: Pace, *actions: Action, bounds: Bounds | None = None) -> str | None:
    failure = play(Scenario(1, pace, actions, bounds or Bounds()))
    return failure.reason if failure else None


def test_an_incident_that_is_over_when_the_letter_before_it_expires_is_told_once() -> None:
    lost = (Announce(("lost",)), Weather("data 4xx"), Raise(0, 0, 100, 50), Wait(6.0, 1))
    assert breaks(Pace(20.0, 60.0, 30.0), *lost, Resolve(0, 0), Wait(8 * DAY, 12)) is None


def test_a_calendar_that_goes_back_while_nobody_owns_the_outbox_costs_neither_alerts_nor_the_ration() -> None:
    held = (Raise(1, 0, 100, 50), Start(), Wait(20.0, 12), Start(), Raise(2, 1, 2, 50))
    assert breaks(Pace(20.0, 1_000.0, 1.0), *held, Leave(0), Jump(-9 * DAY)) is None


@pytest.mark.parametrize("fuse", range(12, 18))
def test_a_kill_before_the_last_recipient_is_noted_costs_nobody_else_a_copy(fuse: int) -> None:
    waits = (Announce(("one 4xx", "taken and killed")), Burst(1, 2), Wait(4 * HOUR, 5))
    assert breaks(Pace(300.0, 1_000.0, 2.0), *waits, Kill(0, fuse)) is None


@pytest.mark.parametrize("fuse", range(43, 49))
def test_what_is_resolved_while_its_letter_waits_is_told_by_the_next_round(fuse: int) -> None:
    assert breaks(Pace(300.0, 20_000.0, 30.0), Trial(0), Burst(0, 20), Kill(0, fuse), Resolve(0, 1)) is None


def test_a_thread_does_not_begin_with_a_letter_that_was_purged_before_anybody_saw_it() -> None:
    told = (Burst(0, 2), Wait(1.0, 1), Wait(HOUR, 1), Raise(0, 0, 1, 50))
    gone = (Weather("data 4xx"), Wait(4 * HOUR, 4), Purge(0), Weather("ok"), Raise(0, 0, 1, 50))
    assert breaks(Pace(300.0, 20_000.0, 1.0), *told, *gone, Wait(4 * HOUR, 4)) is None


def test_folded_trouble_that_waits_for_the_ration_takes_no_more_room_though_it_is_quiet() -> None:
    flood = [action for _ in range(6) for action in (Burst(0, 12), Wait(61.0, 1))]
    assert breaks(Pace(300.0, 60.0, 1.0), *flood, bounds=Bounds(incidents=1)) is None


def test_a_letter_whose_last_recipient_is_no_longer_one_delays_no_other_for_long() -> None:
    waits = (Raise(0, 0, 1, 50), Deploy("mail.example.org", (0, 1, 2)), Announce(("one 4xx",)), Wait(1.0, 1))
    assert breaks(Pace(3_600.0, 3_600.0, 2.0), *waits, Raise(0, 1, 7, 50), Wait(HOUR, 12)) is None


def test_of_two_tests_the_one_that_is_sent_as_the_other_expires_is_not_taken_for_it() -> None:
    lost = (Trial(0), Announce(("dot 4xx", "killed", "killed")), Wait(61.0, 2), Trial(0), Wait(8 * DAY, 2))
    assert breaks(Pace(20.0, 60.0, 1_000.0), *lost, bounds=Bounds(incidents=1)) is None


def test_what_the_last_process_had_to_tell_may_be_told_by_the_next_one_before_its_time() -> None:
    refused = (Weather("dot 5xx"), Burst(0, 12), Wait(300.0, 1), Weather("data 4xx"), Burst(0, 4), Leave(0))
    assert breaks(Pace(300.0, 3_600.0, 2.0), *refused, Wait(60.0, 1), bounds=Bounds(incidents=10)) is None


# What watches sees what is wrong: each invariant can fail.


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path, Pace(mails_per_hour=2.0), 1, Bounds(incidents=1))
    yield made
    made.close()


def told(world: World, trouble: str = "quota used up") -> Step:
    """An alert, and the look that mails it."""
    world.alert(0, trouble, 1, 50)
    return world.look(world.process(0))


def changed(offer: Offer, **headers: str) -> Offer:
    """A letter like that with other headers, which nobody takes."""
    message = copy(offer.message)
    for name, value in headers.items():
        del message[name.replace("_", "-")]
        message[name.replace("_", "-")] = value
    return replace(offer, message=message, accepted=())


def later(step: Step, world: World, *incidents: Incident) -> Step:
    """The next look, which found what the last one left, and leaves these."""
    first_offer, first_event = len(world.server.offers), len(world.recorder.events)
    after = replace(step.after, incidents=incidents)
    began = world.clock.now
    return replace(step, before=step.after, after=after, first_offer=first_offer, first_event=first_event, began=began)


def test_every_invariant_is_shown_to_fail() -> None:
    sources = "".join(Path(str(module.__file__)).read_text("utf-8") for module in (broken, invariants, timing))
    shown = re.findall(r'match="(\w[^"]+)"', Path(__file__).read_text("utf-8"))
    assert set(re.findall(r'raise Broken\("(.+?)"', sources)) == set(shown)


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


def test_a_letter_that_changes_after_a_server_saw_it_is_seen(world: World) -> None:
    step = told(world)
    world.server.offers.append(changed(world.server.offers[0], X_Alertlog_Count="2"))
    with pytest.raises(Broken, match="an offered letter stays the same"):
        Watch(world).after(step)


def test_a_mail_that_answers_nothing_is_seen(world: World) -> None:
    step = told(world)
    answer = changed(world.server.offers[0], Message_ID="<2@example.org>", In_Reply_To="<never@example.org>")
    world.server.offers.append(answer)
    with pytest.raises(Broken, match="a thread begins with a letter"):
        Watch(world).after(step)


def test_a_mail_that_answers_one_about_something_else_is_seen(world: World) -> None:
    step = told(world)
    first = world.server.offers[0]
    world.server.offers.append(
        changed(first, Message_ID="<2@example.org>", In_Reply_To=first.message_id, X_Alertlog_Fingerprint="f" * 16)
    )
    with pytest.raises(Broken, match="a thread is about one incident"):
        Watch(world).after(step)


def test_an_incident_that_changes_its_thread_is_seen(world: World) -> None:
    world.pace = Pace(mails_per_hour=1_000.0)
    watch, step = Watch(world), told(world)
    watch.after(step)
    other = told(world, "no price")
    watch.after(other)
    (incident, *_) = step.after.incidents
    moved = replace(incident, thread=world.server.offers[1].message_id)
    with pytest.raises(Broken, match="a thread has one root"):
        watch.after(later(other, world, moved))


def test_an_alert_that_waits_though_the_ration_has_a_mail_is_seen(world: World) -> None:
    world.pace = Pace(mails_per_hour=1_000.0)
    step = told(world)
    untold = replace(step.after.incidents[0], mails=0, accounted=0)
    with pytest.raises(Broken, match="never later than the next free slot"):
        Watch(world).after(replace(step, after=replace(step.after, incidents=(untold,), free=(untold,)), owned=False))


def test_a_mail_about_an_incident_too_soon_after_the_last_one_is_seen(world: World) -> None:
    watch, step = Watch(world), told(world)
    watch.after(step)
    world.clock.advance(world.pace.repeat_after - 1)
    (incident,) = step.after.incidents
    again = later(step, world, replace(incident, mails=2, mailed=world.clock.wall()))
    with pytest.raises(Broken, match="no mail before its time"):
        watch.after(again)


def test_a_mail_that_could_not_wait_is_none_too_soon(world: World) -> None:
    watch, step = Watch(world), told(world)
    watch.after(step)
    world.clock.advance(world.pace.repeat_after - 1)
    (incident,) = step.after.incidents
    watch.after(later(step, world, replace(incident, mails=2, mailed=world.clock.wall(), level=60)))


def test_many_mails_about_one_incident_are_seen(world: World) -> None:
    step = told(world)
    many = replace(step.after.incidents[0], mails=5)
    with pytest.raises(Broken, match="few mails about one incident"):
        Watch(world).after(replace(step, after=replace(step.after, incidents=(many,))))


def test_a_burst_of_mails_is_seen(world: World) -> None:
    step = told(world)
    for number in range(BURST):
        world.recorder.report("smtp_send_succeeded", "opening mail about 'x' was accepted", message_id=f"<{number}@x>")
    with pytest.raises(Broken, match="a burst is a digest"):
        Watch(world).after(step)


def test_a_mail_about_what_is_muted_is_seen(world: World) -> None:
    step = told(world)
    mutes = (Mute(step.after.incidents[0].fingerprint, world.clock.wall(), world.clock.wall() + HOUR, "planned"),)
    before, after = replace(step.before, mutes=mutes), replace(step.after, mutes=mutes)
    with pytest.raises(Broken, match="what is muted is not mailed"):
        Watch(world).after(replace(step, before=before, after=after))


def test_more_incidents_than_the_outbox_may_hold_are_seen(world: World) -> None:
    step = told(world)
    many = tuple(replace(step.after.incidents[0], id=number) for number in range(4))
    with pytest.raises(Broken, match="the outbox is bounded"):
        Watch(world).after(replace(step, after=replace(step.after, incidents=many)))


def test_a_courier_that_fails_is_seen(world: World) -> None:
    step = told(world)
    world.recorder.report("smtp_send_failed", "the courier failed: KeyError", stage="courier", category="temporary")
    with pytest.raises(Broken, match="the courier works"):
        Watch(world).after(step)
