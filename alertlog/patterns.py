"""The deployer's own patterns of secrets: which ones are fit to run on any text, on the thread that logs.

Python's regular expressions know no time limit and hold the interpreter's lock while they search. So a search never
looks at more than a window of the text at once, and two sorts of patterns are refused when logging is configured: those
that repeat a group which can match one text in many ways, and those that are slow on one character, many times over.
That finds the usual mistakes, adjacent repeats such as `.*.*secret` among them. It is no proof: a pattern that is slow
only behind a beginning of its own, as in `key=.*.*.*z`, passes.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass

WINDOW = 2_048
"""Characters searched in one go."""
OVERLAP = 512
"""Characters that two windows share: what is longer may not be found whole in a long text."""
LONGEST = 1_000
"""Characters of a pattern."""
MOST_WAYS = 10_000
"""Ways in which one repeated group may match the same text."""
SLOW = 0.1
"""Seconds of processor time for one search through a window. A single repeat, as in `\\w+@`, starts anew at each
character and takes a fifth of that; two that can share a text take hundreds of times as much."""

_PLAIN = "Quota used up: no price for SHOP.TO at 03:12, job 4711 of nightly_import (42 %)"
"""A text without a secret."""
_PROBES = "a0 .-@/="
"""Characters of which a long row nearly matches what repeats too much."""
_TOKEN = re.compile(
    r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\(\?#[^)]*\)|\((?:\?(?:P<\w+>|<?[=!]|>|[aiLmsux-]*[:)]|P=\w+\)|\(\w+\)))?"
    r"|(?:[*+?]|\{[0-9]*(?:,[0-9]*)?\})[?+]?|.",
    re.DOTALL,
)
_REPEAT = re.compile(r"(?:([*+?])|\{(?!\})([0-9]*)(?:(,)([0-9]*))?\})([?+]?)")
_ATOMIC = frozenset(("(?>", "(?=", "(?!", "(?<=", "(?<!"))
_BOUNDS = {"*": (0.0, math.inf), "+": (1.0, math.inf), "?": (0.0, 1.0)}


def checked(text: str) -> re.Pattern[str]:
    """Return a pattern, compiled.

    Raises:
        ValueError: it is none, finds no secret, finds one everywhere, repeats what can match in too many ways, or is
            slow on one of the probes. The pattern is not in it.
    """
    if len(text) > LONGEST:
        raise ValueError(f"is longer than {LONGEST:,} characters")
    try:
        pattern = re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        position = getattr(error, "pos", None)
        raise ValueError(
            "is no regular expression" + (f" (character {position + 1})" if position is not None else "")
        ) from None
    if re.search(r"\(\?[aiLmsu-]*x", text):
        raise ValueError("is written with (?x), which is not understood here")
    if _is_ruinous(text):
        raise ValueError(
            "repeats a group that can match the same text in many ways, which can take for ever; make it possessive,"
            " as in (?:a+b)*+"
        )
    if pattern.search("") is not None:
        raise ValueError("matches nothing at all, and so would mark every place of a text")
    if 2 * sum(map(str.isalnum, pattern.sub("", _PLAIN))) < sum(map(str.isalnum, _PLAIN)):
        raise ValueError("matches any text, and so would leave none")
    if _is_slow(pattern):
        raise ValueError("takes too long on a text that nearly matches; make its repeats possessive, as in \\w++")
    return pattern


def spans(pattern: re.Pattern[str], text: str) -> Iterator[tuple[int, int]]:
    """Yield what the pattern finds, in bounded work for any text."""
    for start in range(0, max(1, len(text) - OVERLAP), WINDOW - OVERLAP):
        for match in pattern.finditer(text, start, start + WINDOW):
            if match.end() > match.start():
                yield match.span()


def _is_slow(pattern: re.Pattern[str]) -> bool:
    """Whether a search through a row of one character is slow, up to a window of them."""
    size = 0
    while size < WINDOW:
        # By small steps: where the time is exponential, the next one must not take for ever itself.
        size = min(WINDOW, size + 1 + size // 4)
        for probe in _PROBES:
            # Twice, as a busy machine can make one search slow.
            if all(_seconds(pattern, probe * size) > SLOW for _ in range(2)):
                return True
    return False


def _seconds(pattern: re.Pattern[str], text: str) -> float:
    """Return the processor time of this thread that it takes to find all there is."""
    begin = time.thread_time()
    for _match in pattern.finditer(text):
        pass
    return time.thread_time() - begin


@dataclass(slots=True)
class _Group:
    """In how many ways a part of a pattern can match one text: a product over its items, a sum over alternatives."""

    atomic: bool = False
    before: float = 0.0
    ways: float = 1.0
    item: float = 1.0

    def add(self, ways: float) -> None:
        self.ways *= self.item
        self.item = ways

    def begin_alternative(self) -> None:
        self.before += self.ways * self.item
        self.ways = self.item = 1.0

    def total(self) -> float:
        return 1.0 if self.atomic else self.before + self.ways * self.item


def _is_ruinous(text: str) -> bool:
    """Whether a group is repeated that can match one text in many ways. To be asked of what compiles only."""
    groups = [_Group()]
    for token in _TOKEN.findall(text):
        repeat = _REPEAT.fullmatch(token)
        if token.startswith("(") and (token.startswith("(?(") or not token.endswith(")")):
            groups.append(_Group(token in _ATOMIC))
        elif token == ")":
            ways = groups.pop().total()
            groups[-1].add(ways)
        elif token == "|":
            groups[-1].begin_alternative()
        elif repeat is None:
            groups[-1].add(1.0)
        elif math.isnan(ways := _repeated(groups[-1].item, repeat)):
            return True
        else:
            groups[-1].item = ways
    return False


def _repeated(ways: float, repeat: re.Match[str]) -> float:
    """Return in how many ways an item can match that is repeated; NaN for too many."""
    if repeat[1]:
        least, most = _BOUNDS[repeat[1]]
    else:
        least = float(repeat[2] or 0)
        most = (float(repeat[4]) if repeat[4] else math.inf) if repeat[3] else least
    if repeat[5] == "+":
        return 1.0
    if ways > 1 and most > 1 and most * math.log(ways) > math.log(MOST_WAYS):
        return math.nan
    return (most - least + 1) * (ways**most if ways > 1 else 1)
