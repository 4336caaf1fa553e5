"""structlog over the standard library: each key of an event is a row of the mail, and a placeholder in subjects."""

import logging

import structlog

from alertlog import AlertHandler


def configure() -> None:
    alerts = AlertHandler(service="portfolio-etl", subjects={"quota": "[ETL] {provider}: quota used up"})
    logging.basicConfig(level=logging.INFO, handlers=[logging.StreamHandler(), alerts])
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            # The last one makes a record of the event: its keys go where `extra` goes, with `alert` among them.
            structlog.stdlib.render_to_log_kwargs,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )


def main() -> None:
    configure()
    log = structlog.get_logger("portfolio_etl").bind(provider="marketstack")
    log.info("Fetching", tickers=12)
    log.warning("Quota used up", alert="quota", used=100, limit=100)
    prices: dict[str, float] = {}
    try:
        prices["ZZZ.TO"]
    except KeyError:
        log.critical("No price", exc_info=True)


if __name__ == "__main__":
    main()
