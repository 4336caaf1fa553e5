"""Secrets out of any text that leaves: known ones wherever they stand, others by the company they keep.

The thread that logs calls this for each new alert, so a text is first searched for fixed words, and a pattern
runs only where one of them stands. The work is linear in the text: what a pattern repeats is possessive, or
limited, or can't cross the place where the next match may begin.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Self

from alertlog import cards
from alertlog.known import MARK, URL, Known, replaced
from alertlog.named import NO_VALUES, named_values
from alertlog.rules import NO_RULES, Rules
from alertlog.secret_names import SIGNS, STEMS, is_secret_name
from alertlog.surroundings import NOTHING, Surroundings, in_environ

__all__ = ["MARK", "Redactor", "is_secret_name"]

REMEMBERED = 1_000
"""How many groups of texts are remembered as searched."""
REMEMBERED_LENGTH = 2_000
"""Characters of the longest of them."""

Texts = tuple[str, ...]

# A token in the place of the user, as git servers and Sentry have it: long, and with a digit in it.
_URL_TOKEN = re.compile(r"(://)(?=[A-Za-z_~-]{0,64}+[0-9])[\w~-]{20,256}+(?=(?::[^\s@/]{0,256}+)?@)")
_BEARER = re.compile(r"(?<![\w-])((?i:bearer)\s{1,3}+)(?=[A-Za-z._~+/=-]{0,64}+[0-9])[\w.~+/=-]{8,}+")
_JWT = re.compile(r"(?<![\w-])eyJ[\w-]{8,}+\.[\w-]{8,}+\.[\w-]{8,}+")  # a token in JSON, with its signature (RFC 7519)
_KEY_NAME = r"[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
_KEY = re.compile(rf"-----BEGIN {_KEY_NAME}.*?(?:-----END {_KEY_NAME}|\Z)", re.DOTALL)


class Redactor:
    """Knows a process's secrets, and what others look like. Safe to use from several threads and signal handlers."""

    __slots__ = ("_is_secret_name", "_known", "_remembered", "_rules", "_signs", "_stems", "_surroundings")

    def __init__(
        self, secrets: Iterable[str] = (), rules: Rules = NO_RULES, environ: Mapping[str, str] = NOTHING
    ) -> None:
        """Knows the `secrets`; those of `environ` from the first `refresh` on."""
        self._rules = rules
        self._signs, self._stems = (*SIGNS, *rules.signs), (*STEMS, *rules.stems)
        self._is_secret_name = rules.is_secret_name if rules.names else is_secret_name
        self._known = Known.of(secrets)
        self._surroundings = Surroundings(environ, self._is_secret_name)
        self._remembered: dict[Texts, Texts] = {}

    @classmethod
    def of(cls, environ: Mapping[str, str], secrets: Iterable[str] = (), rules: Rules = NO_RULES) -> Self:
        """Know the values of secret-named variables and of their files, passwords in URLs, and `secrets`."""
        redactor = cls(secrets, rules, environ)
        redactor.refresh()
        return redactor

    def refresh(self) -> None:
        """Know what its environment has now as well: dotenv files are loaded late, and files of secrets rotate."""
        self.learn({}, self._surroundings.secrets())

    def learn(self, environ: Mapping[str, str], secrets: Iterable[str] = ()) -> None:
        """Know those that have come since as well: files change while a program runs.

        All of them at once, by one assignment. Of two threads that learn different ones at the same time, one may lose;
        it is to be called again and again anyway.
        """
        known = self._known.and_now((*in_environ(environ, self._is_secret_name), *secrets))
        if known is not self._known:
            self._known = known
            self._remembered = {}  # a new one, after it: what a thread is about to remember goes into the old one

    def beside(self, extras: Sequence[tuple[str, str]], texts: Iterable[str]) -> Redactor:
        """Return one that also knows the values of a record's secret-named extras that stand in its texts too.

        What is logged with `extra={"token": token}` often stands in the message as well. It is for that record alone:
        to know each request's token for ever would take more and more memory and time.
        """
        named = [value for name, value in extras if self._is_named(name, value)]
        if not named:
            return self
        joined = "\0".join([*texts, *[value for _name, value in extras]])
        again = [value for value in named if joined.count(value) > 1]
        known = self._known.with_others(again) if again else self._known
        if known is self._known:
            return self
        redactor = Redactor((), self._rules)
        redactor._known = known
        return redactor

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
        if len(lowered) != len(text) or "bearer" in lowered or "://" in text or "-----BEGIN" in text or "eyJ" in text:
            return False
        for sign in self._signs:  # a third faster than any(map())
            if sign in lowered:
                return False
        if any(map(text.__contains__, self._known.searched)) or cards.may_hold_cards(text):
            return False
        return not self._rules.patterns or not any(True for _span in self._rules.spans(text))

    def known(self, text: str) -> str:
        """Return the text without the secrets that are known, for what may look like one and is none."""
        return self._known.cut_out(text)

    def knows_any_of(self, texts: Iterable[str]) -> bool:
        """Whether one of the texts holds a secret that is known."""
        joined = "\0".join(texts)
        return any(map(joined.__contains__, self._known.searched))

    def text(self, text: str) -> str:
        """Return the text without secrets."""
        if not text:
            return text
        text = self._known.cut_out(text)
        if "://" in text:
            text = _URL_TOKEN.sub(r"\1***", URL.sub(r"\1***@", text))
        if "-----BEGIN" in text:
            text = _KEY.sub(MARK, text)
        if "eyJ" in text:
            text = _JWT.sub(MARK, text)
        if self._rules.patterns:  # between marks: a pattern that finds a part of one would make it longer each time
            text = MARK.join([replaced(part, list(self._rules.spans(part))) for part in text.split(MARK)])
        if cards.may_hold_cards(text):
            text = cards.without_cards(text, MARK)
        return self._without_named(text)

    def extra(self, name: str, value: str) -> str:
        """Return the value of a record's extra, redacted by its name or by its text."""
        return MARK if self._is_named(name, value) else self.text(value)

    def _is_named(self, name: str, value: str) -> bool:
        return self._is_secret_name(name) and value.lower() not in NO_VALUES

    def _without_named(self, text: str) -> str:
        lowered = text.lower()
        if len(lowered) != len(text):  # a few capitals have two small letters; positions have to agree
            lowered = "".join(letter.lower()[0] for letter in text)
        spans = list[tuple[int, int]]()
        for stem in self._stems:
            if stem in lowered:
                spans += named_values(stem, lowered, text, self._is_secret_name)
        text = replaced(text, spans) if spans else text
        return _BEARER.sub(rf"\1{MARK}", text) if "bearer" in lowered else text
