"""Whole stories of incidents, from the first alert to the last mail, as one courier round after another tells them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from time import time

import pytest

from alertlog.testing import MailServer
from alertlog.words import words_in
from tests.programs import PATIENCE, Site, address, told
from tests.stories import DAY, HOUR, OWNER, Story, count, header, reasons, references, total


@pytest.fixture
def server() -> Iterator[MailServer]:
    with MailServer("none") as running:
        yield running


@pytest.fixture(params=["file", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    """Where the outbox is: every story has to go the same way in both places."""
    return tmp_path / "alerts.sqlite3" if request.param == "file" else None


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "alerts.sqlite3"


def mailed_at(story: Story, server: MailServer, seconds: float, each: float = 60.0) -> list[float]:
    """Let time pass, and return after how many seconds each mail came."""
    times = []
    for number in range(1, int(seconds / each) + 1):
        before = len(server.mails)
        story.work(each)
        times += [number * each] * (len(server.mails) - before)
    return times


# The opening


def test_the_first_alert_is_mailed_at_once_and_alone(place: Path | None, server: MailServer) -> None:
    story = Story(place, server)
    story.alert("Quota used up", kind="quota")
    story.work()
    (mail,) = server.mails
    assert reasons([mail]) == ["opening"]
    assert (count(mail), total(mail), references(mail)) == (1, 1, "")
    assert header(mail, "X-Alertlog-Kind") == "quota"
    (opened,) = story.recorder.named("incident_opened")
    assert "alert" not in opened.fields
    (sent,) = story.recorder.named("smtp_send_succeeded")
    assert sent.fields["message_id"] == header(mail, "Message-ID")
    assert sent.fields["recipients"] == ["oncall@example.org"]
    assert (sent.fields["attempt"], sent.fields["smtp_code"], sent.fields["kind"]) == (1, 250, "quota")


def test_repeats_before_the_first_mail_are_in_it(place: Path | None, server: MailServer) -> None:
    story = Story(place, server)
    story.alert(times=7)
    story.work()
    (mail,) = server.mails
    assert (count(mail), total(mail)) == (7, 7)


def test_several_letters_due_at_once_go_over_one_connection(place: Path | None, server: MailServer) -> None:
    story = Story(place, server)
    for disk in "abc":
        story.alert(f"Disk {disk} full")
    story.work()
    assert reasons(server.mails) == ["opening"] * 3
    assert server.connections == 1


def test_a_burst_of_different_alerts_is_one_digest_after_the_first_mail(place: Path | None, server: MailServer) -> None:
    story = Story(place, server)
    for number in range(40):
        story.alert(f"Trouble {number}", fingerprint=f"{number:016x}", level=50 if number == 7 else 40)
    story.work()
    assert reasons(server.mails) == ["opening", "digest"]
    assert "Trouble 7" in server.mails[0].text
    assert told(server.mails) == 40
    story.alert("Disk a full")
    story.alert("Disk b full")
    story.work(0.5)
    assert reasons(server.mails[2:]) == ["digest"], "the burst goes on"
    story.alert("Disk c full")
    story.alert("Disk d full")
    story.work(1.5)
    assert reasons(server.mails[3:]) == ["opening", "opening"], "it is over"
    assert told(server.mails) == story.raised == 44


def test_where_nothing_happened_nothing_is_made_and_nobody_asked(file: Path, server: MailServer) -> None:
    story = Story(file, server)
    story.work()
    story.leave()
    assert story.recorder.events == []
    assert list(file.parent.iterdir()) == []
    assert server.connections == 0


# What goes on


def test_a_repeat_is_told_by_a_follow_up_after_repeat_after_and_not_before(
    place: Path | None, server: MailServer
) -> None:
    story = Story(place, server, repeat_after=300)
    story.alert()
    story.work()
    story.alert(times=3)
    assert mailed_at(story, server, 600, each=1) == [300]
    opening, follow_up = server.mails
    assert reasons(server.mails) == ["opening", "follow-up"]
    assert (count(follow_up), total(follow_up)) == (3, 4)
    assert references(follow_up) == header(opening, "Message-ID")


def test_while_it_lasts_the_intervals_double_up_to_four_hours_and_every_alert_is_told_once(
    place: Path | None, server: MailServer
) -> None:
    story = Story(place, server, repeat_after=300)
    story.alert()
    story.work()
    times = [0.0]
    for began in range(0, int(30 * HOUR), 300):
        story.alert(times=2)
        times += [began + after for after in mailed_at(story, server, 300)]
    assert [int(later - earlier) for earlier, later in pairwise(times)][:8] == [
        300, 600, 1_200, 2_400, 4_800, 9_600, 14_400, 14_400,
    ]  # fmt: skip
    assert max(later - earlier for earlier, later in pairwise(times)) == 4 * HOUR
    assert {references(mail) for mail in server.mails[1:]} == {header(server.mails[0], "Message-ID")}
    assert {mail.subject for mail in server.mails} == {server.mails[0].subject}
    story.alert(resolved=True)
    story.work()
    assert told(server.mails) == total(server.mails[-1]) == story.raised == 721


def test_a_higher_level_is_mailed_at_once_and_the_next_repeat_waits_again(
    place: Path | None, server: MailServer
) -> None:
    story = Story(place, server)
    story.alert(level=40, levelname="ERROR")
    story.work()
    story.alert(level=40, levelname="ERROR")
    story.work(10)
    assert len(server.mails) == 1
    story.alert(level=50)
    story.work(1)
    assert reasons(server.mails) == ["opening", "follow-up"]
    assert count(server.mails[1]) == 2
    story.alert(level=50)
    assert mailed_at(story, server, 660) == [600]


def test_an_alert_while_the_first_letter_waits_is_told_by_the_next_one(file: Path, server: MailServer) -> None:
    server.refusals = {"oncall@example.org": "451 4.7.1 come back later"}
    story = Story(file, server)
    story.alert()
    story.work()
    story.alert(times=4)
    story.work(1)
    server.refusals = {}
    story.work(10)
    assert [count(mail) for mail in server.mails] == [1]
    story.work(300)
    assert [count(mail) for mail in server.mails] == [1, 4]


def test_of_the_samples_that_differ_the_first_four_and_the_newest_are_shown(
    place: Path | None, server: MailServer
) -> None:
    story = Story(place, server)
    story.alert("Price 0 missing", kind="price", fingerprint="0" * 16)
    story.work()
    for number in (1, 1, 2, 3, 4, 5, 6):
        story.work(6)  # else it is but counted
        story.alert(f"Price {number} missing", kind="price", fingerprint="0" * 16)
    story.work(300)
    shown = [number for number in range(1, 7) if f"Price {number} missing" in server.mails[1].text]
    assert shown == [1, 2, 3, 4, 6]
    assert count(server.mails[1]) == 7


# The end


def test_the_timeline_in_the_documentation_is_true(place: Path | None, server: MailServer) -> None:
    story = Story(place, server)
    story.alert()
    story.work()
    times = [0]
    for minute in range(1, 200):
        before = len(server.mails)
        if minute <= 90:
            story.alert()
        story.work(60)
        times += [minute] * (len(server.mails) - before)
    assert times == [0, 5, 15, 35, 75, 150]
    assert [count(mail) for mail in server.mails] == [1, 5, 10, 20, 40, 15]
    assert reasons(server.mails) == ["opening", *["follow-up"] * 4, "closing"]


def test_a_follow_up_tells_what_is_new_since_the_last_mail(place: Path | None, server: MailServer) -> None:
    story = Story(place, server)
    story.alert("Price 1 missing", fingerprint="f")
    story.work()
    for number in (2, 3):
        story.work(10)
        story.alert(f"Price {number} missing", fingerprint="f")
    story.work(300)
    story.alert("Price 4 missing", fingerprint="f", created=story.clock.wall() + 60)
    story.work(600)
    _, second, third = server.mails
    assert [number for number in range(1, 5) if f"Price {number}" in second.text] == [1, 2, 3]
    assert [number for number in range(1, 5) if f"Price {number}" in third.text] == [1, 4]
    assert "1 more alert since the last mail, 4 in all" in third.text
    assert "00:06:20" in third.text.partition("Where and when")[0]
    assert "00:00:00" not in third.text.partition("Where and when")[0]


def test_what_is_told_and_quiet_closes_without_a_mail(place: Path | None, server: MailServer) -> None:
    story = Story(place, server, quiet_after=3_600)
    story.alert()
    assert mailed_at(story, server, 3_600) == [60]
    assert "incident_closed" not in story.recorder.names
    assert mailed_at(story, server, 120) == []
    (closed,) = story.recorder.named("incident_closed")
    assert closed.fields["count"] == 1
    story.alert()
    story.work()
    assert reasons(server.mails) == ["opening", "opening"]
    assert references(server.mails[1]) == ""


def test_what_is_untold_when_it_is_quiet_is_told_by_a_closing_mail(place: Path | None, server: MailServer) -> None:
    story = Story(place, server, repeat_after=7_200, quiet_after=3_600)
    story.alert()
    story.work()
    story.work(60)
    story.alert(times=5)
    assert mailed_at(story, server, 4 * HOUR) == [3_660]
    opening, closing = server.mails
    assert reasons(server.mails) == ["opening", "closing"]
    assert (count(closing), total(closing)) == (5, 6)
    assert references(closing) == header(opening, "Message-ID")
    story.alert()
    story.work()
    assert references(server.mails[2]) == ""


def test_resolved_closes_at_once_by_a_mail_and_is_no_alert_itself(place: Path | None, server: MailServer) -> None:
    story = Story(place, server)
    story.alert(kind="quota")
    story.work()
    story.alert(kind="quota", times=2)
    began = story.clock.wall()
    story.work(60)
    story.alert(kind="quota", resolved=True)
    story.work(1)
    opening, resolved = server.mails
    assert reasons(server.mails) == ["opening", "resolved"]
    assert (count(resolved), total(resolved)) == (2, 3)
    assert references(resolved) == header(opening, "Message-ID")
    assert "Resolved after 1 min" in resolved.text
    last = next(line for line in resolved.text.splitlines() if line.startswith("Last "))
    assert last.endswith(words_in("en").moment(began)), "the time of the last alert, not of its end"
    story.alert(kind="quota")
    story.work(1)
    assert reasons(server.mails[2:]) == ["opening"]
    assert told(server.mails) == story.raised == 4


def test_resolved_before_any_mail_is_one_mail_that_counts_the_alerts(place: Path | None, server: MailServer) -> None:
    story = Story(place, server)
    story.alert(times=3)
    story.alert(resolved=True)
    story.work()
    (mail,) = server.mails
    assert reasons([mail]) == ["resolved"]
    assert (count(mail), total(mail)) == (3, 3)


def test_resolved_without_an_open_incident_is_no_mail(place: Path | None, server: MailServer) -> None:
    story = Story(place, server)
    story.alert(resolved=True)
    story.work()
    story.work(1)
    assert server.mails == []


def test_the_mail_that_ends_an_incident_is_told_by_an_event(place: Path | None, server: MailServer) -> None:
    story = Story(place, server)
    story.alert("Disk full", times=3)
    story.work()
    story.alert("Disk full", resolved=True)
    story.alert("No price", times=2)
    story.work(1)
    story.alert("No price")
    story.leave()
    closed = story.recorder.named("incident_closed")
    assert [told.fields["count"] for told in closed] == [3, 3]
    assert [told.message.partition(":")[0] for told in closed] == ["resolved", "told whole"]


def test_the_last_process_on_the_outbox_tells_what_is_untold(place: Path | None, server: MailServer) -> None:
    story = Story(place, server)
    story.alert()
    story.work()
    story.alert(times=9)
    story.leave()
    assert reasons(server.mails) == ["opening", "closing"]
    assert told(server.mails) == story.raised == 10
    assert "Told now because the program ended; whether it is over is not known." in server.mails[1].text
    assert "Clos" not in server.mails[1].text


def test_a_process_that_leaves_others_behind_leaves_the_telling_to_them(file: Path, server: MailServer) -> None:
    site = Site(file.parent, server, ALERTLOG_OUTBOX=str(file), ALERTLOG_SERVICE=OWNER.service)
    program = """
        handler = AlertHandler()
        handler.set_name("alerts")
        log.addHandler(handler)
        log.critical("From another process")
        print("up", flush=True)
        sys.stdin.read()
    """
    story = Story(file, server)
    story.clock.set_wall(time())  # the other process knows no other
    story.alert()
    story.work()
    with site.running(program) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        story.alert()
        story.leave()
        assert "closing" not in reasons(server.mails)
        process.communicate("", timeout=PATIENCE)
    assert told(server.mails) == story.raised + 1 == 3
    assert "closing" in reasons(server.mails)


# Digests and the ration


def test_above_mails_per_hour_what_is_due_is_one_digest_and_nothing_is_dropped(
    place: Path | None, server: MailServer
) -> None:
    story = Story(place, server, mails_per_hour=2)
    for number in range(10):
        story.alert(f"Trouble {chr(97 + number)}", times=number + 1, level=40 + number)
    story.work()
    (digest,) = server.mails
    assert reasons([digest]) == ["digest"]
    assert header(digest, "X-Alertlog-Kind") == "digest"
    assert len(digest.message.get_all("X-Alertlog-Fingerprint", [])) == 10
    assert count(digest) == total(digest) == story.raised == 55
    assert references(digest) == ""
    assert digest.text.index("Trouble j") < digest.text.index("Trouble a")  # worst first


def test_a_follow_up_after_a_digest_begins_the_incidents_own_thread(place: Path | None, server: MailServer) -> None:
    story = Story(place, server, mails_per_hour=2)
    story.alert("Disk a full")
    story.alert("Disk b full")
    story.work()
    story.alert("Disk a full")
    story.work(HOUR)
    story.alert("Disk a full")
    story.work(HOUR)
    assert [references(mail) for mail in server.mails[:2]] == ["", ""]
    assert told(server.mails[:2]) == 3
    assert {references(mail) for mail in server.mails[2:]} <= {header(server.mails[1], "Message-ID"), ""}


def test_a_thread_does_not_begin_with_a_follow_up_that_was_purged_before_any_server_saw_it(
    file: Path, server: MailServer
) -> None:
    story = Story(file, server, mails_per_hour=2)
    story.alert("Disk a full")
    story.alert("Disk b full")
    story.work()
    server.stop()
    story.alert("Disk a full")
    story.work(HOUR)
    with story.outbox() as outbox:
        (letter,) = outbox.letters.all()
        outbox.purge(letter)
    with MailServer("none") as other:
        story.environ = address(other)
        story.alert("Disk a full")
        story.work(HOUR / 2)
        (mail,) = other.mails
    assert (count(mail), references(mail)) == (1, "")


def test_no_hour_sees_more_mails_than_the_ration_and_every_alert_is_told(
    place: Path | None, server: MailServer
) -> None:
    story = Story(place, server, mails_per_hour=6)
    times: list[float] = []
    for minute in range(300):
        story.alert(f"Trouble {chr(97 + minute % 26)}{chr(97 + minute // 26)}")
        times += [minute * 60 + after for after in mailed_at(story, server, 60, each=20)]
    assert max(sum(1 for other in times if 0 <= other - one < HOUR) for one in times) <= 6
    story.work(2 * HOUR)
    assert told(server.mails) == story.raised == 300


def test_a_mail_put_off_by_the_server_counts_when_it_goes(file: Path, server: MailServer) -> None:
    """A greylisting server lets letters pile up; they too come within the ration."""
    server.refusals = {"oncall@example.org": "451 4.7.1 greylisted"}
    story = Story(file, server, mails_per_hour=4)
    for number in range(8):
        story.alert(f"Trouble {chr(97 + number)}")
        story.work(1)
    server.refusals = {}
    times = mailed_at(story, server, 12 * HOUR)
    assert times
    assert max(sum(1 for other in times if 0 <= other - one < HOUR) for one in times) <= 4
    assert told(server.mails) == story.raised == 8


def test_a_test_mail_is_outside_the_ration_and_closes_itself(place: Path | None, server: MailServer) -> None:
    story = Story(place, server, mails_per_hour=2)
    for _ in range(4):
        story.alert("A test", test=True)
    story.work()
    story.alert()
    story.work()
    assert reasons(server.mails) == ["test", "test", "test", "test", "opening"]
    story.alert("Another trouble")
    story.work(1)
    assert len(server.mails) == 5  # the burst of one is spent
    story.alert("A test", test=True)
    story.work(1)
    assert reasons(server.mails[5:]) == ["test"]
    story.work_for(3 * HOUR)
    assert told(server.mails) == story.raised == 7
    assert len(story.recorder.named("incident_closed")) == 2  # both troubles, none of the tests


# Restarts and clocks


def test_everything_survives_a_restart_in_any_place(file: Path, server: MailServer) -> None:
    story = Story(file, server)
    story.alert()
    story.restart()
    story.work()
    story.restart()
    story.alert(times=2)
    story.restart()
    story.work(299)
    assert len(server.mails) == 1
    story.restart()
    story.work(2)
    assert reasons(server.mails) == ["opening", "follow-up"]
    assert count(server.mails[1]) == 1  # the other repeat was in a counter when the process was killed
    assert references(server.mails[1]) == header(server.mails[0], "Message-ID")


@pytest.mark.parametrize("by", [-DAY, DAY, -2 * HOUR, 2 * HOUR])
def test_a_clock_that_is_set_changes_no_interval(file: Path, server: MailServer, by: float) -> None:
    story = Story(file, server)
    story.alert()
    story.work()
    story.clock.set_wall(story.clock.wall() + by)
    story.alert(times=2)
    assert mailed_at(story, server, 1_200, each=30) == [300]
    assert reasons(server.mails) == ["opening", "follow-up"]
    assert told(server.mails) == 3
    story.clock.set_wall(story.clock.wall() - by)
    assert mailed_at(story, server, 4 * HOUR) == []
    assert len(story.recorder.named("incident_closed")) == 1


@pytest.mark.parametrize(("by", "lasting"), [(-3.5 * HOUR, 0), (-3.5 * HOUR, 20), (DAY, 0), (DAY, 20)])
def test_a_clock_set_between_two_processes_brings_no_flood_and_no_long_silence(
    file: Path, server: MailServer, by: float, lasting: int
) -> None:
    story = Story(file, server)
    times = mails_of_an_incident(story, server, lasting * HOUR + 600)
    story.end()
    story.clock.set_wall(story.clock.wall() + by)
    story.begin()
    times = [times[-1] - (lasting * HOUR + 600), *mails_of_an_incident(story, server, 14 * HOUR)]
    assert len(times) <= 12
    assert max(later - earlier for earlier, later in pairwise(times)) <= 4 * HOUR + 600
    story.leave()
    assert told(server.mails) == story.raised


def test_a_clock_set_back_by_a_day_between_two_processes_brings_no_long_silence(file: Path, server: MailServer) -> None:
    story = Story(file, server)
    mails_of_an_incident(story, server, 600)
    story.end()
    story.clock.set_wall(story.clock.wall() - DAY)
    story.begin()
    assert mails_of_an_incident(story, server, 4 * HOUR) != []


def test_a_clock_set_back_by_hours_between_two_processes_leaves_nothing_waiting_for_the_hours(
    file: Path, server: MailServer
) -> None:
    story = Story(file, server, mails_per_hour=3, quiet_after=20_000)
    story.alert()
    story.work()
    story.alert("No price", level=60)
    story.work()  # the ration is used up for the next twenty minutes
    story.end()
    story.clock.set_wall(story.clock.wall() - 5 * HOUR)
    story.begin()
    assert mailed_at(story, server, 1_800, each=600) != []


def mails_of_an_incident(story: Story, server: MailServer, seconds: float) -> list[float]:
    """Have the same alert every ten minutes for some time, and return when mails came."""
    times: list[float] = []
    for began in range(0, int(seconds), 600):
        story.alert()
        times += [began + after for after in mailed_at(story, server, 600)]
    return times


def test_a_clock_that_jumped_while_another_process_owned_the_outbox_is_not_followed_twice(
    file: Path, server: MailServer
) -> None:
    owner, other = Story(file, server), Story(file, server)
    owner.alert(times=2)
    owner.work()
    other.clock, other.recorder = owner.clock, owner.recorder
    other.begin()
    other.alert()
    other.work()
    assert other.rounds is not None
    assert not other.rounds.owns
    owner.clock.set_wall(owner.clock.wall() + DAY)
    for story in (owner, other):
        story.work()
    owner.end()
    assert mailed_at(other, server, 1_200, each=30) == [300]


def test_a_clock_that_another_owner_followed_in_between_is_not_followed_twice(file: Path, server: MailServer) -> None:
    first, second = Story(file, server), Story(file, server)
    second.clock, second.recorder = first.clock, first.recorder
    second.begin()
    first.alert(times=2)
    first.work()
    assert first.rounds is not None
    first.rounds.release()
    second.alert()
    second.work()
    first.clock.set_wall(first.clock.wall() + DAY)
    second.work()
    second.end()
    assert mailed_at(first, server, 1_200, each=30) == [300]


def test_a_clock_set_back_while_no_process_owned_the_outbox_makes_nothing_older(file: Path, server: MailServer) -> None:
    owner, other = Story(file, server, mails_per_hour=1), Story(file, server, mails_per_hour=1)
    other.clock, other.recorder = owner.clock, owner.recorder
    other.begin()
    owner.alert()
    for story in (owner, other):
        story.work()
    owner.alert("No price")
    owner.work()
    owner.end()
    owner.clock.set_wall(owner.clock.wall() - 9 * DAY)
    other.work()
    assert other.recorder.named("alert_expired") == []
    assert len(server.mails) == 1  # the ration is used up, and for no shorter time than before
    assert mailed_at(other, server, 3 * HOUR, each=600) == [2 * HOUR]
    assert told(server.mails) == 2
