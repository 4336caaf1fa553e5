"""Other programs than Python's own understand a letter: a mail reader in C, and a checker of HTML."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from alertlog.headers import visible
from alertlog.letter import Letter, Wording, compose
from alertlog.mailbox import Mailbox
from tests.letters import (
    ENGLISH,
    FRENCH,
    MOMENT,
    RECIPIENTS,
    alert,
    draft,
    html_of,
    in_paris,
    incident,
    letter,
    read,
    samples,
    text_of,
)
from tests.needs import lacking

PATIENCE = 60.0
"""Seconds after which another program hangs."""
DELIBERATE = '<td> attribute "align" not allowed for HTML5'
"""What a checker says of the one way to centre a page that Outlook understands."""
TEXTS = {
    "a second header": "Quota\r\nBcc: eve@example.org\r\n\r\n<b>body</b>",
    "an encoded word": "=?utf-8?q?=0ABcc:_eve=40example.org?= =?broken?=",
    "many scripts": "épuisé 額度用完 " + "ليل " * 40 + "\N{MAN}\N{ZERO WIDTH JOINER}\N{PERSONAL COMPUTER}",
    "what can't be seen": "a\x00b\x1b[31mc\u202edcba\u2066\u200b\ufeff\ud800\udfff end",
    "the ends of lines": "one\n.\n..\nFrom here\n--\n-- \n--=_0\nlast=\n=3D\t\ttabs  ",
    "markup": "<script>alert(1)</script>&lt;&amp;]]>--><!--{{ 7 * 7 }}{% raw %}\"'",
    "a long word": "x" * 5_000,
}
BY_TEXT = pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())


@pytest.fixture(autouse=True)
def paris() -> Iterator[None]:
    with in_paris():
        yield


def hostile(text: str) -> Letter:
    """A letter with a text wherever a record, or its program, can put one."""
    told = alert(
        message=text,
        kind=text,
        logger=text,
        host=text,
        extras=(("note", f"[{text}]"),),
        traceback=f"Traceback\n{text}\nValueError: end",
        context=((MOMENT, "INFO", "etl", text),),
    )
    wording = replace(ENGLISH, service=text, subject="{message}", subjects={}, reply_to=(Mailbox("a@x.org", "Ops"),))
    return compose(draft("opening", incident(told)), wording, Mailbox("etl@example.org", text), RECIPIENTS)


# mblaze


class Reader:
    """What the tools of mblaze read in a letter."""

    def __init__(self, made: Letter, folder: Path) -> None:
        if shutil.which("mshow") is None:
            lacking("mblaze", "mshow is not installed")
        self._file = folder / "letter.eml"
        self._file.write_bytes(made.content)

    def _run(self, *command: str) -> str:
        done = subprocess.run(command, capture_output=True, check=True, timeout=PATIENCE)
        assert done.stderr == b""
        return done.stdout.decode()

    def header(self, name: str) -> list[str]:
        """The decoded values of all headers of that name."""
        return self._run("mhdr", "-d", "-M", "-h", name, str(self._file)).splitlines()

    def addresses(self, name: str) -> list[str]:
        """Without decoding first: addresses are to be found before encoded words are looked into (RFC 2047 6.2)."""
        return self._run("mhdr", "-A", "-h", name, str(self._file)).splitlines()

    @property
    def names(self) -> list[str]:
        lines = self._run("mhdr", str(self._file)).splitlines()
        return [line.partition(":")[0].lower() for line in lines]

    @property
    def structure(self) -> list[str]:
        """The media types of its parts, from the outermost on."""
        return [line.split()[1] for line in self._run("mshow", "-t", str(self._file)).splitlines()[1:]]

    def part(self, number: int) -> str:
        return self._run("mshow", "-O", str(self._file), str(number)).replace("\r\n", "\n")


@pytest.mark.parametrize("name", sorted(samples()))
def test_another_reader_sees_the_parts_and_the_subject_that_python_sees(name: str, tmp_path: Path) -> None:
    made = letter(samples()[name], FRENCH)
    mail, reader = read(made), Reader(made, tmp_path)
    assert reader.structure == ["multipart/alternative", "text/plain", "text/html"]
    assert (reader.part(2), reader.part(3)) == (text_of(mail), html_of(mail))
    assert reader.header("subject") == [mail["Subject"]]
    assert reader.header("x-alertlog-fingerprint") == mail.get_all("X-Alertlog-Fingerprint")
    assert reader.addresses("to") == ["Ops on call <ops@example.org>", "anna@example.org"]


@BY_TEXT
def test_hostile_text_makes_no_header_and_no_part_for_another_reader(text: str, tmp_path: Path) -> None:
    made = hostile(text)
    mail, reader = read(made), Reader(made, tmp_path)
    assert sorted(reader.names) == sorted(name.lower() for name in mail.keys())  # noqa: SIM118 -- each as often as it is there
    assert "bcc" not in reader.names
    assert reader.structure == ["multipart/alternative", "text/plain", "text/html"]
    assert (reader.part(2), reader.part(3)) == (text_of(mail), html_of(mail))
    assert visible(text) in reader.part(2)
    assert [" ".join(line.split()) for line in reader.header("subject")] == [" ".join(str(mail["Subject"]).split())]
    assert reader.addresses("from")[0].endswith("<etl@example.org>")
    assert reader.addresses("reply-to") == ["Ops <a@x.org>"]


# Tidy


def check(html: str) -> None:
    if shutil.which("tidy") is None:
        lacking("tidy", "it is not installed")
    command = ["tidy", "-errors", "-quiet", "-utf8", "--warn-proprietary-attributes", "yes"]
    done = subprocess.run(command, input=html.encode(), capture_output=True, timeout=PATIENCE)
    said = done.stderr.decode().splitlines()
    assert [line for line in said if not line.endswith(DELIBERATE)] == []
    assert len(said) == 1


@pytest.mark.parametrize("wording", [ENGLISH, FRENCH], ids=["en", "fr"])
@pytest.mark.parametrize("name", sorted(samples()))
def test_a_checker_finds_no_fault_in_a_page(name: str, wording: Wording) -> None:
    check(html_of(read(letter(samples()[name], wording))))


@BY_TEXT
def test_hostile_text_makes_no_fault_in_a_page(text: str) -> None:
    check(html_of(read(hostile(text))))


def test_the_checker_finds_faults() -> None:
    html = html_of(read(letter()))
    with pytest.raises(AssertionError):
        check(html.replace("</h1>", ""))
    with pytest.raises(AssertionError):
        check(html.replace("<h1", "<h1 nonsense=1"))
