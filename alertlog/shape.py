"""What stays the same of a text from one report of a trouble to the next: its shape, and the exceptions it tells of."""

from __future__ import annotations

import re

SHAPED = 1_000
"""Characters of a text that its shape is taken of."""
TRACE = "Traceback (most recent call last):"
"""Stands before each traceback in a text."""
TRACED = 20_000
"""Characters at the end of a text that are searched for exceptions; the outermost comes last."""

_HEX = "[0-9a-fA-F]"
_ENDS = "(?![0-9A-Za-z])"
_IN_PATH = r"[\w.@%+-]{1,255}"
_MONTH = "[JFMASOND](?:an|eb|ar|pr|ay|un|ul|ug|ep|ct|ov|ec)[a-z]{0,6}"
_DAY = rf"(?:\d{{1,2}}[ -]{_MONTH}[ -]\d{{2,4}}|{_MONTH} {{1,2}}\d{{1,2}}(?:, \d{{4}})?){_ENDS}"
# Each branch is limited in what it repeats, for linear time, and most begin with a set of characters, which is quick.
_VARIES = re.compile(
    r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}"  # e-mail addresses
    r"|(?<![0-9A-Za-z])(?:"
    rf"{_HEX}{{8}}(?:-{_HEX}{{4}}){{3}}-{_HEX}{{12}}{_ENDS}"  # UUIDs
    rf"|0[xX]{_HEX}+"
    rf"|{_HEX}(?:(?<=\d)|(?={_HEX}{{0,127}}\d)){_HEX}{{6,127}}(?![0-9A-Za-z]|[.,:/-]\d)"  # hashes, not 1234567.5
    rf"|(?:{_HEX}{{1,4}}:(?=[0-9a-fA-F:]{{0,40}}\d)(?:{_HEX}{{0,4}}:){{1,6}}{_HEX}{{0,4}}"  # MAC and IPv6 addresses
    rf"|::(?:{_HEX}{{1,4}}:){{0,6}}{_HEX}{{1,4}})(?![\w:]|\.\d)"
    rf"|[MTWFS](?:on|ue|ed|hu|ri|at|un)[a-z]{{0,6}},? {{1,2}}{_DAY}|{_DAY}"
    r")"
    rf"|(?:\b[A-Za-z]:)?(?:[/\\]{_IN_PATH}){{2,64}}"  # paths, of relative ones what follows the first folder
    r"|[+-]?\d+(?:[.,:/TZ-]\d+)*(?:[eE][+-]?\d+)?"  # dates, times, numbers
)
# A frame; or, at the beginning of a line or behind a group's margin, the type of an exception.
_STEP = re.compile(
    r'^[ |+>-]*+File "([^"\n]{1,1000})", line (\d{1,9})|^(?:[ |]{0,100}\| )?([A-Za-z_][\w.]{0,200})(?=[:"]|$)', re.M
)
_EVENT = re.compile(r'"event": ?"((?:[^"\\]|\\.)*+)"')


def shape(text: str) -> str:
    """Return a pre-formatted text without what varies from one report to the next."""
    return _VARIES.sub("#", text[:SHAPED])


def event_of(text: str, end: int | None = None) -> str:
    """Return the event of a text that is a JSON object, as structlog writes it; else the text up to `end`."""
    found = _EVENT.search(text) if text[:1] == "{" and text[-1:] == "}" else None
    return found[1] if found else text[:end]


def told(text: str) -> list[str]:
    """Return types and places of the exceptions that a formatted traceback tells of, each once."""
    end = text[-TRACED:]
    if "\n" not in end:  # within JSON
        end = end.replace("\\n", "\n").replace('\\"', '"')
    found, place = set(), ""
    for step in _STEP.finditer(end):
        if step[3] is None:
            place = f"{step[1]}:{step[2]}"
        else:
            found.add(f"{step[3]} {place}")
            place = ""
    return sorted(found) or [shape(text[-200:])]
