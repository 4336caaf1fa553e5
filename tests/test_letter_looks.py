"""The page can be read by everybody: enough contrast, light and dark, and nothing loaded from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from tests.letters import FRENCH, alert, draft, html_of, in_paris, incident, letter, read, samples, text_of

AA = 4.5
"""The least contrast of a text with what is behind it (WCAG 2.1, 1.4.3)."""
WIDTH = 78
VOID = ("meta", "link", "br", "img", "input", "hr")
COLOUR = re.compile(r"(?<![-\w])(background-color|color)\s*:\s*(#[0-9a-f]{6})")
RULE = re.compile(r"\.([\w-]+) \{([^}]*)\}")
PAGES = {
    **samples(),
    **{f"level {level}": draft("opening", incident(alert(level=level))) for level in (20, 30, 40, 50)},
    "muted": draft(
        "digest", *(incident(level=level, mute_until=1.0) for level in (20, 30, 40, 50)), incident(resolved=True)
    ),
}


@pytest.fixture(autouse=True)
def paris() -> Iterator[None]:
    with in_paris():
        yield


class Painter(HTMLParser):
    """Works out the colours of each text: its own or inherited ones, and those of the dark style sheet over them."""

    def __init__(self, html: str, dark: dict[str, dict[str, str]]) -> None:
        super().__init__()
        self.painted: list[tuple[str, str, str]] = []
        self._dark = dark
        self._stack: list[tuple[str, dict[str, str]]] = [("", {"color": "#000000", "background-color": "#ffffff"})]
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        colours = dict(self._stack[-1][1])
        colours.update(COLOUR.findall(named.get("style") or ""))
        for name in (named.get("class") or "").split():
            colours.update(self._dark.get(name, {}))
        if tag not in VOID:
            self._stack.append((tag, colours))

    def handle_endtag(self, tag: str) -> None:
        opened, _colours = self._stack.pop()
        assert opened == tag, "each element is closed in its turn"

    def handle_data(self, data: str) -> None:
        tag, colours = self._stack[-1]
        if data.strip() and tag not in ("style", "title"):
            self.painted.append((data.strip(), colours["color"], colours["background-color"]))


def dark_rules(html: str) -> dict[str, dict[str, str]]:
    sheet = html.partition("@media (prefers-color-scheme: dark)")[2].partition("</style>")[0]
    return {name: dict(COLOUR.findall(body)) for name, body in RULE.findall(sheet)}


def contrast(one: str, other: str) -> float:
    """Return the ratio of two colours' relative luminances (WCAG 2.1)."""

    def luminance(colour: str) -> float:
        parts = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def page(name: str) -> str:
    return html_of(read(letter(PAGES[name])))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", sorted(PAGES))
def test_each_text_stands_out_from_what_is_behind_it(name: str, scheme: str) -> None:
    html = page(name)
    painted = Painter(html, dark_rules(html) if scheme == "dark" else {}).painted
    assert len(painted) > 10
    assert [text for text in painted if contrast(text[1], text[2]) < AA] == []


def test_the_contrast_of_known_colours_is_what_it_is_said_to_be() -> None:
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("name", sorted(PAGES))
def test_the_dark_page_is_dark_and_leaves_no_light_ground(name: str) -> None:
    html = page(name)
    grounds = {ground for _text, _colour, ground in Painter(html, dark_rules(html)).painted}
    assert [ground for ground in grounds - {"#f2f4f7"} if contrast(ground, "#ffffff") < AA] == []
    assert "#f2f4f7" not in grounds


@pytest.mark.parametrize("name", sorted(PAGES))
def test_each_class_has_a_rule_and_each_rule_may_override_what_is_inline(name: str) -> None:
    html = page(name)
    sheet = html.partition("<style>")[2].partition("</style>")[0]
    rules = {rule for rule, _body in RULE.findall(sheet)}
    used = {word for classes in re.findall(r'class="([^"]*)"', html) for word in classes.split()}
    assert used <= rules
    assert all("!important" in line for _rule, body in RULE.findall(sheet) for line in body.split(";") if line.strip())


@pytest.mark.parametrize("name", sorted(PAGES))
def test_a_page_loads_nothing_from_elsewhere(name: str) -> None:
    html = page(name)
    assert not re.search(r"url\(|@import|<(?:img|script|link|iframe|object|form)\b|\b(?:src|href|action)=", html)


@pytest.mark.parametrize("name", sorted(PAGES))
def test_headings_come_in_their_order(name: str) -> None:
    headings = re.findall(r"<h([1-6])", page(name))
    assert headings[0] == "1"
    assert set(headings[1:]) == {"2"}


@pytest.mark.parametrize("name", sorted(samples()))
def test_the_first_words_of_a_page_tell_what_a_phone_shows_before_it_is_opened(name: str) -> None:
    html = page(name)
    preheader = html.partition("<body")[2].partition("</div>")[0]
    assert "display:none" in preheader
    assert "portfolio-etl" in preheader
    assert "25 November 2026" in preheader


@pytest.mark.parametrize("name", sorted(PAGES))
def test_our_own_words_keep_within_78_columns(name: str) -> None:
    for wording in (FRENCH, replace(FRENCH, language="en", handler="h" * 50)):
        text = text_of(read(letter(PAGES[name], wording)))
        assert [line for line in text.splitlines() if len(line) > WIDTH] == []


def test_a_long_title_is_flowed() -> None:
    long = alert(message="many words " * 30)
    for made in (draft("opening", incident(long)), draft("digest", incident(long))):
        top = text_of(read(letter(made))).partition("Message\n")[0]
        assert [line for line in top.splitlines() if len(line) > WIDTH] == []
