"""What a letter says, before it has a form: one model for the text part and the HTML part.

All text in it is visible and bounded already; the templates only lay it out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from alertlog.words import Words

Tone = Literal["critical", "error", "warning", "info", "good"]
"""How a mail or a section looks; its level stands beside it in words."""


@dataclass(frozen=True, slots=True)
class Section:
    """A heading with what is under it: lines of prose, rows of label and value, text kept as it is.

    Attributes:
        entries: text of several entries, one a line, where the further lines of each are indented.
        badge: the level in words, in a section that tells a whole incident.
    """

    title: str
    lines: tuple[str, ...] = ()
    rows: tuple[tuple[str, str], ...] = ()
    text: str = ""
    entries: str = ""
    badge: str = ""
    tone: Tone = "info"


@dataclass(frozen=True, slots=True)
class View:
    """A letter's content in the order of reading.

    Attributes:
        notices: what must be known first, such as that this is a test.
        title: what happened, in a line.
        leads: where, since when, how often: the lines that a phone shows before the mail is opened.
        frame: where the exception was raised, and the code there, or "".
        hint: what `command` is good for; both are "" where there is nothing to do.
    """

    words: Words
    tone: Tone
    badge: str
    notices: tuple[str, ...]
    title: str
    leads: tuple[str, ...]
    sections: tuple[Section, ...]
    footer: tuple[str, ...]
    frame: str = ""
    hint: str = ""
    command: str = ""

    def within(self, characters: int, sections: int) -> View:
        """Return the same with each text and value cut to so many characters, and only so many sections."""
        shown = tuple(self._section_within(section, characters) for section in self.sections[:sections])
        left_out = len(self.sections) - len(shown)
        if not left_out:
            return replace(self, sections=shown)
        note = self.words.plural(
            "{n} further section is in the text part of this mail only.",
            "{n} further sections are in the text part of this mail only.",
            left_out,
        )
        return replace(self, sections=shown, footer=(note, *self.footer))

    def _section_within(self, section: Section, characters: int) -> Section:
        cut = self.words.cut
        rows = tuple((label, cut(value, characters)) for label, value in section.rows)
        return replace(section, rows=rows, text=cut(section.text, characters), entries=cut(section.entries, characters))
