"""What it costs to find out which incident a record belongs to, by the record's shape."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from functools import partial
from statistics import median

from alertlog.capture import fingerprint
from tests.benchmarks.tables import microseconds, print_table

CALLS = 20_000


def main(runs: int) -> None:
    rows = []
    for name, record in _records().items():
        cost = min(median(_cost(partial(fingerprint, record)) for _ in range(3)) for _ in range(runs))
        rows.append((name, microseconds(cost)))
    print_table("The fingerprint of a record", ("shape", "a record"), rows)


def _cost(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    for _ in range(CALLS):
        act()
    return (time.perf_counter() - began) / CALLS * 1e6


def _records() -> dict[str, logging.LogRecord]:
    try:
        raise ValueError("no price") from KeyError("SHOP.TO")
    except ValueError:
        raised = sys.exc_info()
    text = "Order 4711 for user@example.org failed after 3.2 s: /var/lib/app/orders/4711.json"
    with_kind = _record("Quota used: %d", 100)
    with_kind.__dict__["alert"] = "quota"
    return {
        "a kind": with_kind,
        "a template": _record("Quota used: %d", 100),
        "pre-formatted text": _record(text),
        "pre-formatted, 10,000 characters": _record(text * 125),
        "a dict, as of structlog": _record({"event": text, "order": 4711}),
        "a template and an exception with a cause": _record("No price for %s", "SHOP.TO", raised=raised),
    }


def _record(message: object, *arguments: object, raised: object = None) -> logging.LogRecord:
    return logging.LogRecord("portfolio_etl", 50, __file__, 1, message, arguments, raised)  # type: ignore[arg-type]
