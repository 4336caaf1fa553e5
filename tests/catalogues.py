"""The gettext catalogues: what a .po file says, and the .mo file that is made of it.

`python -m tests.catalogues` writes the .mo files anew. They are shipped, because an installation builds nothing.
"""

from __future__ import annotations

import ast
import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

LOCALE = Path(__file__).parents[1] / "alertlog" / "locale"

_LINE = re.compile(r'(?:(?P<keyword>msgid|msgid_plural|msgstr|msgstr\[\d\]) )?(?P<text>"(?:[^"\\]|\\.)*")')


@dataclass(frozen=True, slots=True)
class Message:
    """One text, its plural or "", and its translations: one, or one for each form of the plural."""

    text: str
    plural: str
    translations: tuple[str, ...]


def sources() -> list[Path]:
    return sorted(LOCALE.rglob("*.po"))


def read(source: Path) -> list[Message]:
    """Return the messages of a .po file, its header first.

    Raises:
        ValueError: a line is none that may stand there.
    """
    return [_message(block) for block in source.read_text("utf-8").strip().split("\n\n")]


def _message(block: str) -> Message:
    parts: dict[str, str] = {}
    keyword = ""
    for line in block.splitlines():
        if line.startswith("#"):
            continue
        found = _LINE.fullmatch(line)
        if found is None or found["keyword"] in parts or not (found["keyword"] or keyword):
            raise ValueError(f"not understood: {line}")
        keyword = found["keyword"] or keyword
        parts[keyword] = parts.get(keyword, "") + ast.literal_eval(found["text"])
    translations = tuple(text for name, text in parts.items() if name.startswith("msgstr"))
    return Message(parts["msgid"], parts.get("msgid_plural", ""), translations)


def compiled(messages: Iterable[Message]) -> bytes:
    """Return the .mo file of messages (GNU gettext manual, "The Format of GNU MO Files")."""
    pairs = sorted(
        ("\0".join(filter(None, (message.text, message.plural))).encode(), "\0".join(message.translations).encode())
        for message in messages
    )
    originals, translations = [original for original, _ in pairs], [translation for _, translation in pairs]
    number, head = len(pairs), 28
    tables = b""
    offset = head + 16 * number
    for text in (*originals, *translations):
        tables += struct.pack("<II", len(text), offset)
        offset += len(text) + 1
    begin = struct.pack("<7I", 0x950412DE, 0, number, head, head + 8 * number, 0, head + 16 * number)
    return begin + tables + b"".join(text + b"\0" for text in (*originals, *translations))


def main() -> None:
    for source in sources():
        source.with_suffix(".mo").write_bytes(compiled(read(source)))


if __name__ == "__main__":
    main()
