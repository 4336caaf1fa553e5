"""What a server says, without the secrets that it repeats, as text or in base64."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator

TEXT_LIMIT = 300
"""Characters kept of what a server says."""

_MASK = b"[redacted]"
_BASE64 = re.compile(rb"[A-Za-z0-9+/_=-]{2,}")


class Echoes:
    """Knows the secrets that one server has seen, or is about to see."""

    def __init__(self, *secrets: bytes) -> None:
        self._secrets: tuple[bytes, ...] = ()
        self._cores: tuple[bytes, ...] = ()
        for secret in secrets:
            self.know(secret)

    def know(self, secret: bytes) -> None:
        """Take this one out from now on, too; an empty one is none."""
        if secret:
            self._secrets += (secret,)
            self._cores += tuple(filter(None, _cores(secret)))

    def redact(self, text: bytes) -> bytes:
        """Return the text without the secrets, and without any base64 word that has one inside."""
        for secret in self._secrets:
            text = text.replace(secret, _MASK)
        return _BASE64.sub(self._masked, text) if self._cores else text

    def readable(self, said: bytes) -> str:
        """Return what a server said as one line of printable text, redacted and cut to size."""
        text = self.redact(said).decode("utf-8", "replace")
        return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:TEXT_LIMIT]

    def _masked(self, word: re.Match[bytes]) -> bytes:
        return _MASK if any(core in word[0] for core in self._cores) else word[0]


def _cores(secret: bytes) -> Iterator[bytes]:
    """Yield what a base64 text with the secret in it shows of that, for the three ways it can lie there.

    Characters at its ends that also carry bits of what stands before and after it are left out.
    """
    for offset in range(3):
        whole = (offset + len(secret)) * 8 // 6
        yield base64.b64encode(bytes(offset) + secret)[(offset * 8 + 5) // 6 : whole]
