"""Flask under gunicorn, also with --preload: what is configured once in the master works in each worker."""

import logging.config
import os

from flask import Flask, request

logging.config.dictConfig(
    {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {
            "console": {"class": "logging.StreamHandler"},
            "alerts": {"class": "alertlog.AlertHandler", "level": "INFO", "alert_level": "ERROR", "service": "shop"},
        },
        "root": {"level": "INFO", "handlers": ["console", "alerts"]},
    }
)
app = Flask("shop")
# Made while the master loads the application: where workers are forked, each goes on by itself.
app.logger.info("Loaded by %d", os.getpid())


@app.get("/")
def health() -> str:
    app.logger.info("Healthy")
    return str(os.getpid())


@app.get("/alert")
def alert() -> str:
    app.logger.critical("Payment provider is down", extra={"alert": "payments", "alert_key": request.args["key"]})
    return str(os.getpid())


@app.get("/fail")
def fail() -> str:
    """Flask logs it as an error, with the traceback."""
    raise LookupError(f"no order {request.args['order']}")
