"""From outbox to server: what becomes of a letter at whatever the server does, and when it is tried again."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from email import message_from_bytes
from pathlib import Path
from shutil import copyfile
from typing import Any

import pytest

from alertlog.alert import Tally
from alertlog.delivery import Delivery
from alertlog.intake import Intake
from alertlog.keeper import Keeper
from alertlog.letter import Wording
from alertlog.planning import Planner, Post
from alertlog.policy import Pace
from alertlog.settings import read_smtp
from alertlog.testing import MailServer, ManualClock
from tests.behaviours import Script, Step, dialogue, drop, silence, then
from tests.conversation import Conversation
from tests.programs import address, told
from tests.servers import HOSTILE, OFFERS_LOGIN, ScriptedServer, dead_port
from tests.stories import DAY, HOUR, OWNER, WEEK, Recorder, RunningClock, Story, alert, count, header

ONCALL = "oncall@example.org"
OTHER = "other@example.org"
MINUTE = 60.0


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "alerts.sqlite3"


@pytest.fixture
def server() -> Iterator[MailServer]:
    with MailServer("none") as running:
        yield running


def dead(story: Story, port: int) -> None:
    story.environ |= {"SMTP_HOST": "127.0.0.1", "SMTP_PORT": str(port)}


def of_scripted(server: ScriptedServer, name: str) -> list[str]:
    """That header of every mail that was transmitted."""
    return [str(message_from_bytes(content)[name]) for content in server.contents]


def waits(story: Story, times: int) -> list[float]:
    """How long the gate stays shut after each of so many attempts in a row, in seconds."""
    found = []
    for _ in range(times):
        wait = story.gate.due - story.clock.wall()
        found.append(wait)
        story.work(wait + 0.01)
    return found


# The way to the server


def test_a_dead_server_is_tried_after_5_seconds_then_twice_as_long_up_to_15_minutes_with_jitter(file: Path) -> None:
    with dead_port() as port:
        story = Story(file, None)
        story.environ |= address(MailServer("none")) | {"SMTP_PORT": str(port)}
        story.alert()
        story.work()
        found = waits(story, 12)
    nominal = [5, 10, 20, 40, 80, 160, 320, 640, 900, 900, 900, 900]
    for wait, least in zip(found, nominal, strict=True):
        assert least - 0.1 <= wait <= min(900, least * 1.25) + 0.1
    assert len(story.recorder.named("smtp_send_failed")) == 13
    assert len({wait / least for wait, least in zip(found[:6], nominal[:6], strict=True)}) > 1


@pytest.mark.parametrize(("chance", "wait"), [(0.0, 5.0), (1.0, 6.25)])
def test_the_jitter_is_drawn_from_an_argument(chance: float, wait: float) -> None:
    clock, recorder, pace = ManualClock(), Recorder(), Pace()
    intake = Intake(None, OWNER, clock, lambda _alert, _error: None)
    keeper = Keeper(None, OWNER, pace, intake, recorder, clock)
    with dead_port() as port:
        environ = address(MailServer("none")) | {"SMTP_PORT": str(port)}
        post = Post(pace, lambda: Wording("shop"), lambda: read_smtp(environ))
        outbox = keeper.open()
        assert outbox is not None
        outbox.ingest([Tally.one(alert("Disk full", clock))], {}, clock.wall())
        todo = Planner(post, recorder, clock).plan(outbox, leaving=False)
        assert todo is not None
        Delivery(post, keeper, recorder, clock, chance=lambda: chance).deliver(todo)
        assert outbox.gate().due - clock.wall() == wait
        outbox.close()


def test_the_back_off_survives_a_restart(file: Path) -> None:
    with dead_port() as port:
        story = Story(file, None)
        story.environ |= address(MailServer("none")) | {"SMTP_PORT": str(port)}
        story.alert()
        story.work()
        waits(story, 5)  # the sixth comes after 160 s
        for _ in range(15):
            story.restart()
            story.work(10)
        assert len(story.recorder.named("smtp_send_failed")) == 6
        story.restart()
        story.work(50)
        assert len(story.recorder.named("smtp_send_failed")) == 7


def test_each_attempt_is_one_event_that_says_how_to_go_on_and_carries_the_alert(file: Path) -> None:
    with dead_port() as port:
        story = Story(file, None)
        story.environ |= address(MailServer("none")) | {"SMTP_PORT": str(port)}
        story.alert("Quota used up", kind="quota")
        story.work()
        waits(story, 1)
    first, second = story.recorder.named("smtp_send_failed")
    assert [told.fields["attempt"] for told in (first, second)] == [1, 2]
    assert (first.fields["stage"], first.fields["category"], first.fields["port"]) == ("connect", "temporary", port)
    assert 5 <= first.fields["retry_in_s"] <= 6.3
    assert first.fields["alert"]["message"] == "Quota used up"
    assert first.fields["kind"] == "quota"


def test_each_letter_that_fails_for_the_first_time_is_told_with_its_alert(file: Path) -> None:
    with dead_port() as port:
        story = Story(file, None)
        story.environ |= address(MailServer("none")) | {"SMTP_PORT": str(port)}
        for disk in "abc":
            story.alert(f"Disk {disk} full")
        story.work()
        failed = story.recorder.named("smtp_send_failed")
        assert [told.fields["alert"]["message"] for told in failed] == ["Disk a full", "Disk b full", "Disk c full"]
        waits(story, 1)
    assert len(story.recorder.named("smtp_send_failed")) == 4


def test_what_opens_while_the_server_is_away_is_in_an_event_itself(file: Path) -> None:
    with dead_port() as port:
        story = Story(file, None)
        story.environ |= address(MailServer("none")) | {"SMTP_PORT": str(port)}
        story.alert()
        story.work()
        story.alert("Another trouble")
        story.work(1)
    first, second = story.recorder.named("incident_opened")
    assert "alert" not in first.fields
    assert second.fields["alert"]["message"] == "Another trouble"


def test_when_the_server_is_back_what_has_gathered_comes_as_one_digest(file: Path, server: MailServer) -> None:
    server.stop()
    story = Story(file, server)
    for disk in "abcde":
        story.alert(f"Disk {disk} full", times=2)
        story.work(1)
    story.work_for(600, each=7)
    story.alert("The last trouble")
    story.work()
    server.start()
    story.work_for(1_200, each=7)
    (digest,) = server.mails
    assert header(digest, "X-Alertlog-Kind") == "digest"
    assert count(digest) == story.raised == 11
    assert story.gate.failures == 0
    story.alert("Afterwards")
    story.work(1)
    assert header(server.mails[1], "X-Alertlog-Kind") == ""  # as ever


def test_the_only_letter_that_waits_is_the_same_after_any_number_of_attempts(file: Path, server: MailServer) -> None:
    server.stop()
    story = Story(file, server)
    story.alert(times=3)
    story.work()
    (waiting,) = story.letters
    began = story.clock.wall()
    for _ in range(4):
        story.restart()
        story.alert()  # it is told by the next one
        story.work(700)
    server.start()
    story.work(900)
    (mail,) = server.mails
    assert header(mail, "Message-ID") == waiting.draft.message_id
    assert mail.message["Date"].datetime.timestamp() == began
    assert count(mail) == 3
    story.work(301)
    assert told(server.mails) == story.raised == 7


@pytest.mark.parametrize("reply", ["421 4.3.2 busy", "450 4.7.1 later"])
def test_4xx_to_the_sender_shuts_the_way_for_all_letters(file: Path, reply: str) -> None:
    with ScriptedServer({"MAIL": [reply, "250 ok"]}) as server:
        story = Story(file, server)
        story.alert("Disk a full")
        story.alert("Disk b full")
        story.work()
        assert server.steps.count("MAIL") == 1
        story.work(4)
        assert server.connections == 1
        story.work(3)
        assert of_scripted(server, "X-Alertlog-Kind") == ["digest"]
    assert story.recorder.named("smtp_send_failed")[0].fields["smtp_code"] == int(reply[:3])


def test_a_server_that_speaks_out_of_turn_gets_no_letter_and_is_left_alone_for_a_while(file: Path) -> None:
    """An answer too many would be taken for the next one's, at last for the one to the dot."""

    def chatter(conversation: Conversation) -> None:
        conversation.send(b"250 scripted.example\r\n" + b"250 ok\r\n" * 3_000)

    with ScriptedServer({"EHLO": chatter}) as server:
        story = Story(file, server)
        story.alert()
        story.work()
        assert server.connections == 1
        (failed,) = story.recorder.named("smtp_send_failed")
        assert failed.fields["category"] == "temporary"
        story.work(1)
        assert server.connections == 1


# The operator's to repair


def refused(name: str, server: MailServer) -> dict[str, str]:
    """Have the server refuse us in that way; return what to change in the environment for it."""
    if name == "login":
        server.login = ("etl", "correct horse")
        return {"SMTP_USERNAME": "etl", "SMTP_PASSWORD": "battery staple"}
    if name == "starttls":
        return {"SMTP_TRANSPORT": "starttls"}
    server.refusals = {ONCALL: "550 5.1.1 no such user"}
    return {}


@pytest.mark.parametrize(("name", "stage"), [("login", "auth"), ("starttls", "starttls"), ("recipient", "rcpt")])
def test_what_the_operator_has_to_repair_is_kept_and_tried_from_15_minutes_to_4_hours(
    file: Path, server: MailServer, name: str, stage: str
) -> None:
    story = Story(file, server)
    story.environ |= refused(name, server)
    story.alert()
    story.work()
    (failed,) = story.recorder.named("smtp_send_failed")
    assert (failed.fields["category"], failed.fields["stage"]) == ("refused", stage)
    assert "battery staple" not in repr(story.recorder.events)
    for wait, least in zip(waits(story, 6), [15, 30, 60, 120, 240, 240], strict=True):
        assert least * MINUTE - 1 <= wait <= min(240, least * 1.25) * MINUTE + 1
    assert (story.untold, server.mails) == (1, [])


def test_a_certificate_that_is_not_trusted_is_the_operators_to_repair(file: Path) -> None:
    with MailServer("starttls") as server:
        story = Story(file, server)
        story.environ["SMTP_TRANSPORT"] = "starttls"
        story.alert()
        story.work()
        (failed,) = story.recorder.named("smtp_send_failed")
        assert (failed.fields["category"], failed.fields["stage"]) == ("refused", "tls")
        assert server.mails == []


@pytest.mark.parametrize(
    ("step", "reply"),
    [("greeting", "554 5.7.1 not you"), ("EHLO", "550 5.7.1 not you"), ("MAIL", "550 5.7.1 not you")],
)
def test_5xx_before_the_recipients_is_the_operators_to_repair(file: Path, step: str, reply: str) -> None:
    with ScriptedServer({step: reply}) as server:
        story = Story(file, server)
        story.alert()
        story.work()
        story.work(14 * MINUTE)
        assert server.connections == 1
        story.work(5 * MINUTE)
        assert server.connections == 2
    (failed,) = story.recorder.named("smtp_send_failed")  # the second attempt is within the hour
    assert (failed.fields["category"], failed.fields["smtp_code"]) == ("refused", int(reply[:3]))
    assert story.untold == 1


def test_what_waits_for_a_repair_is_told_once_an_hour_whether_it_is_tried_or_not(
    file: Path, server: MailServer
) -> None:
    story = Story(file, server)
    story.environ |= refused("recipient", server)
    story.alert()
    story.work()
    times = []
    for second in range(0, int(30 * HOUR), 20):
        before = len(story.recorder.named("smtp_send_failed"))
        story.work(20)
        times += [second] * (len(story.recorder.named("smtp_send_failed")) - before)
    gaps = [later - earlier for earlier, later in zip([0, *times], times, strict=False)]
    assert len(times) == 30
    assert HOUR - 40 <= min(gaps) <= max(gaps) <= HOUR + 40


@pytest.mark.parametrize("what", ["host", "user", "transport", "sender"])
def test_other_settings_open_the_gate_at_once(file: Path, server: MailServer, what: str) -> None:
    with MailServer("none", refusals={ONCALL: "550 5.7.1 not you"}) as wrong:
        story = Story(file, wrong)
        story.environ |= {"SMTP_USERNAME": "eve", "SMTP_PASSWORD": "geheim"} if what == "user" else {}
        story.environ |= {"SMTP_TRANSPORT": "starttls"} if what == "transport" else {}
        wrong.login = ("etl", "geheim") if what == "user" else None
        story.alert()
        story.work()
        story.work(1)
        assert wrong.connections == 1
        wrong.refusals = {}
        story.environ |= {
            "host": address(server),
            "user": {"SMTP_USERNAME": "etl"},
            "transport": {"SMTP_TRANSPORT": "none"},
            "sender": {"SMTP_FROM": "other@example.org"},
        }[what]
        story.restart()  # variables change with a process
        story.work(1)
        assert told(server.mails + wrong.mails) == 1


def test_a_password_that_is_repaired_in_its_file_opens_the_gate_at_once(
    file: Path, tmp_path: Path, server: MailServer
) -> None:
    secret = tmp_path / "password"
    secret.write_text("battery staple")
    server.login = ("etl", "correct horse")
    story = Story(file, server)
    story.environ |= {"SMTP_USERNAME": "etl", "SMTP_PASSWORD_FILE": str(secret)}
    story.alert()
    story.work()
    story.work(1)
    assert (server.connections, server.mails) == (1, [])
    secret.write_text("correct horse")
    story.work(1)
    assert told(server.mails) == 1


def test_a_ca_file_that_is_repaired_in_its_place_opens_the_gate_at_once(file: Path, tmp_path: Path) -> None:
    with MailServer("starttls") as server, MailServer("starttls") as other:
        certificates = tmp_path / "ca.pem"
        copyfile(str(other.ca_file), certificates)
        os.utime(certificates, (0, 0))
        story = Story(file, server)
        story.environ |= {"SMTP_TRANSPORT": "starttls", "SMTP_CA_FILE": str(certificates)}
        story.alert()
        story.work()
        story.work(1)
        assert server.mails == []
        copyfile(str(server.ca_file), certificates)
        story.work(1)
        assert told(server.mails) == 1


def test_a_new_process_tries_once_what_waits_for_a_repair_but_not_within_five_minutes(
    file: Path, server: MailServer
) -> None:
    server.login = ("etl", "correct horse")
    story = Story(file, server)
    story.environ |= {"SMTP_USERNAME": "etl", "SMTP_PASSWORD": "battery staple"}
    story.alert()
    story.work()
    for _ in range(5):  # as cron or a crash loop starts them
        story.restart()
        story.work(59)
    assert server.connections == 1
    story.restart()
    story.work(10)
    story.work(310)
    assert server.connections == 2, "still the wrong one, tried once"
    story.environ |= {"SMTP_PASSWORD": "correct horse"}
    story.restart()
    story.work(5)
    assert told(server.mails) == 1


def test_other_settings_that_fail_too_are_told_at_once_and_their_waits_begin_anew(
    file: Path, server: MailServer
) -> None:
    story = Story(file, server)
    story.environ |= refused("recipient", server)
    story.alert()
    story.work()
    waits(story, 5)
    story.recorder.clear()
    story.environ["SMTP_FROM"] = "other@example.org"
    story.work(1)
    assert len(story.recorder.named("smtp_send_failed")) == 1
    assert 15 * MINUTE <= story.gate.due - story.clock.wall() <= 19 * MINUTE


def test_a_server_that_goes_away_while_it_is_refused_is_tried_as_one_that_is_away(
    file: Path, server: MailServer
) -> None:
    story = Story(file, server)
    story.environ |= refused("recipient", server)
    story.alert()
    story.work()
    waits(story, 2)
    server.stop()
    story.work(story.gate.due - story.clock.wall())
    assert story.gate.category == "temporary"
    assert story.gate.due - story.clock.wall() < 10


# One letter


@pytest.mark.parametrize("step", ["RCPT", "DATA", "dot"])
def test_4xx_to_one_letter_puts_off_that_letter_alone(file: Path, step: str) -> None:
    healthy = {"RCPT": "250 ok", "DATA": "354 go ahead", "dot": "250 ok"}[step]
    with ScriptedServer({step: ["451 4.3.0 not now", healthy]}) as server:
        story = Story(file, server)
        story.alert("Disk a full")
        story.alert("Disk b full")
        story.work()
        sent = story.recorder.named("smtp_send_succeeded")
        assert [told.fields["attempt"] for told in sent] == [1]
        (failed,) = story.recorder.named("smtp_send_failed")
        assert (failed.fields["smtp_code"], failed.fields["category"]) == (451, "temporary")
        assert (failed.fields["stage"], server.connections) == (step.lower(), 1)
        story.work(4.9)
        assert len(story.recorder.named("smtp_send_succeeded")) == 1
        story.work(1.5)
        first, second = story.recorder.named("smtp_send_succeeded")
        assert second.fields["message_id"] == failed.fields["message_id"] != first.fields["message_id"]
        assert second.fields["attempt"] == 2


def test_one_letter_put_off_again_and_again_waits_as_long_as_a_server_that_is_away(
    file: Path, server: MailServer
) -> None:
    server.refusals = {ONCALL: "451 4.7.1 greylisted"}
    story = Story(file, server)
    story.alert()
    story.work()
    for least in (5, 10, 20, 40, 80, 160, 320, 640, 900, 900):
        (letter,) = story.letters
        assert least <= letter.due - story.clock.wall() <= min(900, least * 1.25)
        story.work(letter.due - story.clock.wall())
    server.refusals = {}
    story.work(900)
    assert told(server.mails) == 1


@pytest.mark.parametrize(("step", "reply"), [("DATA", "554 5.7.1 no"), ("dot", "552 5.2.3 too much")])
def test_5xx_to_one_letter_sets_it_aside_loudly_and_the_others_go(file: Path, step: str, reply: str) -> None:
    with ScriptedServer({step: [reply, {"DATA": "354 go ahead", "dot": "250 ok"}[step]]}) as server:
        story = Story(file, server)
        story.alert("Disk a full")
        story.alert("Disk b full")
        story.work()
        (failed,) = story.recorder.named("smtp_send_failed")
        assert (failed.fields["category"], failed.fields["smtp_code"]) == ("permanent", int(reply[:3]))
        assert failed.fields["alert"]["message"] == "Disk a full"
        assert "retry_in_s" not in failed.fields
        assert len(story.recorder.named("smtp_send_succeeded")) == 1
        story.restart()
        story.work_for(3 * DAY, each=HOUR)
        assert len(story.recorder.named("smtp_send_failed")) == 1
        assert server.steps.count("DATA") == 2
        (aside,) = story.letters
    assert aside.aside
    assert aside.draft.incidents[0].alert.message == "Disk a full"
    assert reply[:3] in aside.error


def test_a_letter_larger_than_the_server_takes_is_set_aside(file: Path) -> None:
    with ScriptedServer({"EHLO": "250-scripted.example\n250 SIZE 100"}) as server:
        story = Story(file, server)
        story.alert()
        story.work()
    (letter,) = story.letters
    assert letter.aside
    assert story.recorder.named("smtp_send_failed")[0].fields["category"] == "permanent"


def test_a_letter_that_cannot_be_composed_is_set_aside_loudly_and_the_others_go(file: Path, server: MailServer) -> None:
    class Broken:
        def __bool__(self) -> bool:
            raise RuntimeError("not a template")

    templates: Any = {"broken": Broken()}
    story = Story(file, server)
    story.wording = Wording("shop", subjects=templates)
    story.alert("Disk full", kind="broken")
    story.alert("Quota used up", kind="quota")
    story.work()
    (failed,) = story.recorder.named("smtp_send_failed")
    assert (failed.fields["stage"], failed.fields["category"]) == ("compose", "permanent")
    assert "not a template" in failed.message
    assert failed.fields["alert"]["message"] == "Disk full"
    assert [header(mail, "X-Alertlog-Kind") for mail in server.mails] == ["quota"]
    (letter,) = story.letters
    assert letter.aside


LACKS = [OSError(24, "Too many open files"), MemoryError(), ImportError("no module")]


@pytest.mark.parametrize("lack", LACKS, ids=["files", "memory", "module"])
def test_a_letter_that_cannot_be_composed_for_want_of_something_is_tried_again(
    file: Path, server: MailServer, lack: Exception
) -> None:
    class Lacking:
        lacks = True

        def __bool__(self) -> bool:
            if self.lacks:
                raise lack
            return False

    subject: Any = Lacking()
    story = Story(file, server)
    story.wording = Wording("shop", subjects={"lacking": subject})
    story.alert("Disk full", kind="lacking")
    story.alert("Quota used up", kind="quota")
    story.work()
    (failed,) = story.recorder.named("smtp_send_failed")
    assert (failed.fields["stage"], failed.fields["category"]) == ("compose", "temporary")
    assert 0 < failed.fields["retry_in_s"] <= 10
    assert [header(mail, "X-Alertlog-Kind") for mail in server.mails] == ["quota"]
    assert [letter.aside for letter in story.letters] == [False]
    subject.lacks = False
    story.work(after=10)
    assert [header(mail, "X-Alertlog-Kind") for mail in server.mails] == ["quota", "lacking"]
    assert story.letters == []


@pytest.mark.parametrize("said", ["at the start", "of the mail"])
@pytest.mark.parametrize(("error", "aside"), [(RuntimeError("not a template"), True), (MemoryError(), False)])
def test_a_letter_whose_shorter_form_cannot_be_composed_blocks_no_other(
    file: Path, said: str, error: Exception, aside: bool
) -> None:
    replies: dict[str, Any] = {"EHLO": "250-scripted.example\n250 SIZE 60000"}
    if said == "of the mail":
        replies = {"dot": ["552 5.3.4 too big", "250 ok"]}

    with ScriptedServer(replies) as server:

        class Broken:
            def __bool__(self) -> bool:
                if "EHLO" in server.steps:
                    raise error
                return False

        subjects: Any = {"large": Broken()}
        story = Story(file, server)
        story.wording = Wording("shop", subjects=subjects)
        story.alert("Disk full", kind="large", traceback="\n".join(f"line {number}" for number in range(9_000)))
        story.alert("Quota used up", kind="quota")
        story.work()
        (failed,) = story.recorder.named("smtp_send_failed")
        assert of_scripted(server, "X-Alertlog-Kind")[-1] == "quota"
    assert len(story.recorder.named("smtp_send_succeeded")) == 1
    assert failed.fields["stage"] == "compose"
    assert failed.fields["alert"]["message"] == "Disk full"
    assert [letter.aside for letter in story.letters] == [aside]


def test_a_broken_template_of_the_deployers_costs_no_mail_and_is_told_once_until_it_changes(
    file: Path, server: MailServer, tmp_path: Path
) -> None:
    template = tmp_path / "letter.txt"
    story = Story(file, server)
    story.wording = Wording("shop", templates=str(tmp_path))
    said = []
    for number, source in enumerate(["{{ nothing }}", "{{ nothing }}", "mine", "{{ nothing }}", "{{ other }}"]):
        template.write_text(source)
        os.utime(template, (number, number))
        story.alert(f"Disk {number} full")
        story.work(after=10)
        said.append([event.fields["problems"]["letter.txt"] for event in story.recorder.named("template_failed")])
        story.recorder.clear()
    first, other = (f"UndefinedError: '{name}' is undefined (line 1)" for name in ("nothing", "other"))
    assert said == [[first], [], [], [first], [other]]
    texts = [mail.text for mail in server.mails]
    assert [text == "mine\n" for text in texts] == [False, False, True, False, False]
    assert all(f"Disk {number} full" in text for number, text in enumerate(texts) if number != 2)


# No reply after the dot


def test_without_a_reply_after_the_dot_the_very_same_letter_is_tried_thrice_then_every_4_hours(file: Path) -> None:
    with ScriptedServer({"dot": drop}) as server:
        story = Story(file, server, quiet_after=DAY)
        story.alert(times=2)
        story.work()
        for least in (5, 10, 4 * HOUR, 4 * HOUR, 4 * HOUR):
            (letter,) = story.letters
            assert least <= letter.due - story.clock.wall() <= min(4 * HOUR, least * 1.25)
            story.alert()
            story.work(letter.due - story.clock.wall() - 0.01)
            before = len(server.contents)
            story.work(0.02)
            assert len(server.contents) == before + 1
        assert len(set(of_scripted(server, "Message-ID"))) == 1
        assert set(of_scripted(server, "X-Alertlog-Count")) == {"2"}


def test_small_steps_of_the_clock_back_bring_no_copy_of_a_letter_whose_outcome_is_unknown(file: Path) -> None:
    with ScriptedServer({"dot": drop}) as server:
        story = Story(file, server)
        story.alert()
        for _ in range(3):
            story.work(13)
        for _ in range(5):
            story.clock.set_wall(story.clock.wall() - 1.5)
            story.work(1)
        assert len(server.contents) == 3


def test_a_server_silent_after_the_dot_is_told_with_the_variable_that_says_how_long_to_wait(file: Path) -> None:
    with ScriptedServer({"dot": silence}) as server:
        story = Story(file, server)
        story.environ["SMTP_TIMEOUT_SECONDS"] = "0.3"
        story.alert()
        story.work()
    (failed,) = story.recorder.named("smtp_send_failed")
    assert failed.fields["stage"] == "dot"
    assert "SMTP_TIMEOUT_SECONDS" in failed.message


def test_a_letter_whose_outcome_is_unknown_is_in_no_digest_and_counts_once(file: Path, server: MailServer) -> None:
    with ScriptedServer({"dot": drop}) as mute:
        story = Story(file, mute)
        story.alert("Disk a full", times=3)
        story.work()
        (copy,) = of_scripted(mute, "Message-ID")
    story.work(6)  # now nobody is there
    story.alert("Disk b full")
    story.alert("Disk c full")
    story.work(1)
    story.environ |= address(server)
    story.work_for(HOUR)
    assert told(server.mails) == story.raised == 5
    assert copy in [header(mail, "Message-ID") for mail in server.mails]


# Recipients


def test_one_recipient_refused_for_good_is_named_and_the_others_get_the_mail(file: Path, server: MailServer) -> None:
    server.refusals = {OTHER: "550 5.1.1 no such user"}
    story = Story(file, server)
    story.environ["SMTP_TO"] = f"{ONCALL}, {OTHER}"
    story.alert()
    story.work()
    story.work_for(HOUR)
    (mail,) = server.mails
    assert mail.recipients == (ONCALL,)
    (refusal,) = story.recorder.named("smtp_recipient_refused")
    assert refusal.fields["recipients"] == [OTHER]
    assert (refusal.fields["smtp_code"], refusal.fields["category"]) == (550, "permanent")
    assert story.letters == []


def test_one_recipient_put_off_is_tried_again_alone_with_the_same_letter(file: Path, server: MailServer) -> None:
    server.refusals = {OTHER: "450 4.2.1 mailbox busy"}
    story = Story(file, server)
    story.environ["SMTP_TO"] = f"{ONCALL}, {OTHER}"
    story.alert()
    story.work()
    story.restart()
    story.work(6.5)
    server.refusals = {}
    story.work(12.5)
    first, second = server.mails
    assert (first.recipients, second.recipients) == ((ONCALL,), (OTHER,))
    assert header(first, "Message-ID") == header(second, "Message-ID")
    assert told(server.mails) == 1
    assert story.letters == []
    assert story.recorder.named("smtp_recipient_refused")[0].fields["category"] == "temporary"


def test_a_recipient_put_off_and_then_refused_for_good_is_done_with_and_blocks_nothing(
    file: Path, server: MailServer
) -> None:
    server.refusals = {OTHER: "450 4.2.1 mailbox busy"}
    story = Story(file, server)
    story.environ["SMTP_TO"] = f"{ONCALL}, {OTHER}"
    story.alert()
    story.work()
    server.refusals = {OTHER: "550 5.1.1 no such user"}
    story.work(6.5)
    assert story.letters == []
    assert story.gate.failures == 0
    refusals = story.recorder.named("smtp_recipient_refused")
    assert [refusal.fields["smtp_code"] for refusal in refusals] == [450, 550]
    story.alert("Another trouble")
    story.work(1)
    assert len(server.mails) == 2


def test_a_recipient_who_is_no_longer_configured_is_not_waited_for(file: Path, server: MailServer) -> None:
    server.refusals = {OTHER: "450 4.2.1 mailbox busy"}
    story = Story(file, server)
    story.environ["SMTP_TO"] = f"{ONCALL}, {OTHER}"
    story.alert()
    story.work()
    story.environ["SMTP_TO"] = ONCALL
    story.work(7)
    assert story.letters == []
    assert len(server.mails) == 1


# An outbox that fails between the server's 250 and its note


class Locked:
    """Another program that holds the file's write lock from the time that the server reads a letter's content."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.connection: sqlite3.Connection | None = None

    def take(self, _conversation: object) -> None:
        self.connection = sqlite3.connect(self._file, isolation_level=None, check_same_thread=False)
        self.connection.execute("BEGIN IMMEDIATE")

    def release(self) -> None:
        assert self.connection is not None
        self.connection.close()


@pytest.mark.parametrize("patience", [1.0, 30.0])
def test_what_was_accepted_while_the_outbox_is_locked_is_not_sent_again_by_this_process(
    file: Path, patience: float
) -> None:
    locked = Locked(file)
    with ScriptedServer({"dot": [then(locked.take, "250 ok"), "250 ok"]}) as server:
        story = Story(file, server)
        story.alert("Disk a full")
        story.alert("Disk b full")
        story.work()
        assert len(server.contents) == 1
        story.alert("Disk c full")
        story.work(patience)  # beyond 10 s, memory stands in
        locked.release()
        for _ in range(5):
            story.work(10)
        assert story.letters == []
        sent = of_scripted(server, "Message-ID")
    assert len(sent) == len(set(sent)) == 3
    assert of_scripted(server, "X-Alertlog-Count") == ["1", "1", "1"]
    assert story.untold == 0


def test_what_was_accepted_but_not_noted_is_not_told_again_by_a_digest(file: Path) -> None:
    """After an outage what has gathered is dissolved into a digest: not what the server has."""
    locked = Locked(file)
    with ScriptedServer(
        {"greeting": ["421 later", "220 ok"], "dot": [then(locked.take, "250 ok"), "250 ok"]}
    ) as server:
        story = Story(file, server)
        story.alert("Disk a full")
        story.work()
        story.work(6.5)
        assert len(server.contents) == 1
        story.alert("Disk b full")
        locked.release()
        story.work(1)
        story.work(10)
        assert of_scripted(server, "X-Alertlog-Count") == ["1", "1"]
    assert (story.untold, story.letters) == (0, [])


def test_what_was_accepted_when_its_process_was_killed_is_sent_again_as_it_was_and_told_by_no_digest(
    file: Path,
) -> None:
    locked = Locked(file)
    script: Script = {"greeting": ["421 later", "220 ok"], "dot": [then(locked.take, "250 ok"), "250 ok"]}
    with ScriptedServer(script) as server:
        story = Story(file, server)
        story.alert("Disk a full")
        story.work()
        story.work(6.5)
        assert len(server.contents) == 1
        story.restart()
        locked.release()
        story.alert("Disk b full")
        story.work(1)
        counts = dict(zip(of_scripted(server, "Message-ID"), of_scripted(server, "X-Alertlog-Count"), strict=True))
    assert sum(map(int, counts.values())) == story.raised == 2


def test_a_refusal_is_told_once_however_often_the_outbox_fails_to_note_it(file: Path) -> None:
    locked = Locked(file)
    replies = ["250 ok", "550 5.1.1 no such user"]
    with ScriptedServer({"RCPT": replies, "dot": then(locked.take, "250 ok")}) as server:
        story = Story(file, server)
        story.environ["SMTP_TO"] = f"{ONCALL}, {OTHER}"
        story.alert()
        story.work()
        locked.release()
        story.work(1)
        assert len(server.contents) == 1
    assert len(story.recorder.named("smtp_recipient_refused")) == 1
    assert (story.untold, story.letters) == (0, [])


# A week


def test_what_could_not_be_sent_for_a_week_expires_with_its_exact_count(file: Path) -> None:
    with dead_port() as port:
        story = Story(file, None)
        story.environ |= address(MailServer("none")) | {"SMTP_PORT": str(port)}
        story.alert("Disk a full", times=3)
        story.work()
        story.alert("Disk a full", times=4)
        story.alert("Disk b full", times=5)
        story.work(1)
        story.work_for(WEEK - HOUR, each=HOUR)
        assert "alert_expired" not in story.recorder.names
        story.work_for(2 * HOUR, each=HOUR)
    expired = story.recorder.named("alert_expired")
    assert sum(told.fields["count"] for told in expired) == story.raised == 12
    assert {told.fields["alert"]["message"] for told in expired} == {"Disk a full", "Disk b full"}
    assert (story.untold, story.letters) == (0, [])


def test_an_expired_and_a_set_aside_letter_and_the_mails_account_for_every_alert(
    file: Path, server: MailServer
) -> None:
    server.data_reply = "554 5.6.0 not that"
    story = Story(file, server)
    story.alert("Disk a full", times=2)
    story.work()
    server.data_reply = "250 2.0.0 accepted"
    story.alert("Disk b full", times=3)
    story.work_for(WEEK + HOUR, each=HOUR)
    expired = story.recorder.named("alert_expired")
    assert told(server.mails) + sum(event.fields["count"] for event in expired) == story.raised == 5
    assert story.letters == []


def test_a_server_whose_hang_up_after_a_letter_shows_only_at_the_next_one_is_connected_to_again(file: Path) -> None:
    with ScriptedServer({"MAIL": ["250 ok", drop, "250 ok"]}) as server:
        story = Story(file, server)
        for disk in "ab":
            story.alert(f"Disk {disk} full")
        story.work()
        assert (len(server.contents), server.connections) == (2, 2)
    assert story.recorder.named("smtp_send_failed") == []


@pytest.mark.parametrize("reply", [drop, silence, "421 4.3.2 busy"])
def test_a_second_connection_that_fails_in_the_same_way_or_any_other_failure_is_told(file: Path, reply: Step) -> None:
    with ScriptedServer({"MAIL": ["250 ok", reply, drop]}) as server:
        story = Story(file, server, RunningClock())
        story.environ["SMTP_TIMEOUT_SECONDS"] = "0.5"
        for disk in "ab":
            story.alert(f"Disk {disk} full")
        story.work()
        assert len(server.contents) == 1
    (failed,) = story.recorder.named("smtp_send_failed")
    assert (failed.fields["stage"], failed.fields["category"]) == ("mail", "temporary")


def test_many_letters_for_a_server_that_hangs_up_after_each_go_one_connection_each(file: Path) -> None:
    with ScriptedServer({"dot": then("250 ok", drop)}) as server:
        story = Story(file, server)
        for disk in "abc":
            story.alert(f"Disk {disk} full")
        story.work()
        story.work(20)
        assert len(server.contents) == 3
    assert len(story.recorder.named("smtp_send_succeeded")) == 3


def test_a_login_is_made_once_for_all_letters_of_a_connection(file: Path) -> None:
    with ScriptedServer({"EHLO": OFFERS_LOGIN, "AUTH": dialogue("235 2.7.0 welcome")}) as server:
        story = Story(file, server)
        story.environ |= {"SMTP_USERNAME": "etl", "SMTP_PASSWORD": "geheim"}
        story.alert("Disk a full")
        story.alert("Disk b full")
        story.work()
        assert (server.steps.count("AUTH"), len(server.contents)) == (1, 2)


def test_a_round_takes_no_longer_than_one_attempt_may_and_the_next_one_goes_on(file: Path) -> None:
    """Meanwhile nobody writes counts or reads journals: a mute server would hold that up for each letter."""
    story = Story(file, None)

    def slow(_conversation: Conversation) -> None:
        story.clock.advance(6)

    with ScriptedServer({"dot": then(slow, "250 ok")}) as server:
        story.environ |= address(server)
        for disk in "abc":
            story.alert(f"Disk {disk} full")
        story.work()
        assert len(server.contents) == 2
        story.work(1)
        assert len(server.contents) == 3
    assert story.letters == []


@pytest.mark.parametrize("name", HOSTILE)
def test_whatever_a_server_does_an_attempt_ends_and_every_alert_is_told_or_set_aside(
    file: Path, server: MailServer, name: str
) -> None:
    with ScriptedServer(HOSTILE[name]) as hostile:
        story = Story(file, hostile, RunningClock())
        story.environ["SMTP_TIMEOUT_SECONDS"] = "0.3"
        story.alert("Disk a full", times=2)
        story.alert("Disk b full", times=3)
        story.work()
        story.alert("Disk a full")
        story.work(1)
        assert story.recorder.named("smtp_send_failed")
    story.environ |= address(server)
    story.work_for(9 * HOUR, each=600)
    aside = sum(letter.draft.count for letter in story.letters if letter.aside)
    assert told(server.mails) + aside == story.raised == 6
    assert (aside > 0) == (name == "rejects content")
    assert story.untold == 0
