"""What it costs to look for secrets in a megabyte of text, by what the text is, and in a record of usual size."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from functools import partial
from statistics import median

from alertlog.redact import Redactor
from alertlog.rules import rules_of
from tests.benchmarks.tables import microseconds, print_table
from tests.corpus import NEAR_MISSES, SECRETS, plain

SIZE = 1_000_000
"""Characters."""
KNOWN = 10
"""Secrets in the environment."""


def main(runs: int) -> None:
    environ = {f"SERVICE_{number}_PASSWORD": secrets.token_urlsafe(24) for number in range(KNOWN)}
    redactor = Redactor.of(environ)
    own = Redactor.of(environ, rules=rules_of({"names": ["iban"], "patterns": [r"\bEMP-[0-9]{6}\b"]}))
    rows = [_row(f"{name}, {SIZE:,} characters", redactor, text, runs) for name, text in _texts().items()]
    rows.append(
        _row(f"log lines, {SIZE:,} characters, a name and a pattern of one's own", own, _texts()["log lines"], runs)
    )
    rows.append(_row("a record", redactor, "quota Quota used: 980 of 1000 calls marketstack", runs, calls=5_000))
    print_table(f"Looking for secrets, {KNOWN} of them known", ("text", "whether there are any", "without them"), rows)


def _row(name: str, redactor: Redactor, text: str, runs: int, calls: int = 1) -> tuple[str, str, str]:
    asked, cleaned = (_cost(partial(act, text), runs, calls) for act in (redactor.harmless, redactor.text))
    return name, microseconds(asked), microseconds(cleaned)


def _cost(act: Callable[[], object], runs: int, calls: int) -> float:
    """Return the median over all runs, in microseconds."""
    costs = []
    for _ in range(runs):
        began = time.perf_counter()
        for _ in range(calls):
            act()
        costs.append((time.perf_counter() - began) / calls * 1e6)
    return median(costs)


def _texts() -> dict[str, str]:
    return {
        "log lines": _megabyte("2026-11-25 03:12:07,980 INFO portfolio_etl.prices: 32 holdings to refresh\n"),
        "frames": _megabyte(
            '  File "/app/portfolio_etl/prices.py", line 91, in fetch\n    prices = client.get(ticker)\n'
        ),
        "lines that resemble secrets": _megabyte("\n".join(NEAR_MISSES)),
        "lines with secrets": _megabyte("\n".join(map(plain, SECRETS))),
        "nothing but names of secrets": _megabyte("password="),
        "nothing but digits": _megabyte("4111 1111 1111 1112 "),
    }


def _megabyte(piece: str) -> str:
    return (piece * (SIZE // len(piece) + 1))[:SIZE]
