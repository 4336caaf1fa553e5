"""An operator silences: nothing is mailed meanwhile, everything is counted, and told when the mute ends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from alertlog.mutes import Mute
from alertlog.testing import MailServer
from tests.programs import told
from tests.stories import HOUR, Story, count, reasons

MINUTE = 60.0


@pytest.fixture
def server() -> Iterator[MailServer]:
    with MailServer("none") as running:
        yield running


@pytest.fixture
def story(tmp_path: Path, server: MailServer) -> Story:
    return Story(tmp_path / "alerts.sqlite3", server)


def mute(story: Story, target: str, seconds: float, reason: str = "planned work") -> None:
    now = story.clock.wall()
    with story.outbox() as outbox:
        outbox.mutes.add(target, now, now + seconds, reason)


def unmute(story: Story, target: str) -> bool:
    with story.outbox() as outbox:
        return outbox.mutes.remove(target, story.clock.wall())


def test_a_muted_kind_is_counted_and_told_when_the_mute_ends_with_its_reason(story: Story, server: MailServer) -> None:
    mute(story, "quota", HOUR / 2)
    for _ in range(20):
        story.alert(kind="quota", times=3)
        story.work(MINUTE)
    assert server.mails == []
    assert story.untold == 60
    story.work_for(HOUR / 2)
    (mail,) = server.mails
    assert count(mail) == 60
    assert "Muted from" in mail.text
    assert "planned work" in mail.text


def test_a_mute_names_a_fingerprint_as_well_and_leaves_all_others_alone(story: Story, server: MailServer) -> None:
    story.alert("Disk full")
    story.work()
    mute(story, str(server.mails[0].message["X-Alertlog-Fingerprint"]), HOUR)
    story.alert("Disk full", level=60)
    story.alert("No price")
    story.work(1)
    assert reasons(server.mails) == ["opening", "opening"]
    assert "No price" in server.mails[1].text


def test_unmuting_tells_at_once_what_was_counted(story: Story, server: MailServer) -> None:
    mute(story, "quota", 2 * HOUR)
    story.alert(kind="quota", times=5)
    story.work(1)
    assert unmute(story, "quota")
    story.work(1)
    assert [count(mail) for mail in server.mails] == [5]
    assert not unmute(story, "quota")


def test_a_mute_survives_a_restart_and_holds_when_the_last_process_leaves(story: Story, server: MailServer) -> None:
    mute(story, "quota", HOUR)
    story.alert(kind="quota")
    story.leave()
    story.begin()
    story.work(1)
    assert server.mails == []
    story.work_for(HOUR)
    assert told(server.mails) == 1


def test_what_ends_while_it_is_muted_is_told_when_the_mute_ends(story: Story, server: MailServer) -> None:
    story.alert(kind="quota")
    story.work()
    mute(story, "quota", HOUR)
    story.alert(kind="quota")
    story.alert(kind="quota", resolved=True)
    story.work(1)
    assert reasons(server.mails) == ["opening"]
    story.work_for(HOUR + MINUTE)
    assert reasons(server.mails) == ["opening", "resolved"]


def test_a_second_mute_of_the_same_takes_the_place_of_the_first(story: Story) -> None:
    mute(story, "quota", HOUR, "first")
    mute(story, "quota", 2 * HOUR, "second")
    now = story.clock.wall()
    with story.outbox() as outbox:
        assert outbox.mutes.all() == [Mute("quota", now, now + 2 * HOUR, "second")]
        assert outbox.mutes.in_force(now + 2 * HOUR) == []
        assert outbox.mutes.all() == [], "what is over is forgotten"


def test_what_a_shorter_second_mute_holds_back_is_told_at_its_end(story: Story, server: MailServer) -> None:
    mute(story, "quota", HOUR)
    story.alert(kind="quota")
    story.work()
    mute(story, "quota", MINUTE)
    story.work(1)
    story.work(MINUTE - 2)
    assert server.mails == []
    story.work(1)
    assert told(server.mails) == 1


def test_a_muted_alert_in_a_digest_says_so(story: Story, server: MailServer) -> None:
    mute(story, "quota", HOUR / 2)
    for number in range(5):
        story.alert(f"Trouble {number}", fingerprint=f"{number:016x}", kind="quota")
    story.work_for(HOUR)
    assert told(server.mails) == 5
    assert reasons(server.mails) == ["opening", "digest"]
    assert all("planned work" in mail.text for mail in server.mails)


def test_an_operators_test_is_outside_of_mutes(story: Story, server: MailServer) -> None:
    mute(story, "quota", HOUR)
    story.alert(kind="quota", test=True)
    story.work(1)
    assert len(server.mails) == 1


def test_a_mute_moves_with_a_clock_that_is_set_and_is_not_older_than_now(story: Story) -> None:
    now = story.clock.wall()
    mute(story, "quota", HOUR)
    with story.outbox() as outbox:
        outbox.times.shift(-9 * HOUR)
        assert outbox.mutes.all()[0].until == now - 8 * HOUR
        outbox.times.forget_future(now - 20 * HOUR)
        assert outbox.mutes.all()[0].until == now - 19 * HOUR
