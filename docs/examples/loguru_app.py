"""loguru: a handler of the standard library is a sink."""

import logging

from loguru import logger

from alertlog import AlertHandler


def unpack(record: logging.LogRecord) -> bool:
    """What was bound, loguru hands over as one dict, `extra`: make fields of it, as `logging` does."""
    for name, value in record.__dict__.pop("extra", {}).items():
        record.__dict__.setdefault(name, value)
    return True


def main() -> None:
    alerts = AlertHandler(service="portfolio-etl", subjects={"quota": "[ETL] {provider}: quota used up"})
    alerts.addFilter(unpack)
    # Only the message: time, level and traceback have their own place in the mail.
    logger.add(alerts, level="INFO", format="{message}")
    log = logger.bind(provider="marketstack")
    log.info("Fetching {} tickers", 12)
    log.bind(alert="quota").warning("Quota used up: {} of {}", 100, 100)
    prices: dict[str, float] = {}
    try:
        prices["ZZZ.TO"]
    except KeyError:
        log.opt(exception=True).critical("No price")


if __name__ == "__main__":
    main()
