"""A deployer's own templates take the place of alertlog's, and whatever is wrong with one, the mail is sent."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from alertlog.draft import Draft
from alertlog.layout import PROBLEM_LIMIT
from alertlog.letter import Letter, Wording
from alertlog.mailbox import Mailbox
from tests.letters import (
    ENGLISH,
    FRENCH,
    TRACEBACK,
    Page,
    alert,
    draft,
    failure,
    html_of,
    in_paris,
    incident,
    letter,
    read,
    repeated,
    samples,
    text_of,
)
from tests.test_letter import check_wire

OWN_TEXT = (
    "{{ view.title }} ({{ view.badge }})\n{{ view.sections[-1].rows | columns }}\n{{ view.leads[0] | wrapped }}\n"
)
OWN_HTML = (
    "<!DOCTYPE html><title>x</title><h1>{{ view.title }}</h1>{% for lead in view.leads %}<p>{{ lead }}</p>{% endfor %}"
)


@pytest.fixture(autouse=True)
def paris() -> Iterator[None]:
    with in_paris():
        yield


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the deployer keeps templates."""
    folder = tmp_path / "mail"
    folder.mkdir()
    return folder


def made(folder: Path, wording: Wording = ENGLISH, message: str = "Disk full") -> Letter:
    return letter(draft("opening", incident(alert(message=message))), replace(wording, templates=str(folder)))


def ours() -> Letter:
    return letter(draft("opening", incident(alert(message="Disk full"))))


def parts(made: Letter) -> dict[str, str]:
    mail = read(made)
    return {"letter.txt": text_of(mail), "letter.html": html_of(mail)}


def test_a_template_of_the_deployers_own_stands_for_alertlogs_in_each_part(folder: Path) -> None:
    (folder / "letter.txt").write_text(OWN_TEXT)
    (folder / "letter.html").write_text(OWN_HTML)
    one = made(folder)
    mail = read(one)
    assert text_of(mail).startswith("Disk full (CRITICAL · Alert)\nService        portfolio-etl\n")
    assert html_of(mail).startswith("<!DOCTYPE html><title>x</title><h1>Disk full</h1><p>portfolio-etl on vps1")
    assert one.problems == {}
    check_wire(one.content)


@pytest.mark.parametrize("name", ["letter.txt", "letter.html"])
def test_what_is_not_in_the_folder_is_alertlogs(folder: Path, name: str) -> None:
    (folder / name).write_text("mine: {{ view.title }}\n")
    one = made(folder)
    assert one.problems == {}
    assert parts(one) == {**parts(ours()), name: "mine: Disk full\n"}


@pytest.mark.parametrize(("first", "later"), [("letter.txt", "letter.html"), ("letter.html", "letter.txt")])
def test_a_template_that_comes_into_the_folder_later_is_used_for_the_next_mail(
    folder: Path, first: str, later: str
) -> None:
    (folder / first).write_text("mine: {{ view.title }}\n")
    assert parts(made(folder))[later] == parts(ours())[later]
    (folder / later).write_text("mine: {{ view.title }}\n")
    assert parts(made(folder))[later] == "mine: Disk full\n"


@pytest.mark.parametrize("made_of", sorted(samples()))
def test_a_copy_of_alertlogs_templates_gives_the_same_letter(folder: Path, made_of: str) -> None:
    for name in ("letter.txt", "letter.html"):
        copied = Path(__file__).parents[1] / "alertlog" / "templates" / name
        (folder / name).write_text(copied.read_text("utf-8"), "utf-8")
    copy = letter(samples()[made_of], replace(FRENCH, templates=str(folder)))
    assert copy == letter(samples()[made_of], FRENCH)


def test_a_template_can_change_one_block_of_alertlogs(folder: Path) -> None:
    (folder / "letter.txt").write_text(
        '{% extends "alertlog/letter.txt" %}{% block footer %}{{ super() }}Runbook: wiki.example\n{% endblock %}'
    )
    (folder / "letter.html").write_text(
        '{% extends "alertlog/letter.html" %}{% block top %}<p>{{ view.words.language }}</p>{{ super() }}{% endblock %}'
    )
    one = made(folder)
    assert one.problems == {}
    assert text_of(read(one)) == f"{parts(ours())['letter.txt']}Runbook: wiki.example\n"
    assert html_of(read(one)).replace("<p>en</p>", "", 1) == parts(ours())["letter.html"]


@pytest.mark.parametrize("block", ["top", "sections", "footer"])
@pytest.mark.parametrize("name", ["letter.txt", "letter.html"])
def test_each_block_of_alertlogs_templates_can_be_left_out(folder: Path, name: str, block: str) -> None:
    (folder / name).write_text(f'{{% extends "alertlog/{name}" %}}{{% block {block} %}}{{% endblock %}}')
    one = letter(draft("opening", incident(failure())), replace(ENGLISH, templates=str(folder)))
    assert one.problems == {}
    text = text_of(read(one)) if name == "letter.txt" else Page(html_of(read(one))).text
    assert ("/app/portfolio_etl/prices.py:91 (fetch)" in text) == (block != "top")
    assert (TRACEBACK.rstrip() in text) == (block != "sections")
    assert ("This is the first mail" in text) == (block != "footer")


def test_the_page_of_the_deployers_own_escapes_what_a_record_says(folder: Path) -> None:
    (folder / "letter.html").write_text(OWN_HTML)
    one = made(folder, message="<script>x</script> {{ 7 * 7 }}")
    assert "script" not in Page(html_of(read(one))).tags
    assert "<script>x</script> {{ 7 * 7 }}" in Page(html_of(read(one))).text


# What is wrong with them


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        (
            b"{{ view.title",
            "TemplateSyntaxError: unexpected end of template, expected 'end of print statement'. (line 1)",
        ),
        (b"one\n\n{% for %}", "TemplateSyntaxError: Expected an expression, got 'end of statement block' (line 3)"),
        (b"{{ view.titel }}", "UndefinedError: 'alertlog.view.View object' has no attribute 'titel' (line 1)"),
        (b"one\n{{ titel }}", "UndefinedError: 'titel' is undefined (line 2)"),
        (b"\n\n\n{{ 1 / 0 }}", "ZeroDivisionError: division by zero (line 4)"),
        (b"{{ view.title() }}", "TypeError: 'str' object is not callable (line 1)"),
        (b"{{ view.title | nonsense }}", "No filter named 'nonsense'. (line 1)"),
        (b'{% include "elsewhere.txt" %}', "TemplateNotFound: "),
        (b'{% include "../secret" %}', "TemplateNotFound: "),
        (b"caf\xe9", "UnicodeDecodeError: "),
        (b'{{ "\\ud800" }}', "UnicodeEncodeError: "),
        (b"", " says nothing"),
        (b"{# {{ view.title }} #} \n", " says nothing"),
    ],
)
@pytest.mark.parametrize("name", ["letter.txt", "letter.html"])
def test_a_broken_template_gives_way_to_alertlogs_and_says_what_is_wrong_where(
    folder: Path, name: str, source: bytes, problem: str
) -> None:
    (folder / name).write_bytes(source)
    one = made(folder)
    assert list(one.problems) == [name]
    assert problem in one.problems[name]
    assert len(one.problems[name]) < PROBLEM_LIMIT + 20
    assert "\n" not in one.problems[name]
    assert one.content == ours().content


def test_a_template_that_includes_itself_without_end_is_broken_too(folder: Path) -> None:
    (folder / "letter.txt").write_text('{% include "letter.txt" %}')
    one = made(folder)
    assert one.problems["letter.txt"].startswith("RecursionError: ")
    assert one.content == ours().content


def test_a_folder_that_is_not_there_or_holds_neither_template_is_a_problem_of_both(folder: Path) -> None:
    (folder / "letter.htm").write_text("misnamed")
    for place in (folder, folder / "elsewhere", folder / "letter.htm"):
        one = made(place)
        problem = f"FileNotFoundError: {place} holds neither letter.txt nor letter.html"
        assert one.problems == {"letter.txt": problem, "letter.html": problem}
        assert one.content == ours().content


def test_what_cannot_be_read_is_a_problem(folder: Path) -> None:
    (folder / "letter.txt").mkdir()
    os.symlink("letter.html", folder / "letter.html")
    one = made(folder)
    assert one.content == ours().content
    assert sorted(one.problems) == ["letter.html", "letter.txt"]


def test_a_template_that_is_repaired_is_used_for_the_next_letter(folder: Path) -> None:
    template = folder / "letter.txt"
    template.write_text("{{ nothing }}")
    assert list(made(folder).problems) == ["letter.txt"]
    template.write_text("mine\n")
    os.utime(template, (1.0, 1.0))  # whatever the clock's grain
    assert text_of(read(made(folder))) == "mine\n"
    assert made(folder).problems == {}


def test_whatever_a_template_writes_the_wire_is_clean(folder: Path) -> None:
    (folder / "letter.txt").write_text('{{ "From here\\r\\none\\rtwo\\x00\\u2028 é" }}\n.\n' + "x" * 2_000, "utf-8")
    one = made(folder)
    check_wire(one.content)
    assert text_of(read(one)).startswith("From here\none\ntwo\x00\u2028 é\n.\nxxx")


def test_a_page_that_is_too_long_is_laid_out_with_less(folder: Path) -> None:
    (folder / "letter.html").write_text("{% for section in view.sections %}<pre>{{ section.text }}</pre>{% endfor %}")
    long = failure()._replace(traceback="<" * 60_000)
    one = letter(draft("opening", incident(long)), replace(ENGLISH, templates=str(folder)))
    assert one.problems == {}
    assert len(html_of(read(one))) <= 100_000
    assert "characters left out" in html_of(read(one))


# Who writes


def test_those_who_answer_write_to_whom_the_deployer_named() -> None:
    mail = read(letter(wording=replace(ENGLISH, reply_to=(letter_box("ops"), letter_box("anna")))))
    assert str(mail["Reply-To"]) == "Ops Team <ops@example.org>, Anna Team <anna@example.org>"
    assert "Reply-To" not in read(letter())


def letter_box(name: str) -> Mailbox:
    return Mailbox(f"{name}@example.org", f"{name.title()} Team")


@pytest.mark.parametrize("made_of", sorted(samples()))
def test_the_environment_stands_beside_the_service(made_of: str) -> None:
    mail = read(letter(samples()[made_of], replace(ENGLISH, environment="pre\r\nproduction")))
    for part in (text_of(mail), Page(html_of(mail)).text):
        assert "portfolio-etl (pre production)" in part
        assert ("pre production" in part.partition("Where and when")[2]) == (made_of not in ("digest", "repaired"))


def test_the_environment_can_stand_in_a_subject() -> None:
    wording = Wording("etl", "[{service} {environment}] {summary}", environment="staging")
    assert read(letter(wording=wording))["Subject"] == "[etl staging] Quota used: 980 of 1000"


@pytest.mark.parametrize("made", [draft("opening"), draft("digest", repeated(), incident(failure()))])
def test_the_host_that_sends_is_named_last_and_those_of_the_alerts_first(made: Draft) -> None:
    text = text_of(read(letter(made, replace(ENGLISH, host="vps2", handler="alerts"))))
    top, _, footer = text.partition("-- \n")
    assert "Sent by alertlog for portfolio-etl on vps2, handler alerts" in footer
    assert "vps1.example.org" in top
    assert "vps2" not in top
