"""The two parts of a mail, laid out by Jinja2 from one view, and their MIME form.

They are encoded by functions in C. `email`, in Python, takes 26 ms for 200 kB, and the threads that log would
feel it: each hand-over of the interpreter's lock can then cost them 5 ms.
"""

from __future__ import annotations

import re
from base64 import encodebytes
from binascii import b2a_qp
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from textwrap import fill

from jinja2 import Environment, PackageLoader, StrictUndefined

from alertlog.view import View

HTML_LIMIT = 100_000
"""Bytes of the HTML part; Gmail hides what comes after 102 kB."""
_HTML_SIZES = ((70_000, 200), (16_000, 200), (4_000, 100), (1_000, 50), (150, 50))
"""Characters of each text and number of sections to try, until the HTML part keeps within its limit."""
_HTML_LEAST = 40, 16
"""The same where nothing else would do; with these it always keeps within it."""
_ENTRY = re.compile(r"\n(?! )")
_LABEL_WIDTH = 22
_TEXT_WIDTH = 78


def alternatives(view: View, identifier: str) -> bytes:
    """Return the body of a mail with its Content-Type header: plain text, then HTML (RFC 2046 section 5.1.4).

    Args:
        identifier: what makes the boundary this mail's own, so that it can be forwarded within another one.
    """
    # "=_" comes neither in quoted-printable nor in base64 text: no part can hold the boundary (RFC 2045 6.7).
    boundary = f"=_{blake2b(identifier.encode(), digest_size=12).hexdigest()}"
    parts = b"".join(
        f"--{boundary}\r\nContent-Type: text/{subtype}; charset=utf-8\r\n".encode() + _encoded(content)
        for subtype, content in (("plain", _render("letter.txt", view)), ("html", _html(view)))
    )
    opening = f'Content-Type: multipart/alternative; boundary="{boundary}"\r\n\r\n'
    return opening.encode() + parts + f"--{boundary}--\r\n".encode()


def _encoded(text: str) -> bytes:
    """Return a part from its last header on, in the shorter one of the two 7-bit encodings (RFC 2045)."""
    data = text.replace("\n", "\r\n").encode()
    quoted = b2a_qp(data)
    # Local delivery into an mbox file would put a ">" before such a line.
    if len(quoted) * 3 <= len(data) * 4 and b"\nFrom " not in quoted and not quoted.startswith(b"From "):
        return b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + quoted + b"\r\n"
    return b"Content-Transfer-Encoding: base64\r\n\r\n" + encodebytes(data).replace(b"\n", b"\r\n")


def _html(view: View) -> str:
    for characters, sections in _HTML_SIZES:
        html = _render("letter.html", view.within(characters, sections))
        if len(html.encode()) <= HTML_LIMIT:
            return html
    return _render("letter.html", view.within(*_HTML_LEAST))


def _render(template: str, view: View) -> str:
    return _environment().get_template(template).render(view=view)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("alertlog"),
        autoescape=lambda name: name is not None and name.endswith(".html"),
        undefined=StrictUndefined,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(wrapped=_wrapped, columns=_columns, entries=_entries)
    return environment


def _wrapped(text: str) -> str:
    return fill(text, _TEXT_WIDTH, break_long_words=False, break_on_hyphens=False)


def _entries(text: str) -> list[str]:
    """Return the entries of a text whose further lines are indented."""
    return _ENTRY.split(text)


def _columns(rows: Sequence[tuple[str, str]]) -> str:
    """Return rows as lines of label and value; further lines of a value are indented, to look like no row."""
    width = min(max(len(label) for label, _value in rows), _LABEL_WIDTH)
    indent = "\n" + " " * (width + 2)
    return "\n".join(f"{label:<{width}}  {value.replace(chr(10), indent)}".rstrip() for label, value in rows)
