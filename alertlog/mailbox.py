"""Mailboxes as they are written in a header, read strictly (RFC 5322 section 3.4, RFC 6531).

The standard library's parsers forgive: `a@x.org\\r\\nBcc: b@x.org` is an address to them, and what they make
of it differs from one patch level of Python to the next. What is not understood whole is refused here.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.header import Header
from email.utils import quote

DOMAIN_LIMIT = 253
"""Characters of a domain name without the root's dot (RFC 1035 section 2.3.4)."""
LOCAL_LIMIT = 64
"""Bytes of the part before the @ (RFC 5321 section 4.5.3.1.1)."""
SHOWN = 5
"""How many wrong addresses one error names."""

# Control characters, line and paragraph separators, what turns the direction of writing, lone surrogates.
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
# No invisible letters in an address: two that look alike would be two people.
_TEXT = r"(?:[\w!#$%&'*+/=?^`{|}~-]|[^\x00-\x9f\s\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff])"
_LOCAL = re.compile(rf"{_TEXT}++(?:\.{_TEXT}++)*+|\"(?:[ !#-\[\]-~]|\\[ -~])++\"")
_QUOTED = r'"(?:[^"\\]|\\.)*+"'
_LOOSE = rf'(?:[^"<>]|{_QUOTED})*+'
_FORM = re.compile(rf"(?P<name>{_LOOSE})<(?P<angle>[^<>]*+)>|(?P<bare>{_LOOSE})")
_WORDS = re.compile(rf'(?P<quoted>{_QUOTED})|(?P<plain>[^"]++)')
_SPECIAL = re.compile(r"[()<>\[\]:;@\\,]")
# Underscores are no part of a host name, but of many a Compose service's.
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_SEMICOLON = "has semicolons, where addresses have to be separated by commas"
# IDNA 2003, which the standard library has, takes straße.de for strasse.de, which may be somebody else's.
_DEVIATIONS = frozenset("ßẞς\u200c\u200d")


@dataclass(frozen=True, slots=True)
class Mailbox:
    """Somebody's address, with the name to show.

    Attributes:
        address: its domain in lower-case ASCII (IDNA); the part before the @ may hold other letters.
        name: free of control characters, or "".
    """

    address: str
    name: str = ""

    def __str__(self) -> str:
        """Return the form for a header: one line, ASCII but for the address itself."""
        if not self.name:
            return self.address
        # Python 3.11.7 decodes what looks like an encoded word inside quotes too, so that is encoded itself.
        if self.name.isascii() and "=?" not in self.name:
            return f'"{quote(self.name)}" <{self.address}>'
        return f"{Header(self.name, 'utf-8', maxlinelen=75).encode(linesep='')} <{self.address}>"

    @property
    def readable(self) -> str:
        """The form for a person to read."""
        return f"{self.name} <{self.address}>" if self.name else self.address


def mailboxes(text: str) -> tuple[Mailbox, ...]:
    """Read a list separated by commas; of mailboxes with one address the first counts.

    Raises:
        ValueError: there is none, or some are wrong; the text names each, its characters escaped.
    """
    found: dict[str, Mailbox] = {}
    problems = []
    for piece in filter(str.strip, _pieces(text)):
        try:
            read = _mailbox(piece)
        except ValueError as error:
            problems.append(f"{_shown(piece)} {_SEMICOLON if _is_list(piece) else error}")
        else:
            found.setdefault(read.address, read)
    if problems:
        more = f"; and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        raise ValueError("; ".join(problems[:SHOWN]) + more)
    if not found:
        raise ValueError("holds no address")
    return tuple(found.values())


def mailbox(text: str) -> Mailbox:
    """Read exactly one.

    Raises:
        ValueError: as `mailboxes`, or there are several.
    """
    first, *others = mailboxes(text)
    if others:
        raise ValueError("holds several addresses, where one has to be")
    return first


def _pieces(text: str) -> Iterator[str]:
    """Split at the commas that stand outside quotation marks; one pass, whatever the text is."""
    start, quoted, escaped = 0, False, False
    for position, character in enumerate(text):
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = quoted
        elif character == '"':
            quoted = not quoted
        elif character == "," and not quoted:
            yield text[start:position]
            start = position + 1
    yield text[start:]


def _is_list(piece: str) -> bool:
    """Whether somebody has written several addresses as Outlook separates them."""
    return ";" in piece and piece.count("@") > 1


def _mailbox(piece: str) -> Mailbox:
    if UNPRINTABLE.search(piece):
        raise ValueError("holds a line break or another character that can't be shown")
    form = _FORM.fullmatch(piece.strip())
    if form is None:
        raise ValueError("is not of the form `name <user@domain>`")
    if form["bare"] is not None:
        return Mailbox(_address(form["bare"]))
    return Mailbox(_address(form["angle"].strip()), _name(form["name"]))


def _name(text: str) -> str:
    words = []
    for word in _WORDS.finditer(text):
        if word["quoted"] is not None:
            words.append(re.sub(r"\\(.)", r"\1", word["quoted"][1:-1]))
        elif _SPECIAL.search(word["plain"]):
            raise ValueError("needs quotation marks around its name; groups and comments are not understood")
        else:
            words.append(word["plain"])
    return " ".join("".join(words).split())


def _address(text: str) -> str:
    local, at, domain = text.rpartition("@")
    if not at:
        raise ValueError("has no @")
    if len(local.encode()) > LOCAL_LIMIT or not _LOCAL.fullmatch(local):
        raise ValueError("is wrong before its @")
    return f"{local}@{_domain(domain)}"


def _domain(text: str) -> str:
    literal = re.fullmatch(r"\[(IPv6:)?([0-9A-Fa-f:.]++)\]", text)  # RFC 5321 section 4.1.3
    if literal is None:
        return ascii_domain(text)
    try:
        address = ipaddress.ip_address(literal[2])
    except ValueError:
        address = None
    if address is None or (address.version == 6) != bool(literal[1]):
        raise ValueError("has a wrong address in its brackets")
    return text


def ascii_domain(text: str) -> str:
    """Return a domain name in lower-case ASCII letters (IDNA 2003: the standard library's).

    Raises:
        ValueError: it is none; the text says why and does not repeat it.
    """
    if len(text) > DOMAIN_LIMIT:
        raise ValueError(f"has a domain of more than {DOMAIN_LIMIT} characters")
    if not _DEVIATIONS.isdisjoint(text):
        raise ValueError("has a domain that is ambiguous; write its ASCII form, which begins with xn--")
    domain = text.lower() if text.isascii() else _encoded(text)
    if len(domain) > DOMAIN_LIMIT or not all(map(_LABEL.fullmatch, domain.split("."))):
        raise ValueError("does not name a domain")
    return domain


def _encoded(text: str) -> str:
    try:
        return text.encode("idna").decode("ascii").lower()
    except UnicodeError:  # it carries the text, so what the caller raises must not be chained to it
        return ""


def _shown(text: str) -> str:
    text = text.strip(" ")
    return ascii(text if len(text) <= 60 else f"{text[:60]}...")
