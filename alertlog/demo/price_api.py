"""A small price API on the loopback, with a monthly quota, for the demo and its tests.

`GET /v1/quota?day=DAY` is free and answers with provider, limit, used and resets_on for the day's month.
`GET /v1/prices/TICKER?day=DAY` costs a call and answers with ticker, price and currency; with 404 for a
ticker that it lacks, with 429 once the month's calls are used up. Prices depend on ticker and day alone.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Collection
from datetime import date, timedelta
from decimal import Decimal
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit
from zlib import crc32

Answer = tuple[HTTPStatus, dict[str, Any]]

PROVIDER = "demo-prices"


class PriceApi:
    """The API, which serves while its `with` block runs.

    Args:
        limit: calls a month.
        lacks: the tickers that it does not have.

    Attributes:
        used: by month (YYYY-MM), the calls so far.
        url: where it listens; the system chose the port.
    """

    def __init__(self, limit: int = 100, lacks: Collection[str] = ()) -> None:
        self.limit = limit
        self.lacks = frozenset(lacks)
        self.used: Counter[str] = Counter()
        self.url = ""

    def __enter__(self) -> Self:
        # One request at a time: the count of calls needs no lock.
        self._server = HTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="price-api")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def quota(self, day: date) -> Answer:
        next_month = day.replace(day=1) + timedelta(days=32)
        return HTTPStatus.OK, {
            "provider": PROVIDER,
            "limit": self.limit,
            "used": self.used[f"{day:%Y-%m}"],
            "resets_on": next_month.replace(day=1).isoformat(),
        }

    def price(self, ticker: str, day: date) -> Answer:
        if self.used[f"{day:%Y-%m}"] >= self.limit:
            return HTTPStatus.TOO_MANY_REQUESTS, {"error": "monthly quota used up"}
        self.used[f"{day:%Y-%m}"] += 1
        if ticker in self.lacks:
            return HTTPStatus.NOT_FOUND, {"error": "no such ticker"}
        cents = 1_000 + crc32(ticker.encode()) % 40_000 + crc32(f"{ticker} {day}".encode()) % 500
        currency = "CAD" if ticker.endswith(".TO") else "USD"
        return HTTPStatus.OK, {"ticker": ticker, "price": str(Decimal(cents) / 100), "currency": currency}

    def answer(self, target: str) -> Answer:
        """Answer a request for a path with its query."""
        parts = urlsplit(target)
        try:
            day = date.fromisoformat(parse_qs(parts.query)["day"][0])
        except (KeyError, ValueError):
            return HTTPStatus.BAD_REQUEST, {"error": "day=YYYY-MM-DD is required"}
        match parts.path.split("/"):
            case ["", "v1", "quota"]:
                return self.quota(day)
            case ["", "v1", "prices", ticker]:
                return self.price(unquote(ticker), day)
            case _:
                return HTTPStatus.NOT_FOUND, {"error": "no such page"}


def _handler(api: PriceApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, data = api.answer(self.path)
            body = json.dumps(data).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Stay off stderr, which is the pipeline's."""

    return Handler
