"""The secrets that a process knows of, in all the forms in which they turn up in texts."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from urllib.parse import quote, quote_plus

MARK = "[redacted]"
SHORTEST = 6
"""Characters; a shorter value stands in too many harmless places."""
LATEST = 100
"""How many secrets are known at most that the environment does not hold any more."""

URL = re.compile(r"""(://[^\s/?#:@"<>\\]*+:)(?![0-9]{1,5}(?:[/?#]))([^\s"<>\\]{1,256})@""")
"""The password in a URL, and what comes before it."""

_BASE64 = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_=")


@dataclass(frozen=True, slots=True)
class Known:
    """Secrets, and what to search for them.

    Attributes:
        secrets: as they are, the latest last.
        values: in all forms in which they are searched, the longest first.
        cores: what stands in the base64 text of anything that contains one of them.
        searched: all of these.
    """

    secrets: tuple[str, ...] = field(default=(), repr=False)
    values: tuple[str, ...] = field(default=(), repr=False)
    cores: tuple[str, ...] = field(default=(), repr=False)
    searched: tuple[str, ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, secrets: Iterable[str]) -> Known:
        """Know these, but for the shortest ones."""
        known = tuple(dict.fromkeys(value for value in secrets if len(value) >= SHORTEST))
        values = sorted({form for value in known for form in _forms(value)}, key=len, reverse=True)
        cores = sorted({core for value in known for core in _cores(value)})
        return cls(known, tuple(values), tuple(cores), (*values, *cores))

    def and_now(self, secrets: Iterable[str]) -> Known:
        """Return what is known together with these; of those known before, the latest stay."""
        now = tuple(dict.fromkeys(value for value in secrets if len(value) >= SHORTEST))
        if set(now) <= set(self.secrets):
            return self
        before = [secret for secret in self.secrets if secret not in now]
        return Known.of((*before[-LATEST:], *now))

    def with_others(self, secrets: Iterable[str]) -> Known:
        """Return what is known together with a few more, made in less time than all of it takes."""
        others = Known.of(secret for secret in secrets if secret not in self.secrets)
        if not others.secrets:
            return self
        values = sorted({*self.values, *others.values}, key=len, reverse=True)
        cores = (*self.cores, *others.cores)
        return Known((*self.secrets, *others.secrets), tuple(values), cores, (*values, *cores))

    def cut_out(self, text: str) -> str:
        """Return the text without them."""
        for value in self.values:
            if value in text:
                text = text.replace(value, MARK)
        for core in self.cores:
            if core in text:
                text = _without_base64(text, core)
        return text


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
    return replaced(text, spans)


def replaced(text: str, spans: list[tuple[int, int]]) -> str:
    """Return the text with a mark in the place of each span."""
    pieces: list[str] = []
    done = 0
    for start, end in sorted(spans):
        if start >= done:
            pieces += (text[done:start], MARK)
        done = max(done, end)
    return "".join((*pieces, text[done:]))
