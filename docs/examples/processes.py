"""multiprocessing, by fork and by spawn: each process raises alerts of its own, and none is lost or told twice."""

import logging.config
import multiprocessing
import sys
from typing import Any

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"alerts": {"class": "alertlog.AlertHandler", "level": "INFO", "service": "portfolio-etl"}},
    "root": {"level": "INFO", "handlers": ["alerts"]},
}
logger = logging.getLogger("portfolio_etl")


def configure() -> None:
    """In the parent, and in each child that is spawned: it begins with nothing of the parent's."""
    logging.config.dictConfig(LOGGING)


def load(ticker: str) -> None:
    logger.critical("No price for %s", ticker, extra={"alert": "missing_price", "alert_key": ticker})


def main(method: str) -> None:
    configure()
    logger.info("Started by %s", method)
    context = multiprocessing.get_context(method)
    # A forked child has its parent's handlers already; configured anew it works as well.
    with context.Pool(2, initializer=configure) as pool:
        pool.map(load, ["SHOP.TO", "ZZZ.TO", "AAPL"])
        pool.close()
        pool.join()


if __name__ == "__main__":
    main(sys.argv[1])
