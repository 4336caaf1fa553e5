"""What it takes the courier to write one letter: a small one, one about a long traceback, and a long digest."""

from __future__ import annotations

import time
from statistics import median

from alertlog.alert import Alert, Incident
from alertlog.draft import Draft
from alertlog.letter import Wording, compose
from alertlog.mailbox import Mailbox
from tests.benchmarks.tables import microseconds, print_table

SECONDS = 1.0
"""How long each kind of letter is written again and again, a run."""
MOMENT = 1_767_225_600.0
SENDER, RECIPIENTS = Mailbox("etl@pipeline.example"), [Mailbox("operator@alerts.example")]
FRAME = '  File "/app/portfolio_etl/prices.py", line {n}, in fetch_{n}\n    return self.source.prices(ticker, {n})\n'


def main(runs: int) -> None:
    rows = []
    for name, draft in _drafts().items():
        size = len(_composed(draft, "en"))
        costs = [min(_cost(draft, language) for _ in range(runs)) for language in ("en", "fr")]
        rows.append((name, *map(microseconds, costs), f"{size / 1024:.0f} KiB"))
    print_table("Composing a letter, from its draft to its bytes: p50", ("draft", "English", "French", "mail"), rows)


def _composed(draft: Draft, language: str) -> bytes:
    wording = Wording("portfolio-etl", language="fr" if language == "fr" else "en", handler="alerts", host="vps1")
    return compose(draft, wording, SENDER, RECIPIENTS).content


def _cost(draft: Draft, language: str) -> float:
    """The median, in microseconds."""
    timings: list[float] = []
    end = time.perf_counter() + SECONDS
    while not timings or time.perf_counter() < end:
        began = time.perf_counter()
        _composed(draft, language)
        timings.append((time.perf_counter() - began) * 1e6)
    return median(timings)


def _drafts() -> dict[str, Draft]:
    traceback = "Traceback (most recent call last):\n" + "".join(FRAME.format(n=n) for n in range(2_000))
    long = f"{traceback[:200_000]}\nValueError: no price"
    return {
        "small": _draft(_incident(1)),
        "a traceback of 200 kB": _draft(_incident(1, exception="ValueError: no price", traceback=long)),
        "a digest of 50 incidents": _draft(*map(_incident, range(50))),
    }


def _draft(*incidents: Incident) -> Draft:
    return Draft("<benchmark@pipeline.example>", MOMENT, "digest" if len(incidents) > 1 else "opening", incidents)


def _incident(number: int, exception: str = "", traceback: str = "") -> Incident:
    alert = Alert(
        fingerprint=f"{number:016x}",
        kind="",
        level=50,
        levelname="CRITICAL",
        logger="portfolio_etl.prices",
        message=f"No price for ticker {number}",
        created=MOMENT,
        exception=exception,
        traceback=traceback,
        extras=(("ticker", f"T{number}.TO"), ("provider", "marketstack")),
        path="/app/portfolio_etl/prices.py",
        line=91,
        function="fetch",
        host="vps1.example.org",
        pid=4711,
        process="MainProcess",
        thread="MainThread",
    )
    return Incident(
        id=number,
        fingerprint=alert.fingerprint,
        kind="",
        level=alert.level,
        levelname=alert.levelname,
        first=MOMENT,
        last=MOMENT + 60,
        count=3,
        accounted=0,
        mails=0,
        thread="",
        alert=alert,
    )
