"""FastAPI under uvicorn, which ends by the signal itself: logging has to be shut down before."""

import logging
import logging.config
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

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
                "service": "shop",
                "capture_uncaught": True,
            },
        },
        # uvicorn logs an exception of a request there, and does not hand it on to the root.
        "loggers": {"uvicorn.error": {"level": "INFO", "handlers": ["console", "alerts"], "propagate": False}},
        "root": {"level": "INFO", "handlers": ["console", "alerts"]},
    }
)
logger = logging.getLogger("shop")


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    yield
    logging.shutdown()  # on SIGTERM nothing else calls it; what is due goes out now


app = FastAPI(lifespan=lifespan)


@app.get("/")
async def health() -> int:
    logger.info("Healthy")
    return os.getpid()


@app.get("/alert")
async def alert(key: str) -> int:
    logger.critical("Payment provider is down", extra={"alert": "payments", "alert_key": key})
    return os.getpid()


@app.get("/fail")
async def fail(order: str) -> int:
    raise LookupError(f"no order {order}")
