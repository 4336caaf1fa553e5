"""The smallest pipeline that mails its critical records: it knows of nothing but the standard library's logging."""

import logging
import logging.config
from pathlib import Path

import yaml

logger = logging.getLogger("portfolio_etl")


def main() -> None:
    logging.config.dictConfig(yaml.safe_load(Path("logging.yaml").read_text(encoding="utf-8")))
    used, limit = 100, 100
    if used >= limit:
        logger.critical("Quota used: %d of %d", used, limit, extra={"alert": "quota", "provider": "marketstack"})


if __name__ == "__main__":
    main()
