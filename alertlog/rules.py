"""What a deployer calls a secret beyond what alertlog does: the handler's argument `redact`, checked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

from alertlog.checks import texts
from alertlog.secret_names import ends_harmless, is_secret_name

MOST = 50
"""Names at most, and patterns at most."""
LONGEST_NAME = 64
"""Characters of a name; in a text no longer ones are looked for."""
MOST_WORDS = 32
"""Words of a name that are looked at."""

# Digits are words here: `x509` is another name than `x`.
_WORDS = r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^\W\d_a-zA-Z]+"
_JOINTS = ("", "_", "-", " ", ".")


@dataclass(frozen=True, slots=True)
class Rules:
    """Names and patterns of secrets, in addition to alertlog's own.

    Attributes:
        names: the words of each name in one, in small letters.
        stems: what one of them looks like in a text, in small letters.
        signs: one of them stands in whatever is called so.
        patterns: what a secret itself looks like.
    """

    names: tuple[str, ...] = ()
    stems: tuple[str, ...] = ()
    signs: tuple[str, ...] = ()
    patterns: tuple[re.Pattern[str], ...] = ()

    def is_secret_name(self, name: str) -> bool:
        """Whether what is called so is a secret."""
        return is_secret_name(name) or (bool(self.names) and self._is_own(name))

    def _is_own(self, name: str) -> bool:
        words = _words(name)
        return any(
            "".join(words[start:end]) in self.names
            for start, end in combinations(range(len(words) + 1), 2)
            if end == len(words) or not ends_harmless(words)
        )

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield where a pattern finds a secret."""
        from alertlog.patterns import spans  # most programs have no patterns of their own

        for pattern in self.patterns:
            yield from spans(pattern, text)


NO_RULES = Rules()


def rules_of(redact: object) -> Rules:
    """Return the rules that an argument `redact` gives, none for None.

    Raises:
        ValueError: it is wrong; no name and no pattern is in it.
    """
    if redact is None:
        return NO_RULES
    if not isinstance(redact, Mapping) or not redact.keys() <= {"names", "patterns"}:
        raise ValueError("redact: has to be a mapping with the keys names and patterns, each with a list of texts")
    given = {key: _listed(key, redact.get(key)) for key in ("names", "patterns")}
    names = [_name(number, name) for number, name in enumerate(given["names"], 1)]
    patterns = tuple(_pattern(number, text) for number, text in enumerate(given["patterns"], 1))
    stems = dict.fromkeys(joint.join(name) for name in names for joint in _JOINTS)
    signs = tuple(max(words, key=len) for words in names)
    return Rules(tuple(map("".join, names)), tuple(stems), signs, patterns)


def _listed(key: str, value: object) -> tuple[str, ...]:
    found = () if value is None else texts(f"redact: {key}", value)
    if len(found) > MOST:
        raise ValueError(f"redact: {key}: has more than {MOST} items")
    return found


def _name(number: int, name: str) -> list[str]:
    words = _words(name)
    if not words or len(name) > LONGEST_NAME:
        raise ValueError(f"redact: names: item {number}: has to be a name of 1 to {LONGEST_NAME} characters")
    return words


def _pattern(number: int, text: str) -> re.Pattern[str]:
    from alertlog.patterns import checked

    try:
        return checked(text)
    except ValueError as error:
        raise ValueError(f"redact: patterns: item {number}: {error}") from None


def _words(name: str) -> list[str]:
    return [word.lower() for word in re.findall(_WORDS, name)][:MOST_WORDS]
