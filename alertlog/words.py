"""What a letter says in English or in French, with dates and numbers as people there write them.

The translations are a gettext catalogue, whose keys are the English texts. A text's own placeholders are filled in
by `str.format`, which never looks into the values.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from gettext import GNUTranslations, NullTranslations
from importlib.resources import files
from typing import Literal

Language = Literal["en", "fr"]

_DASH = "\N{EN DASH}"
_LONGEST = 3.2e9
"""Seconds, a century: the longest duration that is written out."""
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
_RATES = (
    (1, "about {n} per second"),
    (60, "about {n} per minute"),
    (3_600, "about {n} per hour"),
    (86_400, "about {n} per day"),
)


@dataclass(frozen=True, slots=True)
class Words:
    """One language.

    Attributes:
        language: its tag, for `lang` in HTML.
        months: their names, January first.
        first_day: how the first day of a month is written.
        group: what stands between groups of three digits.
        point: the decimal separator.
        translations: by English text, the text in this language.
    """

    language: Language
    months: tuple[str, ...]
    first_day: str
    group: str
    point: str
    translations: NullTranslations

    def say(self, text: str, /, **values: str) -> str:
        """Return the text in this language, with its placeholders filled in."""
        return self.translations.gettext(text).format(**values)

    def plural(self, one: str, many: str, number: int) -> str:
        """Return the form that goes with the number, which stands in it as `{n}`."""
        return self.translations.ngettext(one, many, number).format(n=self.number(number))

    def number(self, number: int) -> str:
        return f"{number:,}".replace(",", self.group)

    def moment(self, seconds: float) -> str:
        """Return a date and time with the machine's time zone; `seconds` is a Unix time."""
        when = local_time(seconds)
        return f"{self._day(when)} {when:%H:%M:%S} {when.tzname()}"

    def time(self, seconds: float, *, beside: float) -> str:
        """Return a time to the millisecond, with the day where it is another one than that of the moment `beside`."""
        when = local_time(seconds)
        clock = f"{when:%H:%M:%S}{self.point}{when.microsecond // 1000:03}"
        return clock if when.date() == local_time(beside).date() else f"{self._day(when)} {clock}"

    def span(self, first: float, last: float) -> str:
        """Return two moments, the day and the time zone only once where they are the same."""
        return self.moment(first) if first == last else f" {_DASH} ".join(self.moments(first, last))

    def moments(self, first: float, last: float) -> tuple[str, str]:
        """Return two moments to be named together, likewise."""
        begin, end = local_time(first), local_time(last)
        if (begin.date(), begin.utcoffset()) != (end.date(), end.utcoffset()):
            return self.moment(first), self.moment(last)
        return f"{self._day(begin)} {begin:%H:%M:%S}", f"{end:%H:%M:%S} {end.tzname()}"

    def _day(self, when: datetime) -> str:
        day = self.first_day if when.day == 1 else str(when.day)
        return f"{day} {self.months[when.month - 1]} {when.year}"

    def duration(self, seconds: float) -> str:
        """Return the two largest units of it, such as `2 h 5 min`."""
        left = round(min(max(0.0, seconds), _LONGEST))
        parts: list[tuple[int, str]] = []
        for size, unit in _UNITS:
            amount, left = divmod(left, size)
            if amount or parts:
                parts.append((amount, unit))
        shown = [f"{self.number(amount)} {self.say(unit)}" for amount, unit in parts[:2] if amount]
        return " ".join(shown) or f"0 {self.say('s')}"

    def rate(self, number: int, seconds: float) -> str:
        """Return how often `number` events came within `seconds`: `about 12 per minute`, or "" if few."""
        if number < 2 or not 1 <= seconds <= _LONGEST:
            return ""
        size, text = next((unit for unit in _RATES if number * unit[0] >= seconds), _RATES[-1])
        value = number * size / seconds
        return self.say(text, n=self.number(round(value)) if value >= 10 else self._decimal(value))

    def _decimal(self, value: float) -> str:
        return f"{value:.1f}".removesuffix(".0").replace(".", self.point)

    def cut(self, text: str, limit: int) -> str:
        """Return the text, or its two ends, `limit` characters in all, with a note of what is left out."""
        if len(text) <= limit:
            return text
        head = limit // 2
        tail = limit - head
        left_out, size = self.number(len(text) - limit), self.number(len(text))
        note = self.say("[... {n} of {size} characters left out ...]", n=left_out, size=size)
        return f"{text[:head]}\n{note}\n{text[-tail:]}"


def local_time(seconds: float) -> datetime:
    """Return a Unix time in the machine's time zone; what no calendar holds becomes the epoch."""
    try:
        return datetime.fromtimestamp(seconds).astimezone()
    except (OverflowError, ValueError, OSError):
        return datetime.fromtimestamp(0, UTC)


ENGLISH = Words(
    "en",
    (
        *("January", "February", "March", "April", "May", "June", "July"),
        *("August", "September", "October", "November", "December"),
    ),
    first_day="1",
    group=",",
    point=".",
    translations=NullTranslations(),
)


def words_in(language: Language) -> Words:
    return ENGLISH if language == "en" else _french()


@cache
def _french() -> Words:
    with files("alertlog").joinpath("locale", "fr", "LC_MESSAGES", "alertlog.mo").open("rb") as catalogue:
        translations = GNUTranslations(catalogue)
    return Words(
        "fr",
        (
            *("janvier", "février", "mars", "avril", "mai", "juin", "juillet"),
            *("août", "septembre", "octobre", "novembre", "décembre"),
        ),
        first_day="1er",
        group="\N{NARROW NO-BREAK SPACE}",
        point=",",
        translations=translations,
    )
