"""Secrets out of any text that leaves: known ones wherever they stand, others by the company they keep.

The thread that logs calls this for each new alert, so a text is first searched for fixed words, and a pattern
runs only where one of them stands. The work is linear in the text: what a pattern repeats is possessive, or
limited, or can't cross the place where the next match may begin.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from alertlog.known import MARK, URL, Known, in_environ, replaced
from alertlog.secret_names import SIGNS, STEMS, is_secret_name

__all__ = ["MARK", "Redactor", "is_secret_name"]

REMEMBERED = 1_000
"""How many groups of texts are remembered as searched."""
REMEMBERED_LENGTH = 2_000
"""Characters of the longest of them."""

Texts = tuple[str, ...]

# `password=None`, `password: str`, and what says something of a password: `SMTP_PASSWORD: is not set`.
_HARMLESS_VALUES = frozenset(
    ("", "none", "null", "true", "false", "str", "bytes", "int", "bool", "is", "was", "has", "must", "not")
)

_JOINT = re.compile(r"""[\w-]{0,64}+(\\?["']?[ \t]{0,3}+(?:=>|:=|={1,3}|:(?![:/]))[ \t]{0,3}+)""")
_SCHEME = r"((?i:basic|bearer|token|negotiate|ntlm)\s{1,3}+)"
# Each has one group, which stays: what opens the value.
_OPENED = (
    re.compile(r"""((?:[\w.]{1,32}+\()?[bBrRuU]{0,2}")(?:[^"\\\r\n]|\\.)++"""),
    re.compile(r"""((?:[\w.]{1,32}+\()?[bBrRuU]{0,2}')(?:[^'\\\r\n]|\\.)++"""),
    re.compile(r"""(\\["'])(?:(?!\\["'])[^\r\n])++"""),
    re.compile(_SCHEME + r"""[^\s"',;]{6,}+"""),
)
_WHOLE_LINE = re.compile(r"()\S(?:[^\r\n\\]|\\(?![rn]))*+")  # several values, each of them perhaps quoted
# A closing bracket, a quotation mark or a comma ends a value only where what follows looks like its end.
_BARE = re.compile(
    r"""()(?:\[redacted\])?+(?:[^\s"'&;,<)\]}\\]|[)\]}](?=[^\s"',;.)\]}])|["'](?=\w)"""
    r"""|[,&](?=[^\s"'])(?![\w-]{1,64}+=)|<(?![/a-zA-Z])|\\(?!["']))*+"""
)

_BEARER = re.compile(r"(?<![\w-])((?i:bearer)\s{1,3}+)(?=[A-Za-z._~+/=-]{0,64}+[0-9])[\w.~+/=-]{8,}+")
_KEY_NAME = r"[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
_KEY = re.compile(rf"-----BEGIN {_KEY_NAME}.*?(?:-----END {_KEY_NAME}|\Z)", re.DOTALL)


class Redactor:
    """Knows a process's secrets, and what others look like. Safe to use from several threads and signal handlers."""

    __slots__ = ("_known", "_remembered")

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._known = Known.of(secrets)
        self._remembered: dict[Texts, Texts] = {}

    @classmethod
    def of(cls, environ: Mapping[str, str], secrets: Iterable[str] = ()) -> Redactor:
        """Know the values of secret-named variables and of their files, passwords in URLs, and `secrets`."""
        return cls((*in_environ(environ), *secrets))

    def learn(self, environ: Mapping[str, str], secrets: Iterable[str] = ()) -> None:
        """Know those that have come since as well: files change while a program runs.

        All of them at once, by one assignment. Of two threads that learn different ones at the same time, one may lose;
        it is to be called again and again anyway.
        """
        known = self._known.and_now((*in_environ(environ), *secrets))
        if known is not self._known:
            self._known = known
            self._remembered = {}  # a new one, after it: what a thread is about to remember goes into the old one

    def remember(self, texts: Texts, clean: Callable[[Texts], Texts]) -> Texts:
        """Return what `clean` makes of texts that many alerts share: it is asked once, until there is a new secret."""
        remembered = self._remembered
        found = remembered.get(texts)
        if found is None:
            found = clean(texts)
            if sum(map(len, texts)) <= REMEMBERED_LENGTH:
                if len(remembered) >= REMEMBERED:
                    remembered.clear()
                remembered[texts] = found
        return found

    def harmless(self, text: str) -> bool:
        """Whether nothing is to be searched in a text: `text` and `extra` leave it, and each part of it, as it is."""
        lowered = text.lower()
        if len(lowered) != len(text) or "bearer" in lowered or "://" in text or "-----BEGIN" in text:
            return False
        for sign in SIGNS:  # a third faster than any(map())
            if sign in lowered:
                return False
        return not any(map(text.__contains__, self._known.searched))

    def known(self, text: str) -> str:
        """Return the text without the secrets that are known, for what may look like one and is none."""
        return self._known.cut_out(text)

    def text(self, text: str) -> str:
        """Return the text without secrets."""
        text = self._known.cut_out(text)
        if "://" in text:
            text = URL.sub(r"\1***@", text)
        if "-----BEGIN" in text:
            text = _KEY.sub(MARK, text)
        return _without_named(text)

    def extra(self, name: str, value: str) -> str:
        """Return the value of a record's extra, redacted by its name or by its text."""
        if value and is_secret_name(name) and value.lower() not in _HARMLESS_VALUES:
            return MARK
        return self.text(value)


def _without_named(text: str) -> str:
    lowered = text.lower()
    if len(lowered) != len(text):  # a few capitals have two small letters; positions have to agree
        lowered = "".join(letter.lower()[0] for letter in text)
    spans = [span for stem in STEMS if stem in lowered for span in _named(stem, lowered, text)]
    text = replaced(text, spans) if spans else text
    return _BEARER.sub(rf"\1{MARK}", text) if "bearer" in lowered else text


def _named(stem: str, lowered: str, text: str) -> Iterator[tuple[int, int]]:
    """Yield where values stand that have a secret's name before them."""
    at = lowered.find(stem)
    while at >= 0:
        after = at + len(stem)
        joint = _JOINT.match(text, after)
        if joint and is_secret_name(text[_start_of_name(lowered, at) : joint.start(1)]):
            start, after = _value(text, joint.end(), stem in ("authorization", "cookie"))
            if text[start:after].lower() not in _HARMLESS_VALUES and not text.startswith(MARK, start):
                yield start, after
        # Not inside the value, or a text of nothing but names would cost the square of its length.
        at = lowered.find(stem, after)


def _start_of_name(lowered: str, at: int) -> int:
    start = at
    while start > 0 and at - start < 64 and (lowered[start - 1].isalnum() or lowered[start - 1] in "_-"):
        start -= 1
    if start == at and lowered.startswith(" key", at - 1):
        first = max(0, at - 12)  # `private key`: the word before is a part of the name
        start = max(first, lowered.rfind(" ", first, at - 1) + 1)
    return start


def _value(text: str, at: int, whole_line: bool) -> tuple[int, int]:
    """Return where the value begins and ends that is expected at a place."""
    for pattern in (*_OPENED, _WHOLE_LINE if whole_line else _BARE):
        value = pattern.match(text, at)
        if value:
            return value.end(1), value.end()
    return at, at
