"""The portfolio database: an SQLite file with holdings, prices, valuations and a log of runs.

Amounts are decimal text: a sum of money is exact or it is wrong.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import astuple, dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Literal, Self

from .prices import Price
from .quota import Mode

Source = Literal["api", "last_known"]

SCHEMA = """
CREATE TABLE IF NOT EXISTS holdings (
    account TEXT, ticker TEXT, currency TEXT, quantity TEXT, cost TEXT, PRIMARY KEY (account, ticker));
CREATE TABLE IF NOT EXISTS prices (
    ticker TEXT, day TEXT, price TEXT, currency TEXT, source TEXT, PRIMARY KEY (ticker, day));
CREATE TABLE IF NOT EXISTS valuations (
    day TEXT, account TEXT, currency TEXT, value TEXT, cost TEXT, unpriced INTEGER,
    PRIMARY KEY (day, account, currency));
CREATE TABLE IF NOT EXISTS runs (
    id INTEGER PRIMARY KEY, day TEXT, mode TEXT, calls INTEGER);
"""


@dataclass(frozen=True, slots=True)
class Holding:
    """So many shares of something in an account; the cost is what one share was bought for."""

    account: str
    ticker: str
    currency: str
    quantity: Decimal
    cost: Decimal


class Store:
    """An open database. Each method that writes is one transaction."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator[Self]:
        """Open a file, made if it is not there, for the time of a `with` block; raises sqlite3.Error."""
        with closing(sqlite3.connect(path)) as db:
            db.executescript(SCHEMA)
            yield cls(db)

    def replace_holdings(self, holdings: Iterable[Holding]) -> None:
        rows = [tuple(map(str, astuple(holding))) for holding in holdings]
        with self._db:
            self._db.execute("DELETE FROM holdings")
            self._db.executemany("INSERT INTO holdings VALUES (?, ?, ?, ?, ?)", rows)

    def stalest_first(self, day: date) -> list[str]:
        """Return the held tickers that the API has not priced on this day, those never priced first."""
        rows = self._db.execute(
            """SELECT h.ticker, MAX(p.day) AS priced FROM (SELECT DISTINCT ticker FROM holdings) AS h
            LEFT JOIN prices AS p ON p.ticker = h.ticker AND p.source = 'api' AND p.day <= :day
            GROUP BY h.ticker HAVING priced IS NULL OR priced < :day ORDER BY priced, h.ticker""",
            {"day": day.isoformat()},
        )
        return [ticker for ticker, _ in rows]

    def save_price(self, ticker: str, day: date, price: Price, source: Source) -> None:
        row = (ticker, day.isoformat(), str(price.amount), price.currency, source)
        with self._db:
            self._db.execute("INSERT OR REPLACE INTO prices VALUES (?, ?, ?, ?, ?)", row)

    def last_known(self, ticker: str, day: date) -> Price | None:
        """Return the latest price that the API ever gave, up to a day."""
        row = self._db.execute(
            """SELECT price, currency FROM prices WHERE ticker = ? AND day <= ? AND source = 'api'
            ORDER BY day DESC LIMIT 1""",
            (ticker, day.isoformat()),
        ).fetchone()
        return Price(Decimal(row[0]), row[1]) if row else None

    def save_valuations(self, day: date) -> None:
        """Value each account in each currency by the day's prices; what has none is counted, not valued."""
        values: dict[tuple[str, str], list[Decimal]] = defaultdict(lambda: [Decimal(0)] * 3)
        for account, currency, quantity, cost, price in self._db.execute(
            """SELECT h.account, h.currency, h.quantity, h.cost, p.price FROM holdings AS h
            LEFT JOIN prices AS p ON p.ticker = h.ticker AND p.day = ? ORDER BY h.account, h.ticker""",
            (day.isoformat(),),
        ):
            total = values[account, currency]
            total[0] += Decimal(quantity) * Decimal(price or 0)
            total[1] += Decimal(quantity) * Decimal(cost)
            total[2] += price is None
        rows = [
            (day.isoformat(), account, currency, str(value), str(cost), int(unpriced))
            for (account, currency), (value, cost, unpriced) in sorted(values.items())
        ]
        with self._db:
            self._db.execute("DELETE FROM valuations WHERE day = ?", (day.isoformat(),))
            self._db.executemany("INSERT INTO valuations VALUES (?, ?, ?, ?, ?, ?)", rows)

    def add_run(self, day: date, mode: Mode, calls: int) -> None:
        with self._db:
            self._db.execute("INSERT INTO runs (day, mode, calls) VALUES (?, ?, ?)", (day.isoformat(), mode, calls))
