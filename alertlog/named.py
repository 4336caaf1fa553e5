"""Values that stand in a text after the name of a secret: `password=...`, `"api_key": "..."`, `Cookie: ...`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from alertlog.known import MARK

NO_VALUES = frozenset(("", "none", "null", "true", "false", "str", "bytes", "int", "bool"))
"""What stands where there is no secret, in small letters: `password=None`, `password: str`."""
# In a text, also what says something of a password, or is code: `SMTP_PASSWORD: is not set`, `token: expired`,
# `if not password: raise`.
_HARMLESS_VALUES = NO_VALUES.union(
    ("is", "was", "has", "must", "not", "missing", "expired", "invalid", "rejected", "refused", "required", "denied"),
    ("wrong", "incorrect", "empty", "unset", "raise", "return", "pass", "continue", "break"),
)
# In the lines of code that a traceback shows: `token = next(tokens)`, `environ["TOKEN"]`, `password=self.password`.
_CALL = re.compile(r"[A-Za-z_][\w.]*+\([\w.]*+")
_ITEM = re.compile(r"""[A-Za-z_][\w.]*+\[(["'])[\w-]++(?=\1\](?!\w))""")
_PLACEHOLDER = re.compile(r"(?i:(?:basic|bearer|token) )?\{[\w.]{1,64}+\}?")
_ATTRIBUTE = re.compile(r"[A-Za-z_]\w*+(?:\.[A-Za-z_]\w*+)*?\.([A-Za-z_]\w*+)")

_JOINT = re.compile(r"""[\w-]{0,64}+(\\?["']?[ \t]{0,3}+(?:=>|:=|={1,3}|:(?![:/]))[ \t]{0,3}+)""")
_SCHEME = r"((?i:basic|bearer|token|negotiate|ntlm)\s{1,3}+)"
# Each has one group, which stays: what opens the value.
_OPENED = (
    re.compile(r"""((?:[\w.]{1,32}+\()?[bBrRuUfF]{0,2}")(?:[^"\\\r\n]|\\.)++"""),
    re.compile(r"""((?:[\w.]{1,32}+\()?[bBrRuUfF]{0,2}')(?:[^'\\\r\n]|\\.)++"""),
    re.compile(r"""(\\["'])(?:(?!\\["'])[^\r\n])++"""),
    re.compile(_SCHEME + r"""[^\s"',;]{6,}+"""),
)
_WHOLE_LINE = re.compile(r"()\S(?:[^\r\n\\]|\\(?![rn]))*+")  # several values, each of them perhaps quoted
# A closing bracket, a quotation mark or a comma ends a value only where what follows looks like its end.
_BARE = re.compile(
    r"""()(?:\[redacted\])?+(?:[^\s"'&;,<)\]}\\]|[)\]}](?=[^\s"',;.)\]}:]|:\S)|["'](?=\w)"""
    r"""|[,&](?=[^\s"'])(?![\w-]{1,64}+=)|<(?![/a-zA-Z])|\\(?!["']))*+"""
)


def named_values(
    stem: str, lowered: str, text: str, is_secret_name: Callable[[str], bool]
) -> Iterator[tuple[int, int]]:
    """Yield where values stand that have a secret's name before them.

    Args:
        stem: a part of the names to look for, in small letters.
        lowered: the text in small letters, of the same length.
    """
    at = lowered.find(stem)
    while at >= 0:
        after = at + len(stem)
        joint = _JOINT.match(text, after)
        if joint and is_secret_name(text[_start_of_name(lowered, at) : joint.start(1)]):
            start, after = _value(text, joint.end(), stem in ("authorization", "cookie"))
            if not (_is_harmless(text, start, after) or _is_code(text, joint, start, after, is_secret_name)):
                yield start, after
        # Not inside the value, or a text of nothing but names would cost the square of its length.
        at = lowered.find(stem, after)


def _is_harmless(text: str, start: int, end: int) -> bool:
    value = text[start:end]
    return value.lower() in _HARMLESS_VALUES or value.startswith(MARK) or not any(map(str.isalnum, value))


def _is_code(text: str, joint: re.Match[str], start: int, end: int, is_secret_name: Callable[[str], bool]) -> bool:
    """Whether what stands there is where the program gets the secret from, rather than the secret."""
    if _PLACEHOLDER.fullmatch(text, start, end):  # of an f-string
        return True
    if start != joint.end():  # in quotes
        return False
    if joint[1].startswith(" ") and _CALL.fullmatch(text, start, end):  # no spaces: a password may well look so
        return text.startswith(")", end)
    if _ITEM.match(text, start):
        return True
    attribute = _ATTRIBUTE.fullmatch(text, start, end)
    return attribute is not None and is_secret_name(attribute[1])


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
