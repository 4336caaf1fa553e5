"""What the show looks like: plain text for a terminal 80 columns wide."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from typing import Any, TextIO

from alertlog.testing import Mail

WIDTH = 80

HEADERS = ("From", "To", "Subject", "Date", "Message-ID", "In-Reply-To", "Auto-Submitted")

FIELDS = ("kind", "stage", "category", "smtp_code", "attempt", "retry_in_s", "duration_ms")


class Screen:
    """A stream to print on; what its encoding does not have becomes a question mark."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def title(self, text: str) -> None:
        self.line()
        self.line(f"-- {text} ".ljust(WIDTH, "-"))

    def line(self, text: str = "", indent: str = "") -> None:
        """Print one line, folded where it is too long; its own indentation stays."""
        lead = indent + text[: len(text) - len(text.lstrip())]
        folded = textwrap.wrap(
            text.strip(),
            WIDTH,
            initial_indent=lead,
            subsequent_indent=lead + "    ",
            break_on_hyphens=False,
        )
        encoding = self._out.encoding or "utf-8"
        for line in folded or [""]:
            print(line.rstrip().encode(encoding, "replace").decode(encoding), file=self._out)

    def calls(self, timings: Iterable[Mapping[str, Any]]) -> None:
        """Print the pipeline's log, each record with the time that the call held the pipeline."""
        for timing in timings:
            took = f"{timing['seconds'] * 1000:.2f} ms"
            self.line(f"{timing['level']:8} {took:>9}  {timing['message']}", "  ")

    def events(self, events: Iterable[Mapping[str, Any]]) -> None:
        for event in events:
            fields = [f"{name}={event[name]}" for name in FIELDS if event.get(name) not in (None, "")]
            self.line(" ".join([str(event["event"]), *fields]), "  ")

    def mail(self, number: int, mail: Mail) -> None:
        """Print the headers that matter, the envelope and the text part."""
        self.title(f"Mail {number}")
        own = [name for name in mail.message if name.startswith("X-Alertlog-")]
        for name in (*HEADERS, *own):
            if name in mail.message:
                self.line(f"{name}: {mail.message[name]}")
        security = "TLS" if mail.tls else "no TLS"
        self.line(f"(to {', '.join(mail.recipients)}; {security}, logged in as {mail.login})")
        self.line()
        for line in mail.text.rstrip().splitlines():
            self.line(line, "  ")
