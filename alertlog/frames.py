"""Where an exception was raised: the innermost frame, read back from the text of a traceback."""

from __future__ import annotations

import re
from dataclasses import dataclass

_FRAME = '\n  File "'
_STACK = "\nStack (most recent call last):"
"""What `stack_info` adds after the traceback: its innermost frame is the call that logged."""
_HEAD = re.compile(r'  File "([^"\n]{1,1000})", line (\d{1,9}), in ([^\n]{1,300})(?:\n    (?! )([^\n]{1,1000}))?')
_LOOKED_AT = 50
"""Frames from the end on; what looks like one and is none stands in the text of an exception."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One call: a file, the line in it, the function, and the code there, "" where no source was found."""

    path: str
    line: int
    function: str
    code: str


def innermost(traceback: str, exception: str) -> Frame | None:
    """Return the frame that raised the exception which a traceback ends with; None if it shows none.

    Args:
        traceback: its whole text, where the last exception of a chain stands last.
        exception: that exception's own line. Its text may hold the traceback of another process, as in `concurrent`
            and `celery`: frames are looked for before it.
    """
    text = f"\n{traceback}".partition(_STACK)[0]
    end = text.rfind(f"\n{exception.partition(chr(10))[0]}\n") if exception else -1
    end = end + 1 if end >= 0 else len(text)
    for _ in range(_LOOKED_AT):
        start = text.rfind(_FRAME, 0, end)
        if start < 0:
            return None
        if found := _HEAD.match(text, start + 1):
            path, line, function, code = found.groups(default="")
            return Frame(path, int(line), function, code.rstrip())
        end = start
    return None
