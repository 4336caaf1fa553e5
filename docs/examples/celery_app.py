"""Celery with a prefork pool: logging is ours, and each process of the pool sends what it raised."""

import logging.config
import os
import signal
from typing import Any

from celery import Celery
from celery.signals import setup_logging, worker_process_shutdown

app = Celery("shop", broker=os.environ["CELERY_BROKER_URL"])
logger = logging.getLogger("shop.tasks")


@setup_logging.connect
def configure(**_: Any) -> None:
    """Whoever receives this signal sets logging up; Celery would take the handlers off the root otherwise."""
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {
                "console": {"class": "logging.StreamHandler"},
                "alerts": {
                    "class": "alertlog.AlertHandler",
                    "level": "INFO",
                    "alert_level": "ERROR",
                    "service": "shop-tasks",
                },
            },
            "root": {"level": "INFO", "handlers": ["console", "alerts"]},
        }
    )


@worker_process_shutdown.connect
def leave(**_: Any) -> None:
    """Processes of the pool end without what Python does at an exit."""
    logging.shutdown()


@app.task
def alert(key: str) -> None:
    logger.critical("Payment provider is down", extra={"alert": "payments", "alert_key": key})


@app.task
def die(key: str) -> None:
    """As the kernel ends a process that takes too much memory: nothing in it is called any more."""
    alert(key)
    os.kill(os.getpid(), signal.SIGKILL)


@app.task
def fail(order: str) -> None:
    """Celery logs it as an error, with the traceback."""
    raise LookupError(f"no order {order}")
