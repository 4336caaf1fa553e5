"""Mailboxes as in a header: what is understood, what is refused, and that nothing harmful comes out."""

from __future__ import annotations

import email
import email.policy
import email.utils
import re
import traceback
from email.header import decode_header, make_header

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from alertlog.mailbox import Mailbox, ascii_domain, mailbox, mailboxes


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a@x.org", [Mailbox("a@x.org")]),
        (" <a@x.org> ", [Mailbox("a@x.org")]),
        ('"Doe, Jane" <j@x.org>, k@x.org', [Mailbox("j@x.org", "Doe, Jane"), Mailbox("k@x.org")]),
        (r'"Jane \"J\" \\ Doe" <j@x.org>', [Mailbox("j@x.org", 'Jane "J" \\ Doe')]),
        ("John Q. Public <j@x.org>", [Mailbox("j@x.org", "John Q. Public")]),
        ('Mister "X, Y"  Z<j@x.org>', [Mailbox("j@x.org", "Mister X, Y Z")]),
        ('"" <j@x.org>', [Mailbox("j@x.org")]),
        ("a@x.org,, b@x.org ,", [Mailbox("a@x.org"), Mailbox("b@x.org")]),
        ("Élodie <é.ç@x.org>", [Mailbox("é.ç@x.org", "Élodie")]),
        ("a@BÜCHER.example", [Mailbox("a@xn--bcher-kva.example")]),
        ("a@日本。jp", [Mailbox("a@xn--wgv71a.jp")]),
        ('"john doe"@x.org', [Mailbox('"john doe"@x.org')]),
        ('"a@b, c"@x.org', [Mailbox('"a@b, c"@x.org')]),
        ("root@localhost", [Mailbox("root@localhost")]),
        ("root@mail_server", [Mailbox("root@mail_server")]),
        ("a@[127.0.0.1]", [Mailbox("a@[127.0.0.1]")]),
        ("a@[IPv6:::1]", [Mailbox("a@[IPv6:::1]")]),
    ],
)
def test_what_a_header_can_hold_is_understood(text: str, expected: list[Mailbox]) -> None:
    assert list(mailboxes(text)) == expected


def test_an_address_is_taken_once_whatever_the_case_of_its_domain() -> None:
    assert mailboxes("Jane <a@X.org>, a@x.ORG, A@x.org") == (Mailbox("a@x.org", "Jane"), Mailbox("A@x.org"))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "holds no address"),
        (" , ,", "holds no address"),
        ("jane", "has no @"),
        ("Jane <jane>", "has no @"),
        ("a@x.org\r\nBcc: b@x.org", "line break"),
        ("a@x.org,\n b@x.org", "line break"),
        ("Jane\u202e <a@x.org>", "can't be shown"),
        ("Jane\u2028 <a@x.org>", "can't be shown"),
        ("a\ud800@x.org", "can't be shown"),
        ("a\u200b@x.org", "before its @"),
        ("a b@x.org", "before its @"),
        ("@x.org", "before its @"),
        (".a@x.org", "before its @"),
        ("a@b@x.org", "before its @"),
        (f"{'a' * 65}@x.org", "before its @"),
        (f"{'é' * 33}@x.org", "before its @"),
        ("Team: a@x.org;", "before its @"),
        ("Team: Jane <a@x.org>;", "of the form"),
        ("a@x.org; b@x.org", "has semicolons, where addresses have to be separated by commas"),
        ("Jane <a@x.org>; Joe <b@x.org>", "has semicolons, where addresses have to be separated by commas"),
        ("Team: <a@x.org>", "groups"),
        ("Jane (boss) <a@x.org>", "comments"),
        ("a@x.org (boss)", "domain"),
        ("ops@x.org <ops@x.org>", "quotation marks"),
        ('"Jane <a@x.org>', "of the form"),
        ("Jane <a@x.org", "of the form"),
        ("<a@x.org> <b@x.org>", "of the form"),
        ("a@", "domain"),
        ("a@x..org", "domain"),
        ("a@.org", "domain"),
        ("a@x.org.", "domain"),
        ("a@-x.org", "domain"),
        (f"a@{'x' * 64}.org", "domain"),
        (f"a@{'x.' * 127}org", "more than 253"),
        (f"a@{'ü.' * 100}org", "domain"),
        ("a@x\u2100b.org", "domain"),
        ("a@straße.de", "ambiguous"),
        ("a@[::1]", "brackets"),
        ("a@[IPv6:127.0.0.1]", "brackets"),
        ("a@[1.2.3]", "brackets"),
        ("a@[host]", "domain"),
    ],
)
def test_what_is_not_understood_whole_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=re.escape(problem)) as caught:
        mailboxes(text)
    assert str(caught.value).isascii()
    assert str(caught.value).isprintable()


def test_each_wrong_address_is_named_and_only_so_many_of_them() -> None:
    with pytest.raises(ValueError, match=r"'b1' has no @; 'b2'") as caught:
        mailboxes("a@x.org, " + ", ".join(f"b{number}" for number in range(1, 12)))
    assert str(caught.value).endswith("'b5' has no @; and 6 more")


def test_a_long_address_is_cut_where_it_is_named() -> None:
    with pytest.raises(ValueError, match=r"has no @") as caught:
        mailboxes("x" * 100_000)
    assert len(str(caught.value)) < 100


def test_one_mailbox_is_exactly_one() -> None:
    assert mailbox("Jane <a@x.org>") == Mailbox("a@x.org", "Jane")
    with pytest.raises(ValueError, match="several"):
        mailbox("a@x.org, b@x.org")
    with pytest.raises(ValueError, match="no address"):
        mailbox(",")


def test_an_error_is_not_chained_to_one_that_carries_the_text() -> None:
    for text in (f"a@{'ü' * 64}.org", "a@ü..org", "a@[::1]", "a@[9.9.9]"):
        with pytest.raises(ValueError, match=r"has|does not") as caught:
            mailbox(text)
        assert "Traceback" not in "".join(traceback.format_exception(caught.value)).partition("\n")[2]


def test_a_domain_is_lower_case_ascii() -> None:
    assert ascii_domain("Mail.EXAMPLE.org") == "mail.example.org"
    assert ascii_domain("Пример.ИСПЫТАНИЕ") == "xn--e1afmkfd.xn--80akhbyknj4f"


@pytest.mark.parametrize(
    ("box", "header"),
    [
        (Mailbox("a@x.org"), "a@x.org"),
        (Mailbox("a@x.org", "Doe, Jane"), '"Doe, Jane" <a@x.org>'),
        (Mailbox("a@x.org", 'J "X" \\'), '"J \\"X\\" \\\\" <a@x.org>'),
        (Mailbox("a@x.org", "Élodie"), "=?utf-8?q?=C3=89lodie?= <a@x.org>"),
    ],
)
def test_the_form_for_a_header(box: Mailbox, header: str) -> None:
    assert str(box) == header


def test_the_form_for_people() -> None:
    assert Mailbox("a@x.org").readable == "a@x.org"
    assert Mailbox("a@x.org", "Élodie").readable == "Élodie <a@x.org>"


def test_a_name_that_looks_encoded_adds_no_header() -> None:
    box = mailbox('"=?utf-8?q?=0ABcc:b=40x.org?=" <a@x.org>')
    message = email.message_from_string(f"From: {box}\n\n", policy=email.policy.default)
    assert message.keys() == ["From"]
    assert message["From"].addresses[0].display_name == "=?utf-8?q?=0ABcc:b=40x.org?="


@given(st.text(alphabet=st.one_of(st.characters(), st.sampled_from('"\\<>,@.:;()[] \r\né\u202e=?_'))))
@example('"\\')
@example('"\\"')
def test_of_any_text_comes_a_harmless_mailbox_or_an_error(text: str) -> None:
    problem = ""
    try:
        for box in mailboxes(text):
            _check(box)
    except ValueError as error:
        problem = str(error)
    assert problem.isascii()
    assert problem == "" or problem.isprintable()


@given(st.text(alphabet=st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=200))
def test_any_name_comes_back_from_a_header_as_it_was(name: str) -> None:
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    try:
        box = mailbox(f'"{quoted}" <a@x.org>')
    except ValueError:
        return  # it turns the direction of writing
    assert box.name == " ".join(name.split())
    _check(box)


def _check(box: Mailbox) -> None:
    header = str(box)
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\ud800-\udfff]", header)
    assert all(len(word) <= 75 for word in header.split(" ") if word.startswith("=?"))
    assert box.address.rpartition("@")[2].isascii()
    shown, address = email.utils.parseaddr(header)
    assert address == box.address
    assert str(make_header(decode_header(shown))) == box.name


@pytest.mark.parametrize("text", ['"\\', '"', "<", ",", "a@", 'a"b\\"', "é", "(", "\\"])
def test_a_hostile_text_takes_time_in_proportion_to_its_length(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        mailboxes(text * 50_000)
