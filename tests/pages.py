"""The documentation as the tests see it: pages, code blocks, anchors, tables and links."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"

_BLOCK = re.compile(r"^```(?P<language>[^\n]*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"(?:^\((?P<anchor>[a-z0-9-]+)\)=\n)?^(?P<marks>#+) ", re.MULTILINE)
_LINK = re.compile(r"(?P<picture>!?)\[[^\]]*\]\((?P<target>[^)\s]+)\)")


@dataclass(frozen=True, slots=True)
class Page:
    """One Markdown page.

    Attributes:
        name: its path within its language, such as `features/chapter3.md`.
        path: its file.
        text: what is in it.
    """

    name: str
    path: Path
    text: str

    @property
    def blocks(self) -> list[tuple[str, str]]:
        """The code blocks in order: language and code."""
        return [(block["language"], block["code"]) for block in _BLOCK.finditer(self.text)]

    @property
    def prose(self) -> str:
        """The text without its code blocks."""
        return _BLOCK.sub("", self.text)

    @property
    def headings(self) -> list[tuple[str, str]]:
        """By heading, in order: its anchor, "" if it has none, and its level as `#` marks."""
        return [(heading["anchor"] or "", heading["marks"]) for heading in _HEADING.finditer(self.prose)]

    @property
    def anchors(self) -> set[str]:
        return {anchor for anchor, _ in self.headings}

    @property
    def links(self) -> list[str]:
        """Where its links point to."""
        return [link["target"] for link in _LINK.finditer(self.prose) if not link["picture"]]

    @property
    def pictures(self) -> list[Path]:
        """The files of its pictures."""
        found = [link["target"] for link in _LINK.finditer(self.prose) if link["picture"]]
        return [(self.path.parent / target).resolve() for target in found]

    def table(self, anchor: str) -> list[list[str]]:
        """The cells of the first table below an anchor, without its head."""
        _, found, below = self.text.partition(f"({anchor})=\n")
        assert found, f"{self.path} has no anchor {anchor}"
        return table(below)

    def tables(self) -> list[list[list[str]]]:
        return [table(part) for part in re.findall(r"^\|.*?(?:\n(?!\|)|\Z)", self.prose, re.M | re.S)]


def table(text: str) -> list[list[str]]:
    """The cells of the first table in a text, without its head."""
    rows = re.search(r"^\|.*\n\|[-|: ]+\n(?P<rows>(?:\|.*\n?)+)", text, re.MULTILINE)
    assert rows, "no table"
    return [[cell.strip() for cell in row.strip().strip("|").split("|")] for row in rows["rows"].splitlines()]


def pages(language: str) -> dict[str, Page]:
    """The pages of `en` or `fr`, by name."""
    top = DOCS / "fr" if language == "fr" else DOCS
    found = {}
    for path in sorted(top.rglob("*.md")):
        name = path.relative_to(top)
        if name.parts[0] not in ("fr", "_build"):
            found[name.as_posix()] = Page(name.as_posix(), path, path.read_text(encoding="utf-8"))
    return found


def code(cell: str) -> list[str]:
    """What stands between backticks in a cell."""
    return re.findall(r"`([^`]+)`", cell)
