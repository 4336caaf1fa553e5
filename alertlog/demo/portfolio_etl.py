"""A portfolio ETL, as cron runs one: holdings from a CSV file, prices from an API, values into SQLite.

    python -m alertlog.demo.portfolio_etl --holdings CSV --database FILE --api URL \\
        [--logging YAML] [--day YYYY-MM-DD]

The API allows so many calls a month. While they last, every holding is refreshed every day (`normal`); when
they run low, only the stalest are (`conserve`); when they are used up, last known prices stand in (`halt`).

Exit code 0: the day is valued, if need be with last known prices or without the missing ones, which the log
names. 1: it is not. 2: wrong usage.
"""

from __future__ import annotations

import argparse
import csv
import logging
import logging.config
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from .prices import PriceApiError, PriceClient, QuotaUsedUp, UnknownTicker, finite
from .quota import Mode, Quota, make_plan
from .store import Holding, Store

logger = logging.getLogger("portfolio_etl")


def run(holdings_file: Path, database: Path, client: PriceClient, day: date) -> None:
    """Value the holdings on a day, with a client that has made no call yet.

    Raises:
        ValueError: the holdings file is not what it should be.
        OSError, sqlite3.Error: a file can't be read or written.
    """
    holdings = read_holdings(holdings_file)
    with Store.open(database) as store:
        store.replace_holdings(holdings)
        mode = refresh(store, client, day)
        fill_in(store, day)
        store.save_valuations(day)
        store.add_run(day, mode, client.calls)
    logger.info("%s: %d holdings valued, mode %s, %d calls", day, len(holdings), mode, client.calls)


def read_holdings(path: Path) -> list[Holding]:
    """Read a CSV file with the columns account, ticker, currency, quantity and cost."""
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file, strict=True)
        try:
            holdings = [read_holding(row) for row in reader]
        except (KeyError, TypeError, ValueError, csv.Error) as error:
            raise ValueError(f"{path.name}, near line {reader.line_num}: {error!r}") from error
    if not holdings:
        raise ValueError(f"{path.name} holds nothing")
    return holdings


def read_holding(row: dict[str, str]) -> Holding:
    return Holding(
        account=row["account"],
        ticker=row["ticker"],
        currency=row["currency"],
        quantity=finite(row["quantity"]),
        cost=finite(row["cost"]),
    )


def refresh(store: Store, client: PriceClient, day: date) -> Mode:
    """Fetch what the quota allows, and return the mode that it came to."""
    try:
        quota = client.quota(day)
        plan = make_plan(quota, store.stalest_first(day))
        if plan.mode == "conserve":
            logger.warning("Price API quota low: %d calls left, making %d", quota.left, len(plan.tickers))
        if plan.mode != "halt" and fetch_all(store, client, plan.tickers, day):
            return plan.mode
        alert_quota(quota)
    except PriceApiError:
        logger.critical("Price API failed, last known prices stand in", exc_info=True, extra={"alert": "price_api"})
    return "halt"


def fetch_all(store: Store, client: PriceClient, tickers: Sequence[str], day: date) -> bool:
    """Keep each price as soon as it is there: it has been paid for. Return whether the quota sufficed."""
    for ticker in tickers:
        try:
            store.save_price(ticker, day, client.price(ticker, day), "api")
        except UnknownTicker:
            logger.debug("The price API does not know %s", ticker)
        except QuotaUsedUp:
            return False
    return True


def alert_quota(quota: Quota) -> None:
    used = max(quota.used, quota.limit)
    logger.critical(
        "Price API quota used up: %d of %d calls",
        used,
        quota.limit,
        extra={
            "alert": "quota",
            "provider": quota.provider,
            "used": used,
            "limit": quota.limit,
            "resets_on": quota.resets_on.isoformat(),
        },
    )


def fill_in(store: Store, day: date) -> None:
    """Let last known prices stand in, and report the tickers that have none in one record."""
    missing = []
    for ticker in store.stalest_first(day):
        price = store.last_known(ticker, day)
        if price:
            store.save_price(ticker, day, price, "last_known")
        else:
            missing.append(ticker)
    if missing:
        names = ", ".join(missing)
        logger.error(
            "No price for %d tickers: %s",
            len(missing),
            names,
            extra={"alert": "missing_price", "tickers": names, "count": len(missing)},
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run once and return the exit code."""
    options = parse(arguments)
    configure_logging(options.logging)
    try:
        run(options.holdings, options.database, PriceClient(options.api), options.day)
    except Exception:
        logger.critical("The portfolio was not valued", exc_info=True)
        return 1
    return 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="portfolio_etl", description="Value a portfolio on a day.")
    parser.add_argument("--holdings", type=Path, required=True, help="CSV file of holdings")
    parser.add_argument("--database", type=Path, required=True, help="SQLite file, made if it is not there")
    parser.add_argument("--api", required=True, help="URL of the price API")
    parser.add_argument("--logging", type=Path, help="YAML file for logging.config.dictConfig")
    parser.add_argument("--day", type=date.fromisoformat, default=date.today(), help="YYYY-MM-DD, or today")
    return parser.parse_args(arguments)


def configure_logging(path: Path | None) -> None:
    if path is None:
        logging.basicConfig(level=logging.INFO)
        return
    import yaml

    logging.config.dictConfig(yaml.safe_load(path.read_text(encoding="utf-8")))


if __name__ == "__main__":
    sys.exit(main())
