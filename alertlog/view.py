"""What a letter says, before it has a form: one model for the text part and the HTML part.

All text in it is visible and bounded already; the templates only lay it out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from alertlog.words import Words

Tone = Literal["critical", "error", "warning", "info", "good"]
"""How a mail or a section looks; its level stands beside it in words."""


_MARKUP = 300
"""Bytes of HTML around one entry, roughly."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One record that came before an alert.

    Attributes:
        time: to the millisecond, with the day where it is another one than the alert's.
        level: in words; "" in a note of how many are left out.
        text: the logger and what it said; the further lines are indented, to look like no record.
    """

    time: str
    level: str
    tone: Tone
    text: str


@dataclass(frozen=True, slots=True)
class Section:
    """A heading with what is under it: lines of prose, rows of label and value, text kept as it is.

    Attributes:
        title: what it is about.
        badge: the level in words, in a section that tells a whole incident.
        tone: the level as a colour, where there is a badge.
        lines: prose.
        rows: label and value.
        text: kept as it is.
        entries: records, oldest first.
    """

    title: str
    lines: tuple[str, ...] = ()
    rows: tuple[tuple[str, str], ...] = ()
    text: str = ""
    entries: tuple[Entry, ...] = ()
    badge: str = ""
    tone: Tone = "info"


@dataclass(frozen=True, slots=True)
class View:
    """A letter's content in the order of reading.

    Attributes:
        words: the language.
        tone: the level as a colour.
        badge: the level in words, and why the mail exists.
        notices: what must be known first, such as that this is a test.
        title: what happened, in a line.
        leads: where, since when, how often: the lines that a phone shows before the mail is opened.
        frame: where the exception was raised, and the code there, or "".
        sections: the evidence; in a digest, one for each incident.
        footer: why the mail exists, who sent it, the fingerprint.
        hint: what `command` is good for; both are "" where there is nothing to do.
        command: what mutes the incident.
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
        entries = tuple(self._last_entries(section.entries, characters))
        return replace(section, rows=rows, text=cut(section.text, characters), entries=entries)

    def _last_entries(self, entries: tuple[Entry, ...], characters: int) -> Iterator[Entry]:
        """Yield as many as there is room for, the last ones, with a note of how many are left out."""
        room, shown = characters, 0
        for entry in reversed(entries):
            room -= _MARKUP + len(entry.text)
            if room < 0:
                break
            shown += 1
        if left_out := len(entries) - shown:
            note = self.words.plural("{n} earlier record left out", "{n} earlier records left out", left_out)
            yield Entry("", "", "info", f"[... {note} ...]")
        yield from entries[left_out:]
