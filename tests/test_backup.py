"""A second way out: which server a mail goes through, what is told of it, and when the first one is tried again."""

from __future__ import annotations

import logging
import logging.config
from collections.abc import Iterator
from email import message_from_bytes
from email.message import Message
from itertools import pairwise
from pathlib import Path

import pytest

from alertlog import AlertHandler
from alertlog.desk import desks
from alertlog.gate import Gate
from alertlog.letter import Wording
from alertlog.listing import standing
from alertlog.policy import HOUR, Pace
from alertlog.route import REST
from alertlog.testing import MailServer
from alertlog.trial import Drill, send_test
from tests.behaviours import Script, drop, silence, then
from tests.programs import Server, address, told
from tests.servers import ScriptedServer, dead_port
from tests.stories import OWNER, RunningClock, Story, Told, alert, count, header, reasons
from tests.test_delivery import Locked

ONCALL = "oncall@example.org"
OTHER = "other@example.org"
MINUTE = 60.0


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "alerts.sqlite3"


@pytest.fixture
def backup() -> Iterator[MailServer]:
    with MailServer("none") as running:
        yield running


def story_of(file: Path | None, first: Server, second: Server, **environ: str) -> Story:
    story = Story(file, first)
    story.prefixes = ("SMTP_", "SMTP_BACKUP_")
    others = {name: value for name, value in address(second).items() if not name.endswith(("FROM", "TO"))}
    story.environ |= {name.replace("SMTP_", "SMTP_BACKUP_"): value for name, value in others.items()}
    story.environ |= environ
    return story


def story_with_dead(file: Path, port: int, second: Server, **environ: str) -> Story:
    return story_of(file, second, second, SMTP_PORT=str(port), **environ)


def scripted(server: ScriptedServer) -> list[Message]:
    return [message_from_bytes(content) for content in server.contents]


def text_of(message: Message) -> str:
    (part, *_) = [part for part in message.walk() if part.get_content_type() == "text/plain"]
    payload = part.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return " ".join(payload.decode().split())


def only(story: Story, name: str) -> Told:
    (found,) = story.recorder.named(name)
    return found


# To the next server, and back


def test_a_dead_server_is_left_for_the_next_one_in_the_same_round_and_the_mail_and_an_event_say_so(
    file: Path, backup: MailServer
) -> None:
    with dead_port() as port:
        story = story_with_dead(file, port, backup)
        story.alert(times=3)
        story.work()
    (mail,) = backup.mails
    assert (count(mail), reasons([mail])) == (3, ["opening"])
    said = " ".join(mail.text.split())
    assert f"This mail went another way, through 127.0.0.1:{backup.port}." in said
    assert f"The first mail server failed: the connection to 127.0.0.1:{port} failed" in said
    detour = only(story, "smtp_detour")
    assert (detour.fields["port"], detour.fields["stage"], detour.fields["category"]) == (port, "connect", "temporary")
    assert detour.fields["message_id"] == header(mail, "Message-ID")
    assert "Connection refused" in detour.message
    sent = only(story, "smtp_send_succeeded")
    assert sent.fields["port"] == backup.port
    assert "as the first server failed: the connection" in sent.message
    assert story.recorder.named("smtp_send_failed") == []
    assert story.untold == 0


def test_the_line_in_the_mail_is_in_its_language(file: Path, backup: MailServer) -> None:
    with dead_port() as port:
        story = story_with_dead(file, port, backup)
        story.wording = Wording(OWNER.service, language="fr")
        story.alert()
        story.work()
    said = " ".join(backup.mails[0].text.split())
    assert f"Ce courriel est passé par une autre voie, 127.0.0.1:{backup.port}. Le premier serveur" in said
    assert "Connection refused" in said
    assert "une autre voie" in backup.mails[0].html


def test_a_mail_that_goes_the_first_way_says_nothing_of_another_one(file: Path, backup: MailServer) -> None:
    with MailServer("none") as first:
        story = story_of(file, first, backup)
        story.alert()
        story.work()
        assert "another way" not in first.mails[0].text
    assert (backup.connections, story.recorder.named("smtp_detour")) == (0, [])


def test_a_server_that_failed_rests_while_the_other_one_works_and_is_then_tried_first_again(
    file: Path, backup: MailServer
) -> None:
    with ScriptedServer({"greeting": ["421 4.3.2 busy", "220 back"]}) as first:
        story = story_of(file, first, backup)
        for minute in range(5):
            story.alert(f"Disk {minute} full")
            story.work(MINUTE if minute else 0)
        assert (first.connections, len(backup.mails)) == (1, 5)
        assert all("another way" in mail.text for mail in backup.mails)
        assert reasons(backup.mails) == ["opening"] * 5
        assert not any("could not be sent" in mail.text for mail in backup.mails), "nothing has gathered"
        story.alert("Disk 5 full")
        story.work(MINUTE)
        assert (first.connections, len(first.contents), len(backup.mails)) == (2, 1, 5)
        assert "another way" not in text_of(scripted(first)[0])
        story.alert("Disk 6 full")
        story.work(1)
        assert len(first.contents) == 2
    assert len(story.recorder.named("smtp_detour")) == 1
    assert REST == 5 * MINUTE


def test_a_server_that_stays_away_is_tried_again_after_five_minutes_and_then_at_its_own_longer_waits(
    file: Path, backup: MailServer
) -> None:
    with ScriptedServer({"greeting": "421 4.3.2 busy"}) as first:
        story = story_of(file, first, backup)
        story.pace = Pace(mails_per_hour=1_000)
        tried = []
        for minute in range(120):
            before = first.connections
            story.alert(f"Disk {minute} full")
            story.work(MINUTE)
            tried += [minute] * (first.connections - before)
    gaps = [later - earlier for earlier, later in pairwise(tried)]
    assert gaps[:6] == [5] * 6  # up to 160 s and a quarter of that, then 320 s and more
    assert 5 < gaps[6] < gaps[7] < gaps[8] <= 16
    assert told(backup.mails) == 120


def test_the_rest_survives_a_restart(file: Path, backup: MailServer) -> None:
    with ScriptedServer({"greeting": "421 4.3.2 busy"}) as first:
        story = story_of(file, first, backup)
        for disk in "abc":
            story.alert(f"Disk {disk} full")
            story.work(10)
            story.restart()
        assert (first.connections, len(backup.mails)) == (1, 3)


def test_if_none_works_each_is_tried_at_its_own_time_and_the_first_that_is_back_is_used(
    file: Path, backup: MailServer
) -> None:
    backup.stop()
    with ScriptedServer({"greeting": ["421 4.3.2 busy"] * 2 + ["220 back"]}) as first:
        story = story_of(file, first, backup)
        story.alert()
        story.work()
        (failed,) = story.recorder.named("smtp_send_failed")
        assert failed.fields["port"] == backup.port
        with story.outbox() as outbox:
            assert story.letters[0].due == min(gate.due for gate in outbox.gates())
        assert failed.fields["alert"]["message"] == "Disk full"
        assert 4 <= failed.fields["retry_in_s"] <= 6.3
        story.work_for(40, each=1)
        assert first.connections == 3, "after 5 s and after 10 s more, as if it were the only one"
        (message,) = scripted(first)
        assert message["X-Alertlog-Count"] == "1"
    assert story.untold == 0


def test_if_none_works_for_long_what_has_gathered_comes_as_one_digest(file: Path, backup: MailServer) -> None:
    backup.stop()
    with dead_port() as port:
        story = story_with_dead(file, port, backup)
        for disk in "abcd":
            story.alert(f"Disk {disk} full")
            story.work(30)
        backup.start()
        story.work_for(900, each=10)
    (digest,) = backup.mails
    assert (reasons([digest]), count(digest)) == (["digest"], 4)
    assert "another way" in digest.text


def test_mails_through_the_backup_are_spent_from_the_same_ration(file: Path, backup: MailServer) -> None:
    with dead_port() as port:
        story = story_with_dead(file, port, backup)
        before = story.pace.burst
        for disk in "ab":
            story.alert(f"Disk {disk} full")
            story.work(1)
    bucket = story.gate.bucket
    assert bucket is not None
    assert bucket.tokens == pytest.approx(before - 2, abs=0.1)
    assert story.gate.failures == 1, "and what is known of the first server stays"


# What is the operator's to repair


def test_a_certificate_that_is_refused_is_named_by_an_event_and_nothing_goes_to_that_server(
    file: Path, backup: MailServer
) -> None:
    with MailServer("starttls") as first:
        story = story_of(file, first, backup, SMTP_TRANSPORT="starttls")
        for minute in range(0, 150, 10):
            story.alert(f"Disk {minute} full")
            story.work(10 * MINUTE)
        assert first.mails == []
    assert len(backup.mails) == 15
    assert all("its certificate is not trusted" in " ".join(mail.text.split()) for mail in backup.mails)
    detours = story.recorder.named("smtp_detour")
    assert {(told.fields["stage"], told.fields["category"]) for told in detours} == {("tls", "refused")}
    assert 2 <= len(detours) <= 3, "once an hour"
    for sent in story.recorder.named("smtp_send_succeeded"):
        assert "its certificate is not trusted" in sent.message, "no mail goes round it in silence"
    assert 2 <= first.connections <= 5, "after 15, 30, 60 minutes"


def test_a_password_that_is_refused_is_not_shown_again_while_the_backup_works_until_it_is_repaired(
    file: Path, backup: MailServer, tmp_path: Path
) -> None:
    secret = tmp_path / "password"
    secret.write_text("battery staple")
    with MailServer("none", login=("etl", "correct horse")) as first:
        login = {"SMTP_USERNAME": "etl", "SMTP_PASSWORD_FILE": str(secret)}
        story = story_of(file, first, backup, **login)
        for disk in "abc":
            story.alert(f"Disk {disk} full")
            story.work(60)
        assert (first.connections, len(backup.mails)) == (1, 3)
        assert only(story, "smtp_detour").fields["smtp_code"] == 535
        secret.write_text("correct horse")
        story.alert("Disk d full")
        story.work(1)
        assert (len(first.mails), len(backup.mails)) == (1, 3)
    assert "battery staple" not in repr(story.recorder.events)


def test_a_new_process_tries_once_what_waits_for_a_repair_though_the_backup_works(
    file: Path, backup: MailServer
) -> None:
    with MailServer("none", login=("etl", "correct horse")) as first:
        story = story_of(file, first, backup, SMTP_USERNAME="etl", SMTP_PASSWORD="battery staple")
        story.alert("Disk a full")
        story.work()
        story.work(301)
        assert first.connections == 1
        story.environ["SMTP_PASSWORD"] = "correct horse"
        story.restart()
        story.alert("Disk b full")
        story.work(1)
        assert len(first.mails) == 1


def test_a_new_process_tries_it_once_also_where_its_first_mails_went_through_the_backup(
    file: Path, backup: MailServer
) -> None:
    with MailServer("none", login=("etl", "correct horse")) as first:
        story = story_of(file, first, backup, SMTP_USERNAME="etl", SMTP_PASSWORD="battery staple")
        story.alert("Disk a full")
        story.work()
        story.restart()
        tried = []
        for disk in "bcdef":
            story.alert(f"Disk {disk} full")
            story.work(101)
            tried.append(first.connections)
    assert tried == [1, 1, 2, 2, 2], "after five minutes, and still the wrong one"


def test_another_password_of_the_backup_is_no_reason_to_try_the_first_server_again(
    file: Path, backup: MailServer
) -> None:
    with MailServer("none", login=("etl", "correct horse")) as first:
        story = story_of(file, first, backup, SMTP_USERNAME="etl", SMTP_PASSWORD="battery staple")
        backup.login = ("backup", "one")
        story.environ |= {"SMTP_BACKUP_USERNAME": "backup", "SMTP_BACKUP_PASSWORD": "one"}
        for disk, password in zip("abc", ("one", "two", "three"), strict=True):
            backup.login = ("backup", password)
            story.environ["SMTP_BACKUP_PASSWORD"] = password
            story.alert(f"Disk {disk} full")
            story.work(10)
        assert (first.connections, len(backup.mails)) == (1, 3)


def test_a_backup_that_is_refused_too_leaves_both_to_the_operator_who_is_reminded_of_each(file: Path) -> None:
    refuses: Script = {"greeting": "554 5.7.1 not you"}
    with ScriptedServer(refuses) as first, ScriptedServer(refuses) as second:
        story = story_of(file, first, second)
        story.alert()
        story.work()
        story.work(14 * MINUTE)
        assert (first.connections, second.connections) == (1, 1)
        story.recorder.clear()
        for _ in range(10 * 30):
            story.work(2 * MINUTE)
        for server in (first, second):
            said = [told.fields["category"] for told in story.recorder.events if told.fields.get("port") == server.port]
            assert said == ["refused"] * 10, "once an hour, whether it is tried or not"
            assert 5 <= server.connections <= 7
    assert story.untold == 1


@pytest.mark.parametrize("step", ["MAIL", "RCPT"])
def test_a_server_that_takes_nothing_from_us_is_left_for_the_next_one(
    file: Path, backup: MailServer, step: str
) -> None:
    with ScriptedServer({step: "550 5.7.1 not you"}) as first:
        story = story_of(file, first, backup)
        story.alert()
        story.work()
        assert only(story, "smtp_detour").fields["category"] == "refused"
    assert len(backup.mails) == 1


# A letter's own failures


def test_a_letter_that_is_not_taken_for_now_goes_through_the_backup_and_the_first_server_stays_the_first(
    file: Path, backup: MailServer
) -> None:
    with ScriptedServer({"RCPT": ["451 4.7.1 greylisted", "250 ok"]}) as first:
        story = story_of(file, first, backup)
        story.alert("Disk a full")
        story.work()
        (mail,) = backup.mails
        assert "451 4.7.1 greylisted" in " ".join(mail.text.split())
        detour = only(story, "smtp_detour")
        assert (detour.fields["stage"], detour.fields["smtp_code"]) == ("rcpt", 451)
        story.alert("Disk b full")
        story.work(1)
        assert len(first.contents) == 1
    assert len(backup.mails) == 1


@pytest.mark.parametrize("step", ["RCPT", "DATA"])
def test_a_server_that_falls_silent_or_hangs_up_at_a_letter_is_left_with_all_of_them(
    file: Path, backup: MailServer, step: str
) -> None:
    with ScriptedServer({step: drop}) as first:
        story = story_of(file, first, backup)
        story.alert("Disk a full")
        story.alert("Disk b full")
        story.work()
        story.alert("Disk c full")
        story.work(60)
        assert (first.connections, len(backup.mails)) == (1, 3)
        assert only(story, "smtp_detour").fields["stage"] == step.lower()


def test_a_letter_that_no_server_takes_for_now_is_tried_again_by_both(file: Path) -> None:
    later: Script = {"dot": ["451 4.3.0 later", "250 ok"]}
    with ScriptedServer(later) as first, ScriptedServer({"dot": "451 4.3.0 later"}) as second:
        story = story_of(file, first, second)
        story.alert()
        story.work()
        (failed,) = story.recorder.named("smtp_send_failed")
        assert 5 <= failed.fields["retry_in_s"] <= 6.3
        story.work(7)
        assert (first.steps.count("dot"), second.steps.count("dot")) == (2, 1)
    assert story.untold == 0


def test_a_letter_that_was_handed_to_a_backup_that_is_dead_is_tried_again_soon(file: Path) -> None:
    with ScriptedServer({"RCPT": ["451 4.7.1 greylisted", "250 ok"]}) as first, dead_port() as port:
        story = story_of(file, first, first, SMTP_BACKUP_PORT=str(port))
        story.alert()
        story.work()
        assert first.contents == []
        story.work(7)
        assert len(first.contents) == 1


def test_a_letter_that_is_rejected_for_good_is_set_aside_and_shown_to_no_other_server(
    file: Path, backup: MailServer
) -> None:
    with ScriptedServer({"dot": "554 5.6.0 not that"}) as first:
        story = story_of(file, first, backup)
        story.alert()
        story.work()
        story.work(HOUR)
        assert [letter.aside for letter in story.letters] == [True]
    assert backup.connections == 0


def test_who_has_it_from_the_first_server_does_not_get_it_from_the_backup(file: Path, backup: MailServer) -> None:
    replies = ["250 ok", "451 4.7.1 later", "451 4.7.1 later"]
    with ScriptedServer({"RCPT": replies}) as first:
        story = story_of(file, first, backup, SMTP_TO=f"{ONCALL}, {OTHER}")
        story.alert()
        story.work()
        assert backup.mails == [], "one recipient that waits is no failure of the server"
        story.work(7)
        (mail,) = backup.mails
        assert mail.recipients == (OTHER,)
        assert header(mail, "Message-ID") == str(scripted(first)[0]["Message-ID"])
    assert story.letters == []


def test_a_backup_writes_from_its_own_sender_to_its_own_recipients(file: Path, backup: MailServer) -> None:
    with dead_port() as port:
        own = {"SMTP_BACKUP_FROM": "backup@example.org", "SMTP_BACKUP_TO": OTHER}
        story = story_with_dead(file, port, backup, **own)
        story.alert()
        story.work()
    (mail,) = backup.mails
    assert (mail.sender, mail.recipients) == ("backup@example.org", (OTHER,))
    assert "backup@example.org" in header(mail, "From")


# Nobody knows


def test_a_mail_that_the_first_server_may_have_is_not_sent_by_the_backup(file: Path, backup: MailServer) -> None:
    with ScriptedServer({"dot": [drop, "250 ok"]}) as first:
        story = story_of(file, first, backup)
        story.alert()
        story.work()
        assert backup.connections == 0
        story.work_for(30, each=1)
        one, again = scripted(first)
        assert one["Message-ID"] == again["Message-ID"]
    assert (backup.connections, story.letters) == (0, [])


def test_the_letters_behind_it_go_through_the_backup_at_once(file: Path, backup: MailServer) -> None:
    with ScriptedServer({"dot": [drop, "250 ok"]}) as first:
        story = story_of(file, first, backup)
        story.alert("Disk a full")
        story.alert("Disk b full")
        story.work()
        (mail,) = backup.mails
        assert "Disk b full" in mail.text
        story.work_for(30, each=1)
        assert ["Disk a full" in text_of(message) for message in scripted(first)] == [True, True]
    assert len(backup.mails) == 1


def test_after_three_attempts_that_nobody_knows_the_outcome_of_the_backup_sends_it(
    file: Path, backup: MailServer
) -> None:
    with ScriptedServer({"dot": drop}) as first:
        story = story_of(file, first, backup)
        story.alert()
        story.work()
        story.work_for(60, each=1)
        (mail,) = backup.mails
        assert {str(message["Message-ID"]) for message in scripted(first)} == {header(mail, "Message-ID")}
        assert len(first.contents) == 3
        assert "no reply after the final dot" in " ".join(mail.text.split())
    assert only(story, "smtp_detour").fields["stage"] == "dot"
    assert story.letters == []


def test_a_server_that_may_have_it_and_is_then_dead_is_left_for_the_backup(file: Path, backup: MailServer) -> None:
    with ScriptedServer({"dot": drop, "greeting": ["220 hello", "421 4.3.2 going down"]}) as first:
        story = story_of(file, first, backup)
        story.alert()
        story.work()
        story.work_for(10, each=1)
        assert first.connections == 2
    assert told(backup.mails) == 1


def test_a_mail_that_the_backup_may_have_is_asked_of_the_backup_again(file: Path) -> None:
    with ScriptedServer({"greeting": "421 4.3.2 busy"}) as first, ScriptedServer({"dot": [drop, "250 ok"]}) as second:
        story = story_of(file, first, second)
        story.alert()
        story.work()
        story.work_for(30, each=1)
        assert (first.connections, len(second.contents)) == (1, 2)
    assert story.letters == []


def test_it_is_asked_again_even_where_the_first_server_need_not_rest_any_more(file: Path) -> None:
    silent_once: Script = {"dot": ["250 ok", drop, "250 ok"]}
    with ScriptedServer({"greeting": ["421 4.3.2 busy", "220 back"]}) as first, ScriptedServer(silent_once) as second:
        story = story_of(file, first, second)
        story.alert("Disk a full")
        story.work()
        story.alert("Disk b full")
        story.work(REST - 2)
        assert (first.connections, len(second.contents)) == (1, 2)
        story.work_for(20, each=1)
        assert (first.connections, len(second.contents)) == (1, 3)
        story.alert("Disk c full")
        story.work(1)
        assert len(first.contents) == 1


def test_if_the_backup_fails_too_at_a_mail_that_nobody_knows_of_the_next_attempt_is_four_hours_away(
    file: Path, backup: MailServer
) -> None:
    backup.stop()
    with ScriptedServer({"dot": drop}) as first:
        story = story_of(file, first, backup)
        story.alert()
        story.work()
        story.work_for(HOUR, each=10)
        assert len(first.contents) == 3
        (letter,) = story.letters
        assert (letter.unknown, letter.doubt) == (3, 0)
        backup.start()
        story.work_for(3.1 * HOUR, each=60)
    assert told(backup.mails) == 1


def test_a_mail_that_may_be_with_a_server_that_refuses_us_now_is_not_kept_waiting(
    file: Path, backup: MailServer
) -> None:
    with ScriptedServer({"dot": drop, "greeting": ["220 hello", "554 5.7.1 not you", "554 5.7.1 not you"]}) as first:
        story = story_of(file, first, backup)
        backup.stop()
        story.alert()
        story.work()
        story.work_for(20, each=1)
        assert first.connections == 2
        backup.start()
        story.work_for(60, each=1)
        assert first.connections == 2
    assert told(backup.mails) == 1


# Settings


def test_a_backup_whose_settings_are_wrong_is_left_out_and_told_once(file: Path, backup: MailServer) -> None:
    story = story_of(file, backup, backup, SMTP_BACKUP_PORT="0")
    for disk in "ab":
        story.alert(f"Disk {disk} full")
        story.work(1)
    assert len(backup.mails) == 2
    wrong = only(story, "smtp_config_invalid")
    assert list(wrong.fields["problems"]) == ["SMTP_BACKUP_PORT"]
    assert "mail goes without it" in wrong.message
    story.environ["SMTP_BACKUP_PORT"] = str(backup.port)
    story.alert("Disk c full")
    story.work(1)
    story.environ["SMTP_BACKUP_PORT"] = "0"
    story.alert("Disk d full")
    story.work(1)
    assert len(story.recorder.named("smtp_config_invalid")) == 2


def test_a_first_server_whose_settings_are_wrong_is_told_in_the_mail(file: Path, backup: MailServer) -> None:
    story = story_of(file, backup, backup, SMTP_PORT="0")
    story.alert()
    story.work()
    (mail,) = backup.mails
    assert "The first mail server failed: SMTP_PORT: has to be a whole number" in " ".join(mail.text.split())


def test_a_server_that_is_configured_no_more_is_forgotten(file: Path, backup: MailServer) -> None:
    with dead_port() as port:
        story = story_with_dead(file, port, backup)
        story.alert()
        story.work()
        outbox = story.outbox()
        assert [gate.way for gate in outbox.gates()] == [0, 1]
        story.prefixes = ("SMTP_",)
        story.alert("Disk b full")
        story.work(10)
        assert [gate.way for gate in outbox.gates()] == [0]
        outbox.close()
        assert len(backup.mails) == 1


def test_credentials_without_tls_are_told_for_each_server(file: Path) -> None:
    with ScriptedServer() as first, ScriptedServer() as second:
        login = {
            f"{prefix}{name}": value
            for prefix in ("SMTP_", "SMTP_BACKUP_")
            for name, value in {"USERNAME": "etl", "PASSWORD": "geheim"}.items()
        }
        story = story_of(file, first, second, **login)
        for disk in "ab":
            story.alert(f"Disk {disk} full")
            story.work(1)
    assert [told.fields["port"] for told in story.recorder.named("smtp_insecure_login")] == [first.port, second.port]


# The outbox


def test_a_flush_by_hand_tries_the_first_server_at_once(file: Path, backup: MailServer) -> None:
    with ScriptedServer({"greeting": ["421 4.3.2 busy", "220 back"]}) as first:
        story = story_of(file, first, backup)
        story.alert("Disk a full")
        story.work()
        with story.outbox() as outbox:
            outbox.hurry()
        story.alert("Disk b full")
        story.work(1)
        assert len(first.contents) == 1


def test_what_waits_is_listed_with_all_that_is_in_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backup: MailServer
) -> None:
    for prefix in ("SMTP_", "SMTP_BACKUP_"):
        for name, value in backup.environ(prefix).items():
            monkeypatch.setenv(name, value)
    handler = AlertHandler(service="shop", outbox=tmp_path / "alerts.sqlite3", env_prefix=["SMTP_", "SMTP_BACKUP_"])
    (desk,) = desks([handler])
    now = handler.works.clock.wall()
    with desk.part(handler.works.owner) as outbox:
        for way in (0, 1):
            outbox.set_gate(Gate(2, now + 60 + way, "temporary", error=f"server {way} is away", way=way))
        stands = standing(desk, handler.works.owner, outbox)
        assert (stands.gate.error, stands.gate.due) == ("server 0 is away; server 1 is away", now + 60)
        outbox.open_gates()
        assert [gate.due for gate in outbox.gates()] == [0.0, 0.0]
        outbox.set_gate(Gate(way=1))
        assert standing(desk, handler.works.owner, outbox).gate.failures == 0


def test_what_is_known_of_each_server_goes_with_the_outbox_into_memory_and_back(tmp_path: Path) -> None:
    story = Story(tmp_path / "alerts.sqlite3", None)
    gates = [Gate(failures=2, due=5.0), Gate(failures=1, due=6.0, way=1)]
    with story.outbox() as outbox:
        for gate in gates:
            outbox.set_gate(gate)
    story.alert()
    rounds = story._prepare()
    keeper = rounds._keeper
    with keeper.lock:
        file = keeper.open()
        assert file is not None
        memory = keeper._stand_in()
        assert memory.gates() == gates
        memory.set_gate(Gate(failures=7, way=1))
        keeper._move_in(memory, file)
        assert file.gates() == [gates[0], Gate(failures=7, way=1)]
    rounds.release()


def test_a_mail_that_the_backup_took_is_noted_for_the_backup_when_the_outbox_can_be_told(file: Path) -> None:
    locked = Locked(file)
    with ScriptedServer({"dot": [then(locked.take, "250 ok"), "250 ok"]}) as second, dead_port() as port:
        story = story_with_dead(file, port, second)
        story.alert("Disk a full")
        story.work()
        with story.outbox() as outbox:
            assert [(gate.way, gate.failures) for gate in outbox.gates()] == [(0, 1)]
        locked.release()
        story.work(1)
        with story.outbox() as outbox:
            assert [(gate.way, gate.failures) for gate in outbox.gates()] == [(0, 1), (1, 0)]
        story.work(10)
        assert len(second.contents) == 1
    assert story.letters == []


# The handler


def test_a_handler_takes_a_list_of_prefixes_and_is_called_as_with_the_first_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backup: MailServer
) -> None:
    with dead_port() as port:
        environ = backup.environ("SMTP_") | {"SMTP_PORT": str(port)} | backup.environ("SMTP_BACKUP_")
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        handler = AlertHandler(outbox=tmp_path / "alerts.sqlite3", env_prefix=["SMTP_", "SMTP_BACKUP_"])
        assert (
            handler.works.owner.handler == AlertHandler(outbox=tmp_path / "x.sqlite3").works.owner.handler == "alerts"
        )
        outcome = send_test(handler, Drill("quota"))
        handler.close()
    assert len(backup.mails) == 1
    assert outcome.category == "temporary", "the operator has to know of the first server"
    assert "the next server is tried" in outcome.message
    assert "was accepted: 250" in outcome.message


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, 20.0),
        ({"SMTP_TIMEOUT_SECONDS": "3", "SMTP_BACKUP_TIMEOUT_SECONDS": "4"}, 7.0),
        ({"SMTP_TIMEOUT_SECONDS": "x"}, 20.0),
        ({"SMTP_TIMEOUT_SECONDS": "300", "SMTP_BACKUP_TIMEOUT_SECONDS": "300"}, 300.0),
    ],
)
def test_close_waits_for_one_attempt_at_each_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], seconds: float
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    handler = AlertHandler(outbox=tmp_path / "alerts.sqlite3", env_prefix=["SMTP_", "SMTP_BACKUP_"])
    assert handler.works.shutdown_timeout == seconds


def test_the_secrets_of_each_server_are_kept_out_of_alerts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backup: MailServer
) -> None:
    backup.login = ("etl", "the-backup's-password")
    for name, value in {**backup.environ("SMTP_BACKUP_"), **MailServer("none").environ("SMTP_")}.items():
        monkeypatch.setenv(name, value)
    handler = AlertHandler(outbox=tmp_path / "alerts.sqlite3", env_prefix=["SMTP_", "SMTP_BACKUP_"])
    record = logging.LogRecord("shop", 50, __file__, 1, "tried the-backup's-password", (), None)
    assert handler.alert_of(record).message == "tried [redacted]"


def test_each_silent_server_costs_its_own_time_and_no_more(file: Path, backup: MailServer) -> None:
    with ScriptedServer({"greeting": silence}) as first:
        story = story_of(file, first, backup, SMTP_TIMEOUT_SECONDS="0.3")
        story.clock = RunningClock()
        story.restart()
        story.intake.add(alert("Disk full", story.clock))
        story.work()
        assert only(story, "smtp_detour").fields["stage"] == "greeting"
    assert len(backup.mails) == 1


@pytest.mark.parametrize("step", ["greeting", "RCPT", "dot"])
def test_each_attempt_is_counted_once_whatever_it_fails_at(file: Path, backup: MailServer, step: str) -> None:
    with ScriptedServer({step: drop if step == "dot" else "451 4.7.1 later"}) as first:
        story = story_of(file, first, backup)
        story.alert()
        story.work()
        assert story.rounds is not None
        stats = story.rounds._counters.stats()
    assert (stats.failed, stats.sent) == (1, 0 if step == "dot" else 1)


def test_a_letter_that_is_too_large_for_the_backup_goes_there_shorter_and_with_its_line(file: Path) -> None:
    small = "250-small.example\n250 SIZE 9000"
    with ScriptedServer({"EHLO": small}) as second, dead_port() as port:
        story = story_with_dead(file, port, second)
        story.alert(traceback="x" * 50_000)
        story.work()
        (message,) = scripted(second)
        assert "another way" in text_of(message)
        assert len(second.contents[0]) < 9_000
    assert story.letters == []
