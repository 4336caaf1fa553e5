"""An outbox that is full: what is told and quiet closes, the rest is counted together, and no count is lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from alertlog.alert import Tally
from alertlog.bounds import Bounds, fold
from alertlog.outbox import Outbox
from alertlog.ownership import Owner
from alertlog.policy import HOUR, QUIET_ENOUGH, Pace, Plan
from alertlog.testing import MailServer
from tests.programs import told
from tests.stories import Story
from tests.support import TIME, tally

MANY = 30


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    opened = Outbox(Owner("shop", "alerts"), Pace(), tmp_path / "alerts.sqlite3", Bounds(incidents=MANY))
    yield opened
    opened.close()


def trouble(number: int, count: int = 1, at: float = TIME, **changes: object) -> Tally:
    return tally(f"{number} is missing", count, at, fingerprint=f"{number:016x}", **changes)


def tell(outbox: Outbox, now: float) -> None:
    """All that is untold is mailed."""
    outbox.claim([Plan("opening", (one,)) for one in outbox.incidents.untold()], "example.org", now)
    for letter in outbox.letters.all():
        outbox.accept(letter, [], None, now)


def counted(outbox: Outbox) -> int:
    return sum(one.count for one in outbox.incidents.all())


def test_folded_alerts_are_one_tally_a_kind_that_shows_the_worst() -> None:
    quota, other = fold(
        [trouble(1, 3, TIME, kind="quota"), trouble(2, 4, TIME - 1, kind="quota", level=60), trouble(3)]
    )
    assert (quota.alert.kind, quota.count, quota.first, quota.last) == ("quota", 7, TIME - 1, TIME)
    assert (quota.alert.level, quota.alert.message) == (60, "2 is missing")
    assert (other.alert.kind, other.count) == ("", 1)
    assert len({quota.alert.fingerprint, other.alert.fingerprint, trouble(3).alert.fingerprint}) == 3
    assert fold([trouble(9, kind="quota")])[0].alert.fingerprint == quota.alert.fingerprint


def test_what_opens_beyond_the_bound_is_counted_together_by_kind(outbox: Outbox) -> None:
    opened = outbox.ingest([trouble(number) for number in range(MANY + 50)], {}, TIME)
    assert len(opened) == MANY + 1
    folded = opened[-1]
    assert (folded.folded, folded.count) == (True, 50)
    assert outbox.ingest([trouble(1_000, 5), trouble(1_001, 6, kind="quota")], {}, TIME)[0].kind == "quota"
    assert counted(outbox) == MANY + 50 + 11
    assert len(outbox.incidents.all()) == MANY + 2
    assert {one.count for one in outbox.incidents.all() if one.folded} == {55, 6}


def test_what_is_open_is_counted_as_before_though_the_outbox_is_full(outbox: Outbox) -> None:
    outbox.ingest([trouble(number) for number in range(MANY + 1)], {}, TIME)
    assert outbox.ingest([trouble(0, 9)], {}, TIME) == []
    assert outbox.incidents.open_with(f"{0:016x}").count == 10  # type: ignore[union-attr]


def test_a_flood_of_kinds_is_bounded_too(outbox: Outbox) -> None:
    for number in range(10 * MANY):
        outbox.ingest([trouble(number, kind=f"kind {number}")], {}, TIME)
    assert len(outbox.incidents.all()) <= MANY + outbox.incidents.number() // 10 + 1
    assert counted(outbox) == 10 * MANY


def test_folded_trouble_that_nobody_could_be_told_of_takes_no_more_room_though_it_was_quiet(outbox: Outbox) -> None:
    hours = 2 * MANY
    for hour in range(hours):
        at = TIME + 2 * HOUR * hour
        outbox.ingest([trouble(number, at=at) for number in range(MANY * (hour + 1), MANY * (hour + 2))], {}, at)
    (folded,) = (one for one in outbox.incidents.all() if one.folded)
    assert folded.count == MANY * (hours - 1)
    assert counted(outbox) == MANY * hours


def test_told_and_quiet_incidents_close_to_make_room_the_quietest_first(outbox: Outbox) -> None:
    for number in range(MANY):
        outbox.ingest([trouble(number, at=TIME + number)], {}, TIME + number)
    tell(outbox, TIME + MANY)
    opened = outbox.ingest([trouble(1_000)], {}, TIME + MANY + QUIET_ENOUGH)
    assert [one.folded for one in opened] == [False]
    assert [one.alert.message for one in outbox.take_closed()] == ["0 is missing", "1 is missing", "2 is missing"]
    assert outbox.take_closed() == []
    assert len(outbox.incidents.all()) == MANY - 2


def test_incidents_that_go_on_or_are_untold_do_not_close_to_make_room(outbox: Outbox) -> None:
    outbox.ingest([trouble(number) for number in range(MANY)], {}, TIME)
    later = TIME + QUIET_ENOUGH
    outbox.ingest([trouble(1_000)], {}, later)
    assert outbox.take_closed() == [], "nobody has been told of them"
    tell(outbox, later)
    outbox.take_closed()
    outbox.ingest([trouble(number) for number in range(MANY)], {}, later - 1)
    outbox.take_closed()
    tell(outbox, later)
    outbox.ingest([trouble(1_001)], {}, later + QUIET_ENOUGH - 2)
    assert outbox.take_closed() == [], "they have just been heard of"


def test_a_file_of_the_size_allowed_takes_no_more_incidents_and_no_more_samples(tmp_path: Path) -> None:
    bounds = Bounds(bytes=2 * 1024 * 1024)
    outbox = Outbox(Owner("shop", "alerts"), Pace(), tmp_path / "alerts.sqlite3", bounds)
    long = "x" * 60_000
    for number in range(200):
        outbox.ingest([trouble(number, text=long)], {}, TIME)
        outbox.ingest([trouble(0, text=f"{number} {long}")], {}, TIME)
    assert counted(outbox) == 400
    assert sum(one.folded for one in outbox.incidents.all()) == 1
    outbox.close()
    assert (tmp_path / "alerts.sqlite3").stat().st_size < bounds.bytes


def test_letters_set_aside_beyond_the_newest_go_and_are_counted(outbox: Outbox) -> None:
    outbox.ingest([trouble(number, count=number + 1) for number in range(5)], {}, TIME)
    for one in outbox.incidents.all():
        outbox.claim([Plan("opening", (one,))], "example.org", TIME)
    for letter in outbox.letters.all():
        outbox.put_aside(letter, "554 no", TIME)
    assert outbox.trim_aside(5) == []
    assert [(count, alert.message) for count, alert in outbox.trim_aside(3)] == [
        (1, "0 is missing"),
        (2, "1 is missing"),
    ]
    assert len(outbox.letters.all()) == 3


def test_a_flood_while_the_server_is_dead_is_bounded_told_and_counted_to_the_last_alert(tmp_path: Path) -> None:
    with MailServer("none") as server:
        server.refusals = {"oncall@example.org": "451 4.3.0 later"}
        story = Story(tmp_path / "alerts.sqlite3", server)
        story.bounds = Bounds(incidents=100)
        for number in range(2_000):
            story.alert(f"Trouble {number}", fingerprint=f"{number:016x}", kind="quota" if number % 2 else "")
            if number % 100 == 0:
                story.work(1)
        story.work(1)
        with story.outbox() as outbox:
            assert outbox.incidents.number() == 102
        server.refusals = {}
        story.work_for(24 * 3600, each=600)
    assert told(server.mails) == story.raised == 2_000
    assert any("counted together" in mail.text for mail in server.mails)
    assert "incident_closed" in story.recorder.names
