"""Names of secrets: what is called so is one, whatever it looks like."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

# No `dsn`, which is in every secret-named thing otherwise: a mail server logs its status as `dsn=5.7.1`.
STEMS = ("pass", "pwd", "secret", "token", "key", "credential", "authorization", "cookie")
"""One of them stands in any name of a secret that a text can have before a value, in small letters."""
SIGNS = (*STEMS, "dsn")
"""One of them stands in any name of a secret."""
_STEM = re.compile("|".join(SIGNS), re.IGNORECASE)
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


def is_secret_name(name: str) -> bool:
    """Whether what is called so is a secret."""
    return _STEM.search(name) is not None and _is_secret(name)


def ends_harmless(words: Sequence[str]) -> bool:
    """Whether the last word of a name says that it is of something about a secret."""
    return _HARMLESS_END.fullmatch(words[-1]) is not None


@lru_cache(maxsize=1_000)
def _is_secret(name: str) -> bool:
    words = [word.lower() for word in _WORDS.findall(name)]
    if not words or ends_harmless(words):
        return False
    pairs = [f"{first} {second}" for first, second in pairwise(words)]
    return any(map(_SECRET.fullmatch, words + pairs)) or (words[-1] == "pass" and len(words) > 1)
