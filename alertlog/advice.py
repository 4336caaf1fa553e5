"""Tables of mistakes: the first row that fits what a check saw says what is wrong and what to change."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Seen:
    """What a step of a check met.

    Attributes:
        at: the step, as the tables of mistakes name it.
        text: what was said of it, by the server or by the library.
        code: the server's reply code, if it replied.
        marks: what else is known, each in a word or two.
        words: what the texts of the table are filled with, by name.
    """

    at: str
    text: str = ""
    code: int | None = None
    marks: frozenset[str] = frozenset()
    words: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Advice:
    """A mistake that was recognised.

    Attributes:
        mistake: its name, as the documentation lists it.
        cause: what is wrong.
        change: what to change.
    """

    mistake: str
    cause: str
    change: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of a table: it fits if all that it names is there.

    Attributes:
        cause, change: with `{name}` where one of the words that were seen belongs.
        said: a pattern to be found in the text, whatever its case.
        marks: all of them have to be there.
        codes: one of them has to be the reply's; 5 stands for any from 500 to 599.
    """

    mistake: str
    at: str
    cause: str
    change: str
    said: str = ""
    marks: tuple[str, ...] = ()
    codes: tuple[int, ...] = ()

    def fits(self, seen: Seen) -> bool:
        return (
            self.at == seen.at
            and seen.marks.issuperset(self.marks)
            and (not self.codes or any(code in self.codes for code in (seen.code, (seen.code or 0) // 100)))
            and re.search(self.said, seen.text, re.IGNORECASE) is not None
        )


def advise(seen: Seen, table: Iterable[Rule]) -> tuple[Advice, ...]:
    """Return the advice of the first rule that fits, nothing if there is none."""
    for rule in table:
        if rule.fits(seen):
            return (Advice(rule.mistake, rule.cause.format_map(seen.words), rule.change.format_map(seen.words)),)
    return ()
