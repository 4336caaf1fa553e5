"""Both languages are complete, and write numbers and times as people do."""

from __future__ import annotations

import ast
import inspect
import re
import shutil
import string
import subprocess
from collections.abc import Iterator
from gettext import GNUTranslations
from io import BytesIO
from pathlib import Path
from types import ModuleType

import pytest

from alertlog import evidence, footer, letter, report, shortening, view, words
from alertlog.words import ENGLISH, words_in
from tests import catalogues
from tests.letters import MOMENT, in_paris
from tests.needs import lacking

FRENCH = words_in("fr")
MODULES = (view, evidence, report, footer, letter, shortening, words)
TEMPLATES = Path(words.__file__).with_name("templates")

NARROW = "\N{NARROW NO-BREAK SPACE}"
SAYS = {"say", "plural", "_unless_empty", "_samples"}


@pytest.fixture(autouse=True)
def paris() -> Iterator[None]:
    with in_paris():
        yield


def constants(module: ModuleType) -> set[str]:
    tree = ast.parse(inspect.getsource(module))
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def said(module: ModuleType) -> set[str]:
    """Return the literal texts that a module asks to be said, and those with a number, whoever says them."""
    tree = ast.parse(inspect.getsource(module))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    asked = {
        argument.value
        for call in calls
        if isinstance(call.func, ast.Attribute | ast.Name)
        and (call.func.attr if isinstance(call.func, ast.Attribute) else call.func.id) in SAYS
        for argument in call.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    }
    return asked | {text for text in constants(module) if "{n}" in text and "`{n}`" not in text}


def test_the_catalogue_has_each_text_that_is_said_and_no_other() -> None:
    texts = {text for module in MODULES for text in said(module)}
    texts |= set(footer._REASONS.values()) | set(footer._CAUSES.values()) | {footer._OLDER, footer._HELD_BACK}
    texts |= set(report._BADGES.values()) | {report._TEST, report._FOLDED, report._MUTED, report._MUTED_FOR_DAYS}
    texts |= {footer._DELAYED, footer._MUTED, shortening._NOTE, report._ENDED}
    texts |= {unit for _size, unit in words._UNITS} | {text for _size, text in words._RATES}
    texts |= {text for template in TEMPLATES.iterdir() for text in re.findall(r'say\("([^"]+)"', template.read_text())}
    (source,) = catalogues.sources()
    messages = catalogues.read(source)[1:]
    assert {message.text for message in messages} | {message.plural for message in messages} - {""} == texts
    assert len(messages) == len({message.text for message in messages})


def test_each_text_with_a_number_is_said_in_the_plural_that_the_catalogue_has() -> None:
    (source,) = catalogues.sources()
    numbered = {text for module in MODULES for text in constants(module) if text.startswith("{n} ")}
    for message in catalogues.read(source):
        assert len(message.translations) == (2 if message.plural else 1)
        assert not message.plural or {message.text, message.plural} <= numbered
        assert all(message.translations)


def test_both_languages_have_the_same_placeholders() -> None:
    def names(text: str) -> set[str | None]:
        return {name for _literal, name, _spec, _conversion in string.Formatter().parse(text)} - {None}

    (source,) = catalogues.sources()
    for message in catalogues.read(source)[1:]:
        assert {frozenset(names(text)) for text in message.translations} == {frozenset(names(message.text))}


def test_french_punctuation_is_tied_to_its_word() -> None:
    (source,) = catalogues.sources()
    french = [text for message in catalogues.read(source)[1:] for text in message.translations]
    assert [
        text for text in french if re.search(r" [:;!?]|[^\N{NO-BREAK SPACE}]:|[^\N{NARROW NO-BREAK SPACE}];", text)
    ] == []
    assert FRENCH.say("Fingerprint: {fingerprint}", fingerprint="1") == "Empreinte\N{NO-BREAK SPACE}: 1"


@pytest.mark.parametrize("source", catalogues.sources(), ids=["fr"])
def test_the_compiled_catalogue_is_made_of_its_source(source: Path) -> None:
    assert source.with_suffix(".mo").read_bytes() == catalogues.compiled(catalogues.read(source))


@pytest.mark.parametrize("source", catalogues.sources(), ids=["fr"])
def test_gnu_gettext_finds_no_fault_in_a_catalogue_and_makes_the_same_of_it(source: Path) -> None:
    if shutil.which("msgfmt") is None:
        lacking("gettext", "msgfmt is not installed")
    command = ["msgfmt", "--check-format", "--check-domain", "--output-file=-", str(source)]
    made = subprocess.run(command, capture_output=True, check=True, timeout=60)
    assert made.stderr == b""
    theirs, ours = (GNUTranslations(BytesIO(data)) for data in (made.stdout, source.with_suffix(".mo").read_bytes()))
    assert theirs.info() == ours.info()
    for message in catalogues.read(source)[1:]:
        for number in (0, 1, 2):
            one, many = message.text, message.plural
            assert theirs.gettext(one) == ours.gettext(one) == message.translations[0]
            assert not many or theirs.ngettext(one, many, number) == ours.ngettext(one, many, number)


@pytest.mark.parametrize("line", ['msgid "a" "b"', "msgid", 'msgid "a"\nmsgid "b"', '"a"', 'msgid "a\nmsgstr "b"'])
def test_a_source_that_is_none_is_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "x.po").write_text(f"{line}\n")
    with pytest.raises(ValueError, match="not understood"):
        catalogues.read(tmp_path / "x.po")


def test_values_are_never_filled_in_again() -> None:
    assert ENGLISH.say("Fingerprint: {fingerprint}", fingerprint="{n} {0.x}") == "Fingerprint: {n} {0.x}"


@pytest.mark.parametrize(
    ("number", "english", "french"),
    [(0, "0", "0"), (999, "999", "999"), (1_234_567, "1,234,567", f"1{NARROW}234{NARROW}567")],
)
def test_numbers_are_grouped_by_three(number: int, english: str, french: str) -> None:
    assert (ENGLISH.number(number), FRENCH.number(number)) == (english, french)


@pytest.mark.parametrize(
    ("number", "english", "french"),
    [(0, "0 alerts", "0 alerte"), (1, "1 alert", "1 alerte"), (2, "2 alerts", "2 alertes")],
)
def test_each_language_has_its_own_plural(number: int, english: str, french: str) -> None:
    forms = "{n} alert", "{n} alerts"
    assert (ENGLISH.plural(*forms, number), FRENCH.plural(*forms, number)) == (english, french)


def test_a_moment_has_its_time_zone() -> None:
    assert ENGLISH.moment(MOMENT) == "25 November 2026 03:12:07 CET"
    assert FRENCH.moment(MOMENT) == "25 novembre 2026 03:12:07 CET"
    assert FRENCH.moment(MOMENT + 6 * 86_400) == "1er décembre 2026 03:12:07 CET"


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -1e300, 1e18])
def test_a_moment_that_no_calendar_holds_is_shown_as_the_epoch(seconds: float) -> None:
    assert ENGLISH.moment(seconds) == "1 January 1970 00:00:00 UTC"


def test_a_time_has_milliseconds_and_the_day_only_where_it_is_another_one() -> None:
    assert ENGLISH.time(MOMENT + 0.0625, beside=MOMENT) == "03:12:07.062"
    assert FRENCH.time(MOMENT + 0.5, beside=MOMENT + 3_600) == "03:12:07,500"
    assert FRENCH.time(MOMENT - 86_400, beside=MOMENT) == "24 novembre 2026 03:12:07,000"


def test_a_span_names_day_and_zone_once_where_they_are_the_same() -> None:
    summer_ends = 1_792_889_999.0
    assert ENGLISH.span(MOMENT, MOMENT) == "25 November 2026 03:12:07 CET"
    assert ENGLISH.span(MOMENT, MOMENT + 60) == "25 November 2026 03:12:07 \N{EN DASH} 03:13:07 CET"
    assert ENGLISH.span(MOMENT, MOMENT + 86_400) == (
        "25 November 2026 03:12:07 CET \N{EN DASH} 26 November 2026 03:12:07 CET"
    )
    assert ENGLISH.span(summer_ends, summer_ends + 1) == (
        "25 October 2026 02:59:59 CEST \N{EN DASH} 25 October 2026 02:00:00 CET"
    )


@pytest.mark.parametrize(
    ("seconds", "english", "french"),
    [
        (-5, "0 s", "0 s"),
        (float("nan"), "0 s", "0 s"),
        (59, "59 s", "59 s"),
        (60, "1 min", "1 min"),
        (7_500, "2 h 5 min", "2 h 5 min"),
        (3_605, "1 h", "1 h"),
        (187_200, "2 d 4 h", "2 j 4 h"),
        (1e300, "37,037 d", f"37{NARROW}037 j"),
    ],
)
def test_a_duration_has_its_two_largest_units(seconds: float, english: str, french: str) -> None:
    assert ENGLISH.duration(seconds).startswith(english)
    assert FRENCH.duration(seconds).startswith(french)


@pytest.mark.parametrize(
    ("number", "seconds", "french"),
    [
        (1, 60, ""),
        (5, 0.5, ""),
        (5, float("nan"), ""),
        (5, float("inf"), ""),
        (50_000, 10, f"environ 5{NARROW}000 par seconde"),
        (5, 2, "environ 2,5 par seconde"),
        (37, 190, "environ 12 par minute"),
        (2, 3_600, "environ 2 par heure"),
        (3, 86_400 * 2, "environ 1,5 par jour"),
        (2, 86_400 * 20, "environ 0,1 par jour"),
    ],
)
def test_a_rate_uses_the_unit_in_which_it_is_a_handy_number(number: int, seconds: float, french: str) -> None:
    assert FRENCH.rate(number, seconds) == french


def test_what_is_cut_keeps_both_ends_and_says_how_much_is_gone() -> None:
    assert ENGLISH.cut("abcdef", 6) == "abcdef"
    assert ENGLISH.cut("ab" + "-" * 2_000 + "yz", 4) == "ab\n[... 2,000 of 2,004 characters left out ...]\nyz"


def test_a_language_is_found_by_its_tag() -> None:
    assert words_in("en") is ENGLISH
    assert words_in("fr") is FRENCH
