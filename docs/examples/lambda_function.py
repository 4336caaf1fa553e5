"""AWS Lambda: the process is frozen once it has answered, so what is due is sent before."""

import logging
from typing import Any

from alertlog import AlertHandler

# Of the settings, ALERTLOG_OUTBOX is in /tmp, where alone something can be written. It lasts as long as this instance.
alerts = AlertHandler(service="price-import", timeout=5)
logger = logging.getLogger()
logger.setLevel(logging.INFO)
logger.addHandler(alerts)


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    try:
        return {"prices": len(event["prices"])}
    except Exception:
        logger.critical("The import failed", exc_info=True)
        raise
    finally:
        alerts.flush()  # waits for one attempt at what is due, at most `timeout` seconds; nothing due returns at once
