"""The trace and the span that a record belongs to, as OpenTelemetry's logging instrumentation writes them on it."""

from __future__ import annotations

import re
from collections.abc import Mapping

TRACE = "otelTraceID"
SPAN = "otelSpanID"
_SERVICE = "otelServiceName"
_SAMPLED = "otelTraceSampled"
_UNNAMED = ("", "unknown_service")

_ID = re.compile(r"[0-9a-fA-F]{1,32}")
_NONE = re.compile(r"0+")


def identifiers(extras: Mapping[str, str]) -> tuple[str, str]:
    """Return the ids of trace and span, each "" where the record has none or belongs to none, which is all zeros."""
    return _identifier(extras.get(TRACE, "")), _identifier(extras.get(SPAN, ""))


def unsampled(extras: Mapping[str, str]) -> bool:
    """Return whether the trace will not be found, because it was not sampled."""
    return extras.get(_SAMPLED) == "False"


def told_elsewhere(name: str, value: str, service: str) -> bool:
    """Return whether an extra is one of the instrumentation's that says nothing beyond the facts."""
    if name in (TRACE, SPAN):
        return _ID.fullmatch(value) is not None
    if name == _SAMPLED:
        return value in ("True", "False")
    return name == _SERVICE and value in (*_UNNAMED, service)


def _identifier(value: str) -> str:
    return value if _ID.fullmatch(value) and not _NONE.fullmatch(value) else ""
