"""Drafts of each kind of mail, and how to read a letter back strictly.

`python -m tests.letters` writes the golden files anew; read what has changed before keeping it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from alertlog.alert import Alert, Incident
from alertlog.draft import Draft, Reason
from alertlog.letter import Letter, Wording, compose
from alertlog.mailbox import Mailbox

GOLDEN = Path(__file__).parent / "golden"
MOMENT = 1_795_572_727.0
"""25 November 2026, 03:12:07 in Paris."""
SENDER = Mailbox("etl@example.org")
RECIPIENTS = (Mailbox("ops@example.org", "Ops on call"), Mailbox("anna@example.org"))
ENGLISH = Wording("portfolio-etl", "", {"quota": "[ETL] API quota alert"}, "en")
FRENCH = replace(ENGLISH, language="fr")
TRACEBACK = """Traceback (most recent call last):
  File "/app/portfolio_etl/prices.py", line 91, in fetch
    raise PriceError(f"no price for {ticker}")
portfolio_etl.prices.PriceError: no price for SHOP.TO
"""
CHAIN = f"""{TRACEBACK}
The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/app/portfolio_etl/pipeline.py", line 214, in refresh_prices
    refresh(holdings)
    ~~~~~~~^^^^^^^^^^
  File "/app/portfolio_etl/pipeline.py", line 187, in refresh
    raise RuntimeError("no prices today") from error
RuntimeError: no prices today
"""
TELEMETRY = (
    ("otelTraceID", "4bf92f3577b34da6a3ce929d0e0e4736"),
    ("otelSpanID", "00f067aa0ba902b7"),
    ("otelTraceSampled", "True"),
    ("otelServiceName", "portfolio-etl"),
)
CONTEXT = (
    (MOMENT - 10_000.0, "INFO", "portfolio_etl.pipeline", "mode normal, 980 calls left"),
    (MOMENT - 1.75, "INFO", "portfolio_etl.prices", "32 holdings to refresh"),
    (MOMENT - 0.5, "WARNING", "portfolio_etl.prices", "no answer for SHOP.TO\nTimeoutError: timed out"),
)

_ALERT = Alert(
    fingerprint="3f2a9c5517d0be84",
    kind="quota",
    level=50,
    levelname="CRITICAL",
    logger="portfolio_etl.pipeline",
    message="Quota used: 980 of 1000",
    created=MOMENT,
    extras=(("provider", "marketstack"), ("used", "980"), ("limit", "1000")),
    path="/app/portfolio_etl/pipeline.py",
    line=214,
    function="refresh_prices",
    host="vps1.example.org",
    pid=4711,
    process="MainProcess",
    thread="MainThread",
    task="Task-7",
)


def alert(**changes: Any) -> Alert:
    return _ALERT._replace(**changes)


def failure(**changes: Any) -> Alert:
    """An alert of no kind, with an exception."""
    return alert(
        fingerprint="00000000deadbeef",
        kind="",
        message="Refresh failed",
        exception="portfolio_etl.prices.PriceError: no price for SHOP.TO",
        traceback=TRACEBACK,
        extras=(),
        **changes,
    )


def traced() -> Alert:
    """An alert in a trace of OpenTelemetry's, with an exception that another one led to, and without its secrets."""
    return failure(level=40, levelname="ERROR")._replace(
        message="Refresh failed at https://user:***@prices.example.org/v1",
        exception="RuntimeError: no prices today",
        traceback=CHAIN,
        extras=(*TELEMETRY, ("api_key", "[redacted]")),
    )


def incident(first: Alert = _ALERT, /, **changes: Any) -> Incident:
    opened = Incident(
        id=1,
        fingerprint=first.fingerprint,
        kind=first.kind,
        level=first.level,
        levelname=first.levelname,
        first=first.created,
        last=first.created,
        count=1,
        accounted=0,
        mails=0,
        thread="",
        alert=first,
    )
    return replace(opened, **changes)


def repeated(**changes: Any) -> Incident:
    """An incident that one mail has told of, and that went on."""
    again = (("provider", "marketstack"), ("used", "990"), ("limit", "1000"))
    samples = (alert(message="Quota used: 990 of 1000", created=MOMENT + 60, extras=again),)
    told = {"count": 1_238, "accounted": 1, "mails": 1, "last": MOMENT + 190, "thread": "<first@example.org>"}
    return incident(**{**told, "samples": samples, **changes})


def draft(reason: Reason = "opening", *incidents: Incident, **changes: Any) -> Draft:
    made = Draft("<0123456789@example.org>", MOMENT + 5, reason, incidents or (incident(),))
    return replace(made, **changes)


def letter(made: Draft | None = None, wording: Wording = ENGLISH) -> Letter:
    return compose(made or draft(), wording, SENDER, RECIPIENTS)


def read(made: Letter) -> EmailMessage:
    """Parse a letter, and refuse the slightest flaw in its structure."""
    mail = BytesParser(policy=policy.default).parsebytes(made.content)
    assert [part.defects for part in mail.walk() if part.defects] == []
    flawed = {name: value for name, value in mail.items() if getattr(value, "defects", ())}
    assert flawed == {}
    return mail


def text_of(mail: EmailMessage) -> str:
    return _content(mail, "plain").replace("\r\n", "\n")


def html_of(mail: EmailMessage) -> str:
    return _content(mail, "html").replace("\r\n", "\n")


def _content(mail: EmailMessage, subtype: str) -> str:
    part = mail.get_body((subtype,))
    assert part is not None
    return str(part.get_content())


class Page(HTMLParser):
    """What a browser would make of a page: its tags, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        # Browsers drop one newline after <pre> (HTML, section 13.2.6.4.7).
        begins = self.tags and self.tags[-1] == "pre" and self.get_starttag_text() and data.startswith("\n")
        self.text += data[1:] if begins else data


def samples() -> dict[str, Draft]:
    """One draft of each kind of mail."""
    back = alert(message="Quota reset: 0 of 1000", created=MOMENT + 9_000, resolved=True)
    over = repeated(resolved=True)
    return {
        "opening": draft("opening", incident(failure(context=CONTEXT), count=4, last=MOMENT + 3)),
        "delayed": draft("opening", incident(traced()), date=MOMENT + 1_900),
        "quota": draft("opening"),
        "follow-up": draft("follow-up", repeated()),
        "closing": draft("closing", repeated(count=2), date=MOMENT + 190 + 3_600),
        "ended": draft("closing", repeated(count=20), cause="end", date=MOMENT + 191),
        "resolved": draft("resolved", replace(over, samples=(*over.samples, back))),
        "test": draft("test", incident(alert(message="A test", extras=(), test=True))),
        "digest": draft("digest", repeated(), incident(failure(level=40, levelname="ERROR"), count=3)),
        "repaired": draft("digest", repeated(), incident(traced()), cause="repair", date=MOMENT + 9_000),
    }


@contextmanager
def in_paris() -> Iterator[None]:
    """The machine's time zone is that of Paris."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = "Europe/Paris"
    time.tzset()
    try:
        yield
    finally:
        if before is None:
            del os.environ["TZ"]
        else:
            os.environ["TZ"] = before
        time.tzset()


def main() -> None:
    with in_paris():
        for name, made in samples().items():
            for wording in (ENGLISH, FRENCH):
                mail = read(letter(made, wording))
                text = f"Subject: {mail['Subject']}\n\n{text_of(mail)}"
                (GOLDEN / f"{name}.{wording.language}.txt").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
