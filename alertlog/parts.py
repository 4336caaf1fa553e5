"""The MIME form of a mail: its text and its page as two alternatives.

They are encoded by functions in C. `email`, in Python, takes 26 ms for 200 kB, and the threads that log would
feel it: each hand-over of the interpreter's lock can then cost them 5 ms.
"""

from __future__ import annotations

from base64 import encodebytes
from binascii import b2a_qp
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from types import MappingProxyType

from alertlog.layout import HTML, TEXT, Laid, page, plain
from alertlog.view import View


@dataclass(frozen=True, slots=True)
class Body:
    """The body of a mail with its Content-Type header, and by file what a template of the deployer's failed with."""

    content: bytes
    problems: Mapping[str, str]


def alternatives(view: View, identifier: str, templates: str = "") -> Body:
    """Return the body of a mail: plain text, then HTML (RFC 2046 section 5.1.4).

    Args:
        identifier: what makes the boundary this mail's own, so that it can be forwarded within another one.
        templates: a folder of the deployer's own templates, or "".
    """
    text, html = plain(view, templates), page(view, templates)
    # "=_" comes neither in quoted-printable nor in base64 text: no part can hold the boundary (RFC 2045 6.7).
    boundary = f"=_{blake2b(identifier.encode(), digest_size=12).hexdigest()}"
    parts = b"".join(
        f"--{boundary}\r\n".encode() + _typed(subtype, laid) for subtype, laid in (("plain", text), ("html", html))
    )
    opening = f'Content-Type: multipart/alternative; boundary="{boundary}"\r\n\r\n'
    problems = {name: laid.problem for name, laid in ((TEXT, text), (HTML, html)) if laid.problem}
    return Body(opening.encode() + parts + f"--{boundary}--\r\n".encode(), MappingProxyType(problems))


def text_alone(view: View, templates: str = "") -> Body:
    """Return the plain text as the body of a mail that may not be any larger."""
    text = plain(view, templates)
    return Body(_typed("plain", text), MappingProxyType({TEXT: text.problem} if text.problem else {}))


def _typed(subtype: str, laid: Laid) -> bytes:
    return f"Content-Type: text/{subtype}; charset=utf-8\r\n".encode() + _encoded(laid.text)


def _encoded(text: str) -> bytes:
    """Return a part from its last header on, in the shorter one of the two 7-bit encodings (RFC 2045)."""
    data = text.replace("\n", "\r\n").encode()
    quoted = b2a_qp(data)
    # Local delivery into an mbox file would put a ">" before such a line.
    if len(quoted) * 3 <= len(data) * 4 and b"\nFrom " not in quoted and not quoted.startswith(b"From "):
        return b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + quoted + b"\r\n"
    return b"Content-Transfer-Encoding: base64\r\n\r\n" + encodebytes(data).replace(b"\n", b"\r\n")
