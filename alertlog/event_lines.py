"""An event as a line of JSON: the form of the fallback stream."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from alertlog.ending import let_end

JSON_FORMAT: Mapping[str, Any] = MappingProxyType(
    {
        "fmt": ("event", "timestamp", "levelname", "name", "message"),
        "rename_fields": {"levelname": "level", "name": "logger"},
        "timestamp": True,
    }
)
"""The arguments of `pythonjsonlogger.json.JsonFormatter` for the fallback stream."""
FORMATTER = "pythonjsonlogger.json"
"""The module that the courier and the commands import; until then, and without it, events look the same."""


def line_of(record: logging.LogRecord, fields: Iterable[str]) -> str:
    """Return one line that ends: JSON, with those of the fields that the record has."""
    told = {name: record.__dict__[name] for name in ("event", *fields) if name in record.__dict__}
    # A record of its own, because the program's factory may have put anything on the other one.
    bare = logging.LogRecord(record.name, record.levelno, __file__, 0, record.getMessage(), (), None)
    bare.__dict__.update(told, created=record.created)
    # Never imported here: a fork in the middle of that would leave the child with half a module, locked for ever.
    formatter: Any = getattr(sys.modules.get(FORMATTER), "JsonFormatter", None)
    try:
        if formatter is not None:
            return f"{formatter(**JSON_FORMAT).format(bare)}\n"
    except Exception as error:  # for one, while the interpreter shuts down
        let_end(error)
    head = {"event": told.pop("event", None), "timestamp": _iso(bare.created)}
    return bare_line(**head, level=bare.levelname, logger=bare.name, message=bare.getMessage(), **told)


def _iso(created: float) -> str:
    seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(created))
    return f"{seconds}.{int(created % 1 * 1_000_000):06}+00:00"


def bare_line(**fields: object) -> str:
    """Return these fields as they are, in a line of JSON."""
    return f"{json.dumps(fields)}\n"
