"""Secrets out of a command line, word by word: once the words are joined, quotes hide where a value ends."""

from __future__ import annotations

import re
from collections.abc import Sequence

from alertlog.known import MARK
from alertlog.secret_names import is_secret_name

_ASSIGNED = re.compile(r"(-{0,2}([A-Za-z_][\w.-]*)=)(?s:.)+")
_OPTION = re.compile(r"-{1,2}([A-Za-z][\w.-]*)")
_USERS = ("-u", "--user", "--proxy-user", "-U")
"""Options whose value may be `name:password`."""
_USERS_ASSIGNED = ("--user=", "--proxy-user=")
_LOGIN = re.compile(r"([^:/@\s]+:)(?s:.)+")


def without_secrets(words: Sequence[str]) -> list[str]:
    """Return the words without what secret-named options and variables are set to, and passwords of a user."""
    cleaned: list[str] = []
    before = ""
    for word in words:
        cleaned.append(_clean(word, before))
        before = word
    return cleaned


def _clean(word: str, before: str) -> str:
    assigned, option = _ASSIGNED.fullmatch(word), _OPTION.fullmatch(before)
    if assigned and is_secret_name(assigned[2]):
        return f"{assigned[1]}{MARK}"
    if option and is_secret_name(option[1]) and not word.startswith("-"):
        return MARK
    login = _LOGIN.fullmatch(word) if before in _USERS or word.startswith(_USERS_ASSIGNED) else None
    return f"{login[1]}{MARK}" if login else word
