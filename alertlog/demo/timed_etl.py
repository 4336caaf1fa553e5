"""The ETL with a stopwatch at its logging calls, of which it knows nothing.

    python -m alertlog.demo.timed_etl TIMINGS [ARGUMENTS OF THE ETL ...]

TIMINGS is a file for one JSON object a line: level, message, the kind of alert or null, and seconds.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any


class TimedLogger(logging.Logger):
    """A logger that notes how long each call held its caller."""

    def __init__(self, name: str, level: int = logging.NOTSET) -> None:
        super().__init__(name, level)
        self.timings: list[dict[str, Any]] = []

    def info(self, msg: object, *args: object, **kwargs: Any) -> None:
        self._time(super().info, msg, args, kwargs)

    def warning(self, msg: object, *args: object, **kwargs: Any) -> None:
        self._time(super().warning, msg, args, kwargs)

    def error(self, msg: object, *args: object, **kwargs: Any) -> None:
        self._time(super().error, msg, args, kwargs)

    def critical(self, msg: object, *args: object, **kwargs: Any) -> None:
        self._time(super().critical, msg, args, kwargs)

    def _time(self, call: Callable[..., None], msg: object, args: tuple[object, ...], kwargs: Any) -> None:
        started = perf_counter()
        # The record's file and line stay those of the caller, two frames up from here.
        call(msg, *args, stacklevel=3, **kwargs)
        seconds = perf_counter() - started
        self.timings.append(
            {
                "level": call.__name__.upper(),
                "message": str(msg) % args,
                "alert": (kwargs.get("extra") or {}).get("alert"),
                "seconds": seconds,
            }
        )


def main(arguments: Sequence[str]) -> int:
    """Run the ETL, write the timings and return its exit code."""
    logging.setLoggerClass(TimedLogger)
    logger = logging.getLogger("portfolio_etl")
    logging.setLoggerClass(logging.Logger)
    from . import portfolio_etl

    assert isinstance(logger, TimedLogger)
    code = portfolio_etl.main(arguments[1:])
    Path(arguments[0]).write_text("".join(json.dumps(timing) + "\n" for timing in logger.timings))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
