"""Everything that becomes a header line: one clean line each, in ASCII, whatever the text.

These lines are written here rather than by `email`: on Python 3.11.7 its folding makes a second header of
`=?UTF-8?Q?=0ABcc:...?=` in a subject, it raises on U+2028 and lone surrogates, and needs minutes for 10 MB.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from itertools import takewhile

from alertlog.mailbox import Mailbox

FOLD_AT = 76
"""Characters of a line; RFC 2047 section 2 allows no more where it holds an encoded word."""
_ENCODED_BYTES = 30
"""Bytes of text in one encoded word."""
_WORD = 52
"""Characters of such a word: beside the longest header name it fits into a line."""
_HIDDEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 and C1 controls, save tab and newline
    "\u2028\u2029"  # line and paragraph separators: `str.splitlines` and some mail programs break there
    "\u202a-\u202e\u2066-\u2069\u206a-\u206f"  # bidirectional overrides and isolates (CVE-2021-42574)
    "\u00ad\u200b\u2060-\u2064\ufeff\ufff9-\ufffb"  # no width; the joiners that scripts and emoji need stay
    "\ufdd0-\ufdef\ufffe\uffff\U000e0000-\U000e007f"  # not characters, and invisible tags
    "\ud800-\udfff]"  # lone surrogates, which UTF-8 can't hold
)
_BREAKS = re.compile("[\t\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]+")
_SPACES = re.compile(" {2,}")
_NOT_IN_ID = re.compile(r"[^!-;=?-~]")
_NOT_IN_LABEL = re.compile(r"[^a-z0-9]+")


def visible(text: str) -> str:
    """Return the text with what can't be seen, or would reorder it, as escapes, and line ends as `\\n`."""
    return _HIDDEN.sub(_escape, text.replace("\r\n", "\n").replace("\r", "\n"))


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def one_line(text: str) -> str:
    """Return the text as one visible line; line breaks and tabs become spaces."""
    return visible(_BREAKS.sub(" ", text)).strip(" ")


def squeezed(text: str, limit: int) -> str:
    """Return a value as one visible line with single spaces, cut to `limit` characters, in bounded work."""
    return cut_at_word(_SPACES.sub(" ", one_line(text[: limit * 10])), limit)


def cut_at_word(text: str, limit: int) -> str:
    """Return the text, or as many of its words as fit into `limit` characters with an ellipsis."""
    if len(text) <= limit:
        return text
    kept = text[: limit - 3]
    head, space, _word = kept.rpartition(" ")
    # A text without spaces, or with one monstrous word, is cut where the room ends.
    return f"{head if space and len(head) > limit // 2 else kept}..."


def unstructured(name: str, text: str) -> str:
    """Return a header line with free text, which arrives letter by letter (RFC 5322 section 2.2.1, RFC 2047).

    What is plain ASCII up to the first word that is not stays so, for filters that look at the raw line.
    """
    line = one_line(text)
    words = line.split(" ")
    plain = list(takewhile(_is_plain, words))
    return verbatim(name, [*plain, *_encoded_words(" ".join(words[len(plain) :]))])


def verbatim(name: str, units: Iterable[str]) -> str:
    """Return a header line of parts that are fit for it as they are, folded between them."""
    lines = [f"{name}:"]
    for unit in units:
        if len(lines[-1]) + 1 + len(unit) > FOLD_AT and lines[-1] != f"{name}:":
            lines.append("")
        lines[-1] += f" {unit}"
    return "\r\n".join(lines) + "\r\n"


def addresses(name: str, mailboxes: Iterable[Mailbox]) -> str:
    """Return a header line with mailboxes (RFC 5322 section 3.4), or one that names nobody."""
    units = [_mailbox_units(mailbox) for mailbox in mailboxes] or [["undisclosed-recipients:;"]]
    for listed in units[:-1]:
        listed[-1] += ","
    return verbatim(name, [unit for listed in units for unit in listed])


def message_id(text: str) -> str:
    """Return one identifier in angle brackets (RFC 5322 section 3.6.4); one that is fit already stays."""
    return f"<{_NOT_IN_ID.sub('', text)[:250]}>"


def list_id(service: str, sender: str) -> str:
    """Return an identifier for filters (RFC 2919), in the domain of the sender's address."""
    label = _NOT_IN_LABEL.sub("-", service.lower())[:40].strip("-") or "alerts"
    domain = re.sub(r"[^A-Za-z0-9.-]", "", sender.rpartition("@")[2]) or "localhost"
    return f"<{label}.alertlog.{domain}>"


def _is_plain(word: str) -> bool:
    # "=?" begins an encoded word: readers would decode what was meant literally.
    return 0 < len(word) <= _WORD and word.isascii() and "=?" not in word


def _mailbox_units(mailbox: Mailbox) -> list[str]:
    if not re.fullmatch("[ -~]{1,320}", mailbox.address):
        # Only SMTPUTF8 could carry the address; a group without members shows it all the same (RFC 6857).
        return [*_phrase(mailbox.address), ":;"]
    if not mailbox.name:
        return [mailbox.address]
    return [*_phrase(mailbox.name), f"<{mailbox.address}>"]


def _phrase(text: str) -> list[str]:
    name = squeezed(text, 120)
    quoted = '"{}"'.format(name.replace("\\", "\\\\").replace('"', '\\"'))
    if len(quoted) <= _WORD and name.isascii() and "=?" not in name:
        return [quoted]
    return list(_encoded_words(name))


def _encoded_words(text: str) -> Iterator[str]:
    """Yield RFC 2047 encoded words; each is decodable by itself, so no character is split (section 5)."""
    part = b""
    for character in text:
        encoded = character.encode()
        if len(part) + len(encoded) > _ENCODED_BYTES:
            yield _encoded_word(part)
            part = b""
        part += encoded
    if part:
        yield _encoded_word(part)


def _encoded_word(part: bytes) -> str:
    return f"=?utf-8?b?{b64encode(part).decode('ascii')}?="
