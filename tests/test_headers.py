"""Whatever a text holds, it becomes one clean header line, and arrives as it was."""

from __future__ import annotations

import re
from email import policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.parser import BytesParser
from email.utils import getaddresses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertlog.headers import (
    addresses,
    cut_at_word,
    list_id,
    message_id,
    one_line,
    squeezed,
    unstructured,
    verbatim,
    visible,
)
from alertlog.mailbox import Mailbox

NASTY = (
    "\r\nBcc: eve@example.org",
    "\n\n<html>",
    "\r\n\t",
    "=?UTF-8?Q?=0ABcc:eve@example.org?=",
    "=?utf-8?b?QmNj?=",
    "=?",
    "?=",
    "\x00\x1b[31m\x7f\x9f",
    "\u2028\u2029\x85",
    "\u202etxt.exe\u2066\u2069",
    "\ud800\udc80",
    "\u200b\u00ad\ufeff\U000e0041",
    "épuisé 額度 \N{GRINNING FACE}\N{ZERO WIDTH JOINER}",
    '"\\,;:<>()@[]',
    " " * 90,
    "word " * 40,
    "x" * 200,
    "額" * 100,
)
HOSTILE = st.lists(
    st.sampled_from(NASTY) | st.text(st.characters(), max_size=20) | st.text(max_size=5), max_size=8
).map("".join)


def received(lines: str) -> EmailMessage:
    """Check what goes over the wire, and return it as another program reads it."""
    wire = lines.encode("ascii")
    assert wire.endswith(b"\r\n")
    for line in wire.removesuffix(b"\r\n").split(b"\r\n"):
        assert len(line) <= 998
        assert re.fullmatch(rb"[ -~]+", line), line
        assert line.strip(), "a folded line of spaces only ends the headers for some readers"
    return BytesParser(policy=policy.default).parsebytes(wire + b"\r\n")


def names(lines: str) -> list[str]:
    """Return the display names in To as RFC 2047 has them; `policy.default` puts spaces into long ones."""
    value = BytesParser(policy=policy.compat32).parsebytes(lines.encode("ascii"))["To"]
    return [str(make_header(decode_header(name))) for name, _address in getaddresses([value])]


@given(HOSTILE)
def test_any_text_arrives_as_one_visible_header_line(text: str) -> None:
    lines = unstructured("Subject", text)
    assert max(map(len, lines.split("\r\n"))) <= 76
    mail = received(lines)
    assert mail.keys() == ["Subject"]
    assert mail["Subject"] == one_line(text)
    assert mail["Subject"].defects == ()


@given(HOSTILE, HOSTILE)
def test_any_name_of_a_mailbox_arrives_beside_the_untouched_address(first: str, second: str) -> None:
    people = [Mailbox("a@example.org", first), Mailbox("b@example.org", second)]
    lines = addresses("To", people)
    mail = received(lines)
    assert mail.keys() == ["To"]
    assert [found.addr_spec for found in mail["To"].addresses] == ["a@example.org", "b@example.org"]
    assert names(lines) == [squeezed(first, 120), squeezed(second, 120)]


@given(HOSTILE)
def test_what_becomes_visible_holds_nothing_hidden(text: str) -> None:
    shown = visible(text)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]", shown)
    assert visible(shown) == shown


@given(HOSTILE, st.integers(10, 130))
def test_a_squeezed_value_keeps_within_its_limit(text: str, limit: int) -> None:
    value = squeezed(text, limit)
    assert len(value) <= limit
    assert "\n" not in value
    assert "  " not in value


@given(HOSTILE)
def test_a_message_id_is_one_token_whatever_it_is_made_of(text: str) -> None:
    assert re.fullmatch(r"<[!-;=?-~]*>", message_id(text))


@given(HOSTILE, HOSTILE)
def test_a_list_id_names_a_domain_whatever_the_service_is_called(service: str, sender: str) -> None:
    assert re.fullmatch(r"<[a-z0-9-]+\.alertlog\.[A-Za-z0-9.-]+>", list_id(service, sender))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\r\nb\rc\nd\te", "a\nb\nc\nd\te"),
        ("\x1b[31m", "\\x1b[31m"),
        ("\x85", "\\x85"),
        ("\u202e", "\\u202e"),
        ("\udc80", "\\udc80"),
        ("\U000e0041", "\\U000e0041"),
        ("\u0645\u06cc\u200c\u062e", "\u0645\u06cc\u200c\u062e"),
    ],
)
def test_hidden_characters_are_shown_as_escapes_and_others_stay(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_plain_words_before_the_first_foreign_one_stay_readable_on_the_wire() -> None:
    assert unstructured("Subject", "[ETL] Quota épuisé").startswith("Subject: [ETL] Quota =?utf-8?b?")


def test_a_plain_subject_is_sent_as_it_is() -> None:
    assert unstructured("Subject", "[ETL] API quota alert") == "Subject: [ETL] API quota alert\r\n"


def test_double_spaces_of_a_deployer_arrive() -> None:
    assert received(unstructured("Subject", "[ETL]  two   spaces"))["Subject"] == "[ETL]  two   spaces"


def test_an_empty_text_gives_an_empty_header() -> None:
    assert unstructured("X-Alertlog-Kind", "") == "X-Alertlog-Kind:\r\n"


def test_long_lines_are_folded_between_their_parts() -> None:
    assert verbatim("References", ["<" + "a" * 40 + ">", "<" + "b" * 40 + ">"]) == (
        f"References: <{'a' * 40}>\r\n <{'b' * 40}>\r\n"
    )


def test_a_text_is_cut_at_a_word_and_a_monstrous_word_where_the_room_ends() -> None:
    assert cut_at_word("short", 20) == "short"
    assert cut_at_word("several words and more of them", 20) == "several words..."
    assert cut_at_word("w " + "x" * 40, 20) == "w " + "x" * 15 + "..."
    assert cut_at_word("x" * 40, 20) == "x" * 17 + "..."


def test_without_recipients_the_header_names_nobody() -> None:
    assert received(addresses("To", []))["To"].addresses == ()


def test_an_address_that_ascii_cannot_carry_is_shown_without_being_one() -> None:
    mail = received(addresses("To", [Mailbox("jörg@example.org"), Mailbox("b@example.org")]))
    assert [group.display_name for group in mail["To"].groups] == ["jörg@example.org", None]
    assert [found.addr_spec for found in mail["To"].addresses] == ["b@example.org"]


def test_a_service_without_letters_and_a_sender_without_domain_still_have_a_list_id() -> None:
    assert list_id("額度", "nobody") == "<alerts.alertlog.nobody>"
    assert list_id("Portfolio ETL", "etl@") == "<portfolio-etl.alertlog.localhost>"
