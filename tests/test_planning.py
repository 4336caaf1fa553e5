"""What is sent now, and whether: settings that are missing or wrong, the gate, the ration, and what expires."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from alertlog.bounds import Bounds
from alertlog.testing import MailServer
from tests.behaviours import drop
from tests.programs import address, told
from tests.servers import ScriptedServer, dead_port
from tests.stories import DAY, HOUR, WEEK, Story, count, header

ONCALL = "oncall@example.org"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "alerts.sqlite3"


@pytest.fixture
def server() -> Iterator[MailServer]:
    with MailServer("none") as running:
        yield running


# Settings


def test_missing_settings_are_one_event_with_all_of_them_and_the_alert_and_it_is_sent_once_they_are_there(
    file: Path, server: MailServer
) -> None:
    story = Story(file, None)
    story.alert(times=2)
    story.work_for(HOUR, each=60)
    (missing,) = story.recorder.named("smtp_config_missing")
    assert missing.fields["problems"].keys() == {"SMTP_HOST", "SMTP_FROM", "SMTP_TO"}
    assert (missing.fields["stage"], missing.fields["category"]) == ("settings", "refused")
    assert missing.fields["alert"]["message"] == "Disk full"
    (opened,) = story.recorder.named("incident_opened")
    assert opened.fields["alert"]["message"] == "Disk full"
    story.environ |= address(server)
    story.work(1)
    (mail,) = server.mails
    assert count(mail) == 2


def test_wrong_settings_are_one_event_with_all_problems_and_no_secret(file: Path, server: MailServer) -> None:
    story = Story(file, server)
    story.environ |= {"SMTP_PORT": "65536", "SMTP_TRANSPORT": "tls", "SMTP_PASSWORD": "correct horse"}
    story.alert()
    story.work_for(HOUR, each=60)
    (invalid,) = story.recorder.named("smtp_config_invalid")
    assert invalid.fields["problems"].keys() == {"SMTP_PORT", "SMTP_TRANSPORT", "SMTP_USERNAME"}
    assert "correct horse" not in repr(story.recorder.events)
    del story.environ["SMTP_PASSWORD"]
    story.environ |= address(server)
    story.work(1)
    assert len(server.mails) == 1


def test_other_problems_are_told_anew_and_the_same_ones_again_after_a_repair(file: Path, server: MailServer) -> None:
    story = Story(file, server)
    story.environ["SMTP_PORT"] = "0"
    story.alert()
    story.work()
    story.environ["SMTP_PORT"] = "x"
    story.environ["SMTP_FROM"] = "nobody"
    story.work(1)
    story.work(1)
    assert len(story.recorder.named("smtp_config_invalid")) == 2
    story.environ |= address(server)
    story.work(1)
    story.environ["SMTP_PORT"] = "0"
    story.alert("Another trouble")
    story.work(1)
    assert len(story.recorder.named("smtp_config_invalid")) == 3


def test_settings_that_break_while_a_letter_waits_are_told_though_no_incident_is_due(file: Path) -> None:
    with dead_port() as port:
        story = Story(file, None)
        story.environ |= address(MailServer("none")) | {"SMTP_PORT": str(port)}
        story.alert()
        story.work()
        story.environ["SMTP_TO"] = "nobody"
        story.work(1)
        (invalid,) = story.recorder.named("smtp_config_invalid")
        assert "alert" not in invalid.fields
        story.work(900)
        assert len(story.recorder.named("smtp_config_invalid")) == 1
        assert len(story.recorder.named("smtp_send_failed")) == 1


def test_without_anything_to_send_nobody_reads_the_settings(file: Path) -> None:
    story = Story(file, None)
    story.alert()
    story.work()
    story.recorder.clear()
    story.work_for(2 * WEEK, each=DAY)
    assert story.recorder.names == ["alert_expired"]


def test_credentials_without_tls_are_told_once_for_a_process(file: Path) -> None:
    with MailServer("none", login=("etl", "correct horse")) as server:
        story = Story(file, server)
        story.environ |= {"SMTP_USERNAME": "etl", "SMTP_PASSWORD": "correct horse"}
        for disk in "ab":
            story.alert(f"Disk {disk} full")
            story.work(1)
        assert [mail.login for mail in server.mails] == ["etl", "etl"]
    (warning,) = story.recorder.named("smtp_insecure_login")
    assert (warning.fields["host"], warning.fields["transport"]) == ("127.0.0.1", "none")


# The gate


def test_what_is_told_closes_though_its_server_has_gone(file: Path, server: MailServer) -> None:
    story = Story(file, server)
    story.alert("Disk a full")
    story.work()
    server.stop()
    story.alert("Disk b full")
    story.work(1)
    story.work_for(2 * HOUR)
    assert [told.fields["count"] for told in story.recorder.named("incident_closed")] == [1]


def test_a_gate_that_seems_shut_for_more_than_4_hours_is_open_because_the_clock_went_back(
    file: Path, server: MailServer
) -> None:
    server.refusals = {ONCALL: "550 5.7.1 not you"}
    story = Story(file, server)
    story.alert()
    story.work()
    server.refusals = {}
    story.end()
    story.clock.set_wall(story.clock.wall() - DAY)
    story.begin()
    story.work()
    assert told(server.mails) == 1


def test_a_small_step_of_the_clock_back_opens_no_gate(file: Path, server: MailServer) -> None:
    server.refusals = {ONCALL: "550 5.7.1 not you"}
    story = Story(file, server)
    story.alert()
    story.work()
    while story.gate.due - story.clock.wall() < 4 * HOUR - 1:
        story.work(story.gate.due - story.clock.wall())
    before = server.connections
    for _ in range(10):
        story.clock.set_wall(story.clock.wall() - 2)
        story.work(1)
    assert server.connections == before


# The ration


def test_letters_that_were_put_off_and_new_ones_share_one_ration(file: Path, server: MailServer) -> None:
    server.refusals = {ONCALL: "451 4.7.1 greylisted"}
    story = Story(file, server, mails_per_hour=8)
    for disk in "ab":
        story.alert(f"Disk {disk} full")
        story.work()
    for disk in "cd":
        story.alert(f"Disk {disk} full")
    server.refusals = {}
    story.work(7)
    assert len(server.mails) == 4
    story.alert("Disk e full")
    story.work(1)
    assert len(server.mails) == 4
    story.work_for(HOUR)
    assert told(server.mails) == story.raised == 5


def test_what_a_letter_that_was_put_off_leaves_of_the_ration_is_one_digest(file: Path, server: MailServer) -> None:
    server.refusals = {ONCALL: "451 4.7.1 greylisted"}
    story = Story(file, server, mails_per_hour=4)
    story.alert("Disk a full")
    story.work()
    story.alert("Disk b full")
    story.alert("Disk c full")
    server.refusals = {}
    story.work(7)
    assert [header(mail, "X-Alertlog-Kind") for mail in server.mails] == ["", "digest"]
    assert told(server.mails) == story.raised == 3


def test_a_letter_that_waits_for_hours_does_not_use_up_the_ration_of_the_others(file: Path) -> None:
    with ScriptedServer({"dot": [drop, "250 ok"]}) as server:
        story = Story(file, server, mails_per_hour=1)
        story.alert("Disk a full")
        story.work()
        story.alert("Disk b full")
        story.work(1)
        assert len(story.recorder.named("smtp_send_succeeded")) == 1


def test_what_the_ration_leaves_over_is_in_an_event_itself(file: Path, server: MailServer) -> None:
    story = Story(file, server, mails_per_hour=2)
    story.alert("Disk a full")
    story.work()
    story.alert("Disk b full")
    story.alert("A test", test=True)
    story.work(1)
    assert len(server.mails) == 2
    carried = [event.fields.get("alert", {}).get("message") for event in story.recorder.named("incident_opened")]
    assert carried == [None, "Disk b full", None]


def test_a_test_goes_out_beside_letters_that_the_ration_holds_back(file: Path, server: MailServer) -> None:
    server.refusals = {ONCALL: "451 4.7.1 greylisted"}
    story = Story(file, server, mails_per_hour=2)
    story.alert("Disk a full")
    story.work()
    story.alert("Disk b full")
    story.work(1)
    server.refusals = {}
    story.alert("A test", test=True)
    story.work(6)
    assert sorted(mail.subject.startswith("[test]") for mail in server.mails) == [False, True]


def test_a_ration_that_is_used_up_is_told_once_and_again_the_next_time(file: Path, server: MailServer) -> None:
    story = Story(file, server, mails_per_hour=2)
    for disk in "abcde":
        story.alert(f"Disk {disk} full")
        story.work(10)
    said = story.recorder.named("smtp_send_failed")
    assert [(event.fields["stage"], event.fields["category"]) for event in said] == [("ration", "temporary")]
    assert 0 < said[0].fields["retry_in_s"] <= 600
    assert "2 mails an hour" in said[0].message
    story.work_for(2 * HOUR)
    assert told(server.mails) == 5
    story.alert("Disk f full")
    story.work(1)
    story.alert("Disk g full")
    story.work(1)
    assert len(story.recorder.named("smtp_send_failed")) == 2


def test_what_the_ration_holds_back_is_not_looked_at_each_second(file: Path, server: MailServer) -> None:
    story = Story(file, server, mails_per_hour=2)
    for disk in "abc":
        story.alert(f"Disk {disk} full")
        story.work(1)
    outbox = story.outbox()
    assert outbox.incidents.due(story.clock.wall()) == []
    assert len(outbox.incidents.due(story.clock.wall() + 600)) == 2
    outbox.close()


def test_the_ration_survives_a_restart(file: Path, server: MailServer) -> None:
    story = Story(file, server, mails_per_hour=2)
    for disk in "abc":
        story.alert(f"Disk {disk} full")
        story.restart()
        story.work(60)
    assert len(server.mails) == 1
    story.work(HOUR)
    assert [header(mail, "X-Alertlog-Kind") for mail in server.mails] == ["", "digest"]


def test_more_letters_than_one_round_takes_go_by_the_next_rounds(file: Path, server: MailServer) -> None:
    story = Story(file, server, mails_per_hour=1_000)
    for number in range(120):
        story.alert(f"Trouble {number}", fingerprint=f"{number:016x}")
    story.work()
    before = len(server.mails)
    assert before == 2
    for number in range(120):  # follow-ups are no burst
        story.alert(f"Trouble {number}", fingerprint=f"{number:016x}")
    for most in (50, 100, 120):
        story.work(300)
        assert len(server.mails) == before + most
    assert server.connections == 4


def test_more_incidents_than_one_digest_holds_are_told_by_several_the_worst_first(
    file: Path, server: MailServer
) -> None:
    story = Story(file, server, mails_per_hour=30)
    story.bounds = Bounds(incidents=2_000)
    for number in range(1_250):
        story.alert(f"Trouble {number}", fingerprint=f"{number:016x}", level=40 + number // 250, times=2)
    for _ in range(8):
        story.work(1)
    assert told(server.mails) == story.raised == 2_500
    assert [count(mail) for mail in server.mails] == [2, *[400] * 4, 398, 2, 400, 98]
    assert "Trouble 1001" in server.mails[1].text
    assert "Trouble 249" in server.mails[8].text


# A week


def test_alerts_expire_after_their_own_week_though_younger_ones_gather_with_them(file: Path) -> None:
    with dead_port() as port:
        story = Story(file, None)
        story.environ |= address(MailServer("none")) | {"SMTP_PORT": str(port)}
        for day in range(10):
            story.alert(f"Trouble {chr(97 + day)}", times=day + 1)
            story.work_for(DAY, each=600)
            assert not story.recorder.named("alert_expired") or day >= 7 - 1
        expired = story.recorder.named("alert_expired")
    assert [event.fields["alert"]["message"] for event in expired] == ["Trouble a", "Trouble b", "Trouble c"]
    assert [event.fields["count"] for event in expired] == [1, 2, 3]
    assert story.untold == story.raised - 6


def test_an_old_digest_lets_its_incidents_go_one_by_one(file: Path) -> None:
    with dead_port() as port:
        story = Story(file, None)
        story.environ |= address(MailServer("none")) | {"SMTP_PORT": str(port)}
        for disk in "ab":
            story.alert(f"Disk {disk} full")
            story.work_for(3 * DAY, each=HOUR)
        story.work_for(1.5 * DAY, each=HOUR)
        (expired,) = story.recorder.named("alert_expired")
        assert expired.fields["alert"]["message"] == "Disk a full"
        assert story.untold == 1
        story.work_for(3 * DAY, each=HOUR)
    assert len(story.recorder.named("alert_expired")) == 2
    assert (story.untold, story.letters) == (0, [])


# Digests after a repair


def test_after_a_repair_a_lone_follow_up_is_no_digest(file: Path, server: MailServer) -> None:
    story = Story(file, server)
    story.alert()
    story.work()
    story.alert()
    server.stop()
    story.work(301)
    server.start()
    story.work(10)
    assert [header(mail, "X-Alertlog-Kind") for mail in server.mails] == ["", ""]
    assert told(server.mails) == 2


def test_a_last_round_after_a_repair_tells_all_in_one_digest(file: Path, server: MailServer) -> None:
    server.stop()
    story = Story(file, server)
    story.alert("Disk a full", times=2)
    story.work()
    story.alert("Disk b full", times=3)
    story.work(1)
    server.start()
    story.clock.advance(10)
    story.alert("Disk b full")
    story.leave()
    (digest,) = server.mails
    assert count(digest) == story.raised == 6
