"""What an operator wants to know of a certificate: for whom, by whom, from when to when (RFC 5280 section 4.1).

`ssl` tells that only of one which it trusts; the one to be repaired is another one. So this reads as much of DER
(ITU-T X.690) as that takes, of whatever a peer has sent.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from alertlog.headers import squeezed

SHOWN = 20
"""How many of its names are kept."""
LONGEST = 200
"""Characters of one name."""

_OPTIONAL_VERSION, _EXTENSIONS, _OCTETS = 0xA0, 0xA3, 0x04
_COMMON_NAME, _ORGANISATION, _ALTERNATIVES = b"\x55\x04\x03", b"\x55\x04\x0a", b"\x55\x1d\x11"
_UTC_TIME = 0x17
_HOST, _ADDRESS = 0x82, 0x87
_ENCODINGS = {0x14: "latin-1", 0x1C: "utf-32-be", 0x1E: "utf-16-be"}
"""By the tag of a text; all others are UTF-8, or ASCII."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a server says that it is.

    Attributes:
        names: the host names and addresses that it is for; its common name where it lists none.
        issuer: who vouches for it: organisation and common name; "" if that is not said.
        begins, ends: Unix time in seconds.
    """

    names: tuple[str, ...]
    issuer: str
    begins: float
    ends: float


def read_certificate(der: bytes) -> Certificate | None:
    """Return what a certificate says; None if that can't be read."""
    try:
        return _read(der)
    except (ValueError, IndexError, OverflowError):
        return None


def _read(der: bytes) -> Certificate:
    _tag, whole = _parts(der)[0]
    parts = _parts(_parts(whole)[0][1])
    if parts[0][0] == _OPTIONAL_VERSION:
        parts = parts[1:]
    issuer, validity, subject = (content for _tag, content in parts[2:5])
    begins, ends = _parts(validity)[:2]
    extensions = next((content for tag, content in parts[6:] if tag == _EXTENSIONS), b"")
    common_name = _named(subject).get(_COMMON_NAME, "")
    names = tuple(_alternatives(extensions))[:SHOWN] or tuple(filter(None, [common_name]))
    said = _named(issuer)
    by = ", ".join(filter(None, (said.get(_ORGANISATION), said.get(_COMMON_NAME))))
    return Certificate(names, by, _time(*begins), _time(*ends))


def _parts(data: bytes) -> list[tuple[int, bytes]]:
    """Return tag and content of each element in a sequence or a set."""
    found = []
    while data:
        size, start = data[1], 2
        if size & 0x80:
            start += size & 0x7F
            size = int.from_bytes(data[2:start], "big")
        if len(data) < start + size:
            raise ValueError("it is cut short")
        found.append((data[0], data[start : start + size]))
        data = data[start + size :]
    return found


def _named(name: bytes) -> dict[bytes, str]:
    """Return the parts of a distinguished name by their object identifiers."""
    found = {}
    for _set, relative in _parts(name):
        for _sequence, pair in _parts(relative):
            (_tag, kind), (tag, text) = _parts(pair)[:2]
            found[kind] = squeezed(text.decode(_ENCODINGS.get(tag, "utf-8"), "replace"), LONGEST)
    return found


def _alternatives(extensions: bytes) -> Iterator[str]:
    for _list, listed in _parts(extensions):
        for _sequence, extension in _parts(listed):
            (_tag, kind), *rest = _parts(extension)
            if kind == _ALTERNATIVES and rest[-1][0] == _OCTETS:
                for _names, names in _parts(rest[-1][1]):
                    yield from filter(None, (_alternative(tag, name) for tag, name in _parts(names)))


def _alternative(tag: int, name: bytes) -> str:
    if tag == _HOST:
        return squeezed(name.decode("ascii", "replace"), LONGEST)
    return str(ipaddress.ip_address(name)) if tag == _ADDRESS else ""


def _time(tag: int, content: bytes) -> float:
    text = content.decode("ascii")
    if tag == _UTC_TIME:  # two digits of the year: up to 2049 (RFC 5280 section 4.1.2.5.1)
        text = ("20" if text[:2] < "50" else "19") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()
