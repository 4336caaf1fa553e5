"""A mail that is larger than the server takes arrives all the same: shorter, saying so, and with the same figures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alertlog.alert import Alert
from alertlog.draft import Draft
from alertlog.errors import DeliveryError, LetterRejected, SessionRefused
from alertlog.letter import Letter, Wording, compose
from alertlog.settings import read_smtp
from alertlog.shortening import LEAST, too_large
from alertlog.testing import MailServer
from tests.behaviours import drop, then
from tests.letters import (
    CONTEXT,
    ENGLISH,
    FRENCH,
    RECIPIENTS,
    SENDER,
    alert,
    draft,
    failure,
    in_paris,
    incident,
    read,
    text_of,
)
from tests.programs import told
from tests.servers import ScriptedServer
from tests.stories import Story

BOTH = pytest.mark.parametrize("wording", [ENGLISH, FRENCH], ids=["en", "fr"])
NOTE = {
    "en": "This mail was shortened: the server takes no larger one.",
    "fr": "Ce courriel a été raccourci : le serveur",
}
SAME = ("Date", "Message-ID", "Subject", "From", "To", "X-Alertlog-Count", "X-Alertlog-Total", "X-Alertlog-Fingerprint")


@pytest.fixture(autouse=True)
def paris() -> Iterator[None]:
    with in_paris():
        yield


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "alerts.sqlite3"


def long(text: str) -> str:
    return "\n".join(f"{text} {number}" for number in range(3_000))


def large_alert() -> Alert:
    """An alert of half a megabyte."""
    return failure()._replace(
        message=long("price of SHOP.TO"),
        traceback=long("  at refresh"),
        extras=tuple((f"ticker_{number}", "x" * 4_000) for number in range(40)),
        context=CONTEXT * 60,
    )


def large() -> Draft:
    samples = tuple(alert(message=long(f"sample {number}")) for number in range(5))
    return draft("opening", incident(large_alert(), count=7, samples=samples))


def composed(made: Draft, room: int, wording: Wording = ENGLISH) -> bytes:
    return compose(made, wording, SENDER, RECIPIENTS, room).content


# Composed


@pytest.mark.parametrize("room", [300_000, 150_000, 100_000, 60_000, 30_000, 15_000])
@BOTH
def test_a_letter_fits_into_the_room_there_is_and_says_that_it_was_shortened(room: int, wording: Wording) -> None:
    made = large()
    whole, short = composed(made, 0, wording), composed(made, room, wording)
    assert len(short) <= room < len(whole)
    mail = read(Letter("", "", short))
    said = " ".join(text_of(mail).split())
    assert NOTE[wording.language].replace(" :", "\N{NO-BREAK SPACE}:") in said.replace(" :", "\N{NO-BREAK SPACE}:")
    assert "price of SHOP.TO 0" in said
    assert "vps1.example.org" in said


@settings(max_examples=20)
@given(st.integers(1, 60_000))
def test_what_fits_is_left_whole_and_what_does_not_is_no_longer_than_before(room: int) -> None:
    made = draft("opening", incident(failure(context=CONTEXT * 3)))
    whole, short = composed(made, 0), composed(made, room)
    assert len(short) <= len(whole)
    assert (short == whole) == (room >= len(whole))


@BOTH
def test_only_what_has_no_room_otherwise_goes_without_its_page(wording: Wording) -> None:
    made = large()
    assert read(Letter("", "", composed(made, 200_000, wording))).get_body(("html",)) is not None
    alone = read(Letter("", "", composed(made, 15_000, wording)))
    assert alone.get_content_type() == "text/plain"
    assert alone.get_content_charset() == "utf-8"


@BOTH
def test_a_digest_of_many_says_how_many_it_leaves_out(wording: Wording) -> None:
    many = draft("digest", *(incident(alert(message=f"Disk {number} full")) for number in range(400)))
    made = read(Letter("", "", composed(many, 60_000, wording)))
    said = " ".join(text_of(made).split())
    shown = said.count(" full") - said.count("[portfolio-etl]")
    assert 10 <= shown < 400
    left_out = 400 - shown
    assert (
        f"{left_out} further sections were left out." if wording is ENGLISH else f"{left_out} autres sections ont"
    ) in said
    assert len(made.get_all("X-Alertlog-Fingerprint", [])) == 400


def test_the_least_there_is_is_composed_where_nothing_fits() -> None:
    least = composed(large(), 1)
    assert least == composed(large(), 500)
    assert len(least) < 20_000


# Sent to a server


@pytest.fixture
def server() -> Iterator[MailServer]:
    with MailServer("none", size_limit=60_000) as running:
        yield running


def raise_large(story: Story) -> None:
    """The program logs an alert whose mail is far too large, four times."""
    raised = large_alert()._replace(created=story.clock.wall())
    story.alert(raised.message, times=4, **{name: getattr(raised, name) for name in ("traceback", "extras", "context")})


def test_a_server_that_takes_little_gets_a_shorter_mail_at_once(file: Path, server: MailServer) -> None:
    story = Story(file, server)
    raise_large(story)
    story.work()
    (mail,) = server.mails
    assert 10_000 < len(mail.content) <= 60_000
    assert NOTE["en"] in mail.text
    assert told(server.mails) == story.raised
    assert story.recorder.names == ["incident_opened", "smtp_send_succeeded"]
    assert story.letters == []


def test_a_small_mail_is_not_touched_there(file: Path, server: MailServer) -> None:
    story = Story(file, server)
    story.alert("Disk full")
    story.work()
    (mail,) = server.mails
    assert "shortened" not in mail.text


def test_the_shorter_mail_has_the_figures_of_the_whole_one(file: Path, server: MailServer) -> None:
    server.stop()
    story = Story(file, server)
    raise_large(story)
    story.work()
    (waiting,) = story.letters
    today = read_smtp(story.environ)
    whole = read(compose(waiting.draft, story.wording, today.sender, today.recipients))
    server.start()
    story.work(600)
    (mail,) = server.mails
    assert {name: mail.message.get_all(name) for name in SAME} == {name: whole.get_all(name) for name in SAME}


def test_where_several_wait_only_the_large_one_is_shortened_on_the_same_connection(
    file: Path, server: MailServer
) -> None:
    story = Story(file, server)
    story.alert("Disk full")
    raise_large(story)
    story.alert("Quota used up")
    story.work()
    assert ["shortened" in mail.text for mail in server.mails] == [False, True, False]
    assert server.connections == 1
    assert told(server.mails) == story.raised


def test_a_server_that_does_not_say_what_it_takes_gets_shorter_ones_until_it_takes_one(
    file: Path, server: MailServer
) -> None:
    server.extensions = []
    story = Story(file, server)
    raise_large(story)
    story.work()
    (mail,) = server.mails
    assert "shortened" in mail.text
    assert told(server.mails) == story.raised
    assert story.recorder.names == ["incident_opened", "smtp_send_succeeded"]


@pytest.mark.parametrize("step", ["MAIL", "DATA", "dot"])
@pytest.mark.parametrize("reply", ["552 5.3.4 message too big", "552 too much mail data", "554 5.3.4 too big"])
def test_whichever_way_a_server_says_that_a_mail_is_too_large_it_gets_a_shorter_one(
    file: Path, step: str, reply: str
) -> None:
    healthy = {"MAIL": "250 ok", "DATA": "354 go ahead", "dot": "250 ok"}
    with ScriptedServer({step: [reply, healthy[step]]}) as server:
        story = Story(file, server)
        raise_large(story)
        story.work()
        sizes = [len(content) for content in server.contents]
    assert "smtp_send_failed" not in story.recorder.names
    assert story.letters == []
    assert len(sizes) == (2 if step == "dot" else 1)
    assert sizes[-1] < 150_000


def test_a_server_that_hangs_up_on_a_large_mail_gets_the_shorter_one_over_another_connection(file: Path) -> None:
    with ScriptedServer({"dot": [then("552 5.3.4 too big", drop), "250 ok"]}) as server:
        story = Story(file, server)
        raise_large(story)
        story.work()
        assert server.connections == 2
        assert len(server.contents) == 2
    assert "smtp_send_failed" not in story.recorder.names


def test_one_that_takes_no_mail_however_short_has_it_set_aside_after_a_few_attempts(file: Path) -> None:
    with ScriptedServer({"dot": "552 5.3.4 too big"}) as server:
        story = Story(file, server)
        raise_large(story)
        story.work()
        assert 2 <= len(server.contents) <= 5
        story.work(3_600)
        assert len(server.contents) <= 5
    (failed,) = story.recorder.named("smtp_send_failed")
    assert (failed.fields["category"], failed.fields["smtp_code"]) == ("permanent", 552)
    (letter,) = story.letters
    assert letter.aside


def test_a_full_mailbox_is_no_reason_to_shorten(file: Path) -> None:
    with ScriptedServer({"dot": "552 5.2.2 mailbox full"}) as server:
        story = Story(file, server)
        raise_large(story)
        story.work()
        assert len(server.contents) == 1


@pytest.mark.parametrize(
    ("size", "refusal", "expected"),
    [
        (LEAST + 1, LetterRejected("552 too big", stage="dot", code=552), True),
        (LEAST, LetterRejected("552 too big", stage="dot", code=552), False),
        (LEAST + 1, LetterRejected("550 5.3.4 too big", stage="data", code=550), True),
        (LEAST + 1, LetterRejected("554 no", stage="dot", code=554), False),
        (LEAST + 1, LetterRejected("552 5.2.2 full", stage="dot", code=552), False),
        (LEAST + 1, SessionRefused("552 too big", stage="mail", code=552), True),
        (LEAST + 1, SessionRefused("552 full", stage="rcpt", code=552), False),
        (LEAST + 1, SessionRefused("no STARTTLS", stage="starttls"), False),
    ],
)
def test_what_says_that_a_mail_is_too_large(size: int, refusal: DeliveryError, expected: bool) -> None:
    assert too_large(size, refusal) is expected


# Addresses beyond ASCII

NAMES = "zoë@bücher.example, ops@bücher.example"


def test_a_server_with_smtputf8_gets_the_address_and_the_domain_in_ascii(file: Path, server: MailServer) -> None:
    story = Story(file, server)
    story.environ["SMTP_TO"] = NAMES
    story.alert()
    story.work()
    (mail,) = server.mails
    assert mail.recipients == ("zoë@xn--bcher-kva.example", "ops@xn--bcher-kva.example")
    assert story.recorder.names == ["incident_opened", "smtp_send_succeeded"]


def test_without_smtputf8_the_others_get_it_and_an_event_names_who_does_not(file: Path, server: MailServer) -> None:
    server.extensions = ["SIZE"]
    story = Story(file, server)
    story.environ["SMTP_TO"] = NAMES
    story.alert()
    story.work()
    (mail,) = server.mails
    assert mail.recipients == ("ops@xn--bcher-kva.example",)
    (refused,) = story.recorder.named("smtp_recipient_refused")
    assert refused.fields["recipients"] == ["zoë@xn--bcher-kva.example"]
    assert refused.fields["category"] == "permanent"
    assert "SMTPUTF8" in refused.message
    story.work(3_600)
    assert len(server.mails) == 1
    assert story.letters == []


def test_where_all_need_smtputf8_and_there_is_none_the_alert_is_kept_for_a_repair(
    file: Path, server: MailServer
) -> None:
    server.extensions = []
    story = Story(file, server)
    story.environ["SMTP_TO"] = "zoë@bücher.example"
    story.alert()
    story.work()
    (failed,) = story.recorder.named("smtp_send_failed")
    assert failed.fields["category"] == "refused"
    assert "zoë@xn--bcher-kva.example" in failed.message
    assert "SMTPUTF8" in failed.message
    story.environ["SMTP_TO"] = "ops@bücher.example"
    story.work(4 * 3_600)
    assert told(server.mails) == 1
