"""Secrets out of any text that leaves: known ones wherever they stand, others by the company they keep.

The thread that logs calls this for each new alert, so a text is first searched for fixed words, and a pattern
runs only where one of them stands. The work is linear in the text: what a pattern repeats is possessive, or
limited, or can't cross the place where the next match may begin.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from urllib.parse import quote, quote_plus, unquote

from alertlog.errors import ConfigError
from alertlog.place import variable

MARK = "[redacted]"
SHORTEST = 6
"""Characters; a shorter value stands in too many harmless places."""

# No `dsn`, which is in every secret-named thing otherwise: a mail server logs its status as `dsn=5.7.1`.
_STEMS = ("pass", "pwd", "secret", "token", "key", "credential", "authorization", "cookie")
_STEM = re.compile("|".join([*_STEMS, "dsn"]), re.IGNORECASE)
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
# One word of a name, or two with a space between them.
_SECRET = re.compile(
    r"[a-z]*(?:password|passwd|passphrase|secret|token|apikey|credentials|authorization|cookie)"
    r"|passwords|passcode|pwd|credential|dsn"
    r"|(?:api|access|private|secret|signing|encryption|auth) key"
)
# `token_url`, `PASSWORD_FILE`, `TokenBucket`, `InvalidTokenError`: about a secret, and none.
_HARMLESS_END = re.compile(
    r"age|algorithm|at|bucket|command|count|dir|enabled|endpoint|error|exception|expires|expiry|failed|field"
    r"|file|header|hint|host|length|limit|max|min|missing|name|path|policy|port|required|reset|size|status|str"
    r"|ttl|type|uri|url|used"
)
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

_URL = re.compile(r"""(://[^\s/?#:@"<>\\]*+:)([^\s/?#"<>\\]+)@""")
_BEARER = re.compile(r"(?<![\w-])((?i:bearer)\s{1,3}+)(?=[A-Za-z._~+/=-]{0,64}+[0-9])[\w.~+/=-]{8,}+")
_KEY_NAME = r"[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
_KEY = re.compile(rf"-----BEGIN {_KEY_NAME}.*?(?:-----END {_KEY_NAME}|\Z)", re.DOTALL)

_BASE64 = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_=")


@dataclass(frozen=True, slots=True)
class Redactor:
    """Knows a process's secrets, and what others look like. Safe to use from several threads.

    Attributes:
        values: the known secrets in all forms in which they are searched, the longest first.
        cores: what stands in the base64 text of anything that contains one of them.
    """

    values: tuple[str, ...] = field(default=(), repr=False)
    cores: tuple[str, ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, environ: Mapping[str, str], secrets: Iterable[str] = ()) -> Redactor:
        """Know the values of secret-named variables and of their files, passwords in URLs, and `secrets`."""
        known = {value for value in (*_in_environ(environ), *secrets) if len(value) >= SHORTEST}
        values = {form for value in known for form in _forms(value)}
        cores = {core for value in known for core in _cores(value)}
        return cls(tuple(sorted(values, key=len, reverse=True)), tuple(sorted(cores)))

    def text(self, text: str) -> str:
        """Return the text without secrets."""
        for value in self.values:
            if value in text:
                text = text.replace(value, MARK)
        for core in self.cores:
            if core in text:
                text = _without_base64(text, core)
        if "://" in text:
            text = _URL.sub(r"\1***@", text)
        if "-----BEGIN" in text:
            text = _KEY.sub(MARK, text)
        return self._without_named(text)

    def is_secret_name(self, name: str) -> bool:
        """Whether what is called so is a secret, whatever it looks like."""
        if not _STEM.search(name):
            return False
        words = [word.lower() for word in _WORDS.findall(name)]
        if not words or _HARMLESS_END.fullmatch(words[-1]):
            return False
        pairs = [f"{first} {second}" for first, second in pairwise(words)]
        return any(map(_SECRET.fullmatch, words + pairs)) or (words[-1] == "pass" and len(words) > 1)

    def extra(self, name: str, value: str) -> str:
        """Return the value of a record's extra, redacted by its name or by its text."""
        if value and self.is_secret_name(name) and value.lower() not in _HARMLESS_VALUES:
            return MARK
        return self.text(value)

    def _without_named(self, text: str) -> str:
        lowered = text.lower()
        if len(lowered) != len(text):  # a few capitals have two small letters; positions have to agree
            lowered = "".join(letter.lower()[0] for letter in text)
        spans = [span for stem in _STEMS if stem in lowered for span in self._named(stem, lowered, text)]
        text = _cut_out(text, spans) if spans else text
        return _BEARER.sub(rf"\1{MARK}", text) if "bearer" in lowered else text

    def _named(self, stem: str, lowered: str, text: str) -> Iterator[tuple[int, int]]:
        """Yield where values stand that have a secret's name before them."""
        at = lowered.find(stem)
        while at >= 0:
            after = at + len(stem)
            joint = _JOINT.match(text, after)
            if joint and self.is_secret_name(text[_start_of_name(lowered, at) : joint.start(1)]):
                start, after = _value(text, joint.end(), stem in ("authorization", "cookie"))
                if text[start:after].lower() not in _HARMLESS_VALUES and not text.startswith(MARK, start):
                    yield start, after
            # Not inside the value, or a text of nothing but names would cost the square of its length.
            at = lowered.find(stem, after)


def _in_environ(environ: Mapping[str, str]) -> Iterator[str]:
    redactor = Redactor()
    for name in list(environ):  # os.environ may lose a variable meanwhile
        value = environ.get(name, "")
        if redactor.is_secret_name(name) and name not in ("PWD", "OLDPWD"):
            yield value
            yield value.strip()
        elif name.endswith("_FILE") and redactor.is_secret_name(name.removesuffix("_FILE")):
            with suppress(ConfigError):  # whoever needs the file reports it
                value = variable(name.removesuffix("_FILE"), {name: value})
                yield value
                yield value.strip()
        for _start, password in _URL.findall(value) if "://" in value else ():
            yield password
            yield unquote(password)


def _forms(value: str) -> Iterator[str]:
    yield from (value, repr(value)[1:-1])
    yield from (json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1])
    raw = value.encode("utf-8", "surrogatepass")
    yield from (quote(raw, safe=""), quote(raw), quote_plus(raw))


def _cores(value: str) -> Iterator[str]:
    """Yield the base64 digits of a value that don't depend on what stands around it, for each alignment."""
    raw = value.encode("utf-8", "surrogatepass")
    for shift, first in enumerate((0, 2, 3)):
        core = b64encode(bytes(shift) + raw).decode("ascii")[first : (shift + len(raw)) * 8 // 6]
        yield from (core, core.replace("+", "-").replace("/", "_"))


def _without_base64(text: str, core: str) -> str:
    """Cut out the whole base64 text that a core is in: user name and password are often encoded as one."""
    spans = []
    done, at = 0, text.find(core)
    while at >= 0:
        start, end = at, at + len(core)
        while start > done and text[start - 1] in _BASE64:
            start -= 1
        while end < len(text) and text[end] in _BASE64:
            end += 1
        spans.append((start, end))
        done, at = end, text.find(core, end)
    return _cut_out(text, spans)


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


def _cut_out(text: str, spans: list[tuple[int, int]]) -> str:
    pieces: list[str] = []
    done = 0
    for start, end in sorted(spans):
        if start >= done:
            pieces += (text[done:start], MARK)
        done = max(done, end)
    return "".join((*pieces, text[done:]))
