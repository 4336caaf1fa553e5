"""Made-up records of each kind that the sample pipeline knows, for tests, and mails about them, for previews.

They take a handler's own way from record to alert, with its formatter, its subject and its redaction.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal, get_args

from alertlog.alert import Alert, Incident, Line
from alertlog.draft import Draft, Reason
from alertlog.handler import AlertHandler

Occasion = Literal["first", "late", "follow-up", "digest", "closing", "resolved", "test"]
"""When a mail is written: the mails of an incident in their order, and those that are about no single one."""
OCCASIONS: tuple[Occasion, ...] = get_args(Occasion)

MESSAGE_ID = "<preview@alertlog.invalid>"
"""Of no mail that was ever sent (RFC 2606 section 2)."""
_ROOT = "<first@alertlog.invalid>"
_LOGGER = "alertlog.test"
_LASTING = 1_900.0
"""Seconds from the first alert of a sample incident to its last one."""
_LATE = 47 * 60.0
_QUIET = 3_600.0


@dataclass(frozen=True, slots=True)
class Specimen:
    """What is logged about one kind of trouble.

    Attributes:
        message: a template, with the arguments that are filled into it: the first time, and again.
        extras: what stands beside it, "alert" aside.
    """

    message: str
    arguments: tuple[object, ...]
    again: tuple[object, ...]
    extras: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))


SPECIMENS: Mapping[str, Specimen] = MappingProxyType(
    {
        "quota": Specimen(
            "Price API quota used up: %d of %d calls",
            (100, 100),
            (103, 100),
            {"provider": "marketstack", "used": 100, "limit": 100},
        ),
        "missing_price": Specimen(
            "No price for %d tickers: %s",
            (2, "SHOP.TO, ZZZ.TO"),
            (3, "ABC.TO, SHOP.TO, ZZZ.TO"),
            {"tickers": "SHOP.TO, ZZZ.TO", "count": 2},
        ),
    }
)
"""What the kinds that the sample pipeline knows look like; any other kind gets a plain sentence."""


def draft(handler: AlertHandler, kind: str, occasion: Occasion) -> Draft:
    """Return a mail that this handler would write about made-up alerts.

    Args:
        kind: of the alerts; "" for one without a kind, about an exception.
    """
    return _MAKERS[occasion](_Maker(handler, kind, handler.works.clock.wall()))


@dataclass(frozen=True, slots=True)
class _Maker:
    handler: AlertHandler
    kind: str
    now: float

    def first(self) -> Draft:
        return self._about("opening", _opened(self._alert(self.kind, self.now)))

    def late(self) -> Draft:
        early = _opened(self._alert(self.kind, self.now - _LATE))
        return replace(self._about("opening", early), cause="repair")

    def follow_up(self) -> Draft:
        return self._about("follow-up", self._lasting(self.now))

    def digest(self) -> Draft:
        others = [kind for kind in ("quota", "") if kind != self.kind]
        opened = [_opened(self._alert(kind, self.now)) for kind in others]
        return Draft(MESSAGE_ID, self.now, "digest", (self._lasting(self.now), *opened), "ration")

    def closing(self) -> Draft:
        return self._about("closing", self._lasting(self.now - _QUIET))

    def resolved(self) -> Draft:
        lasting = self._lasting(self.now)
        over = self._later(Specimen("Back to normal", (), ()), (), self.now, resolved=True)
        return self._about("resolved", replace(lasting, resolved=True, samples=(*lasting.samples, over)))

    def test(self) -> Draft:
        alert = self._alert(self.kind, self.now)._replace(test=True, context=())
        return self._about("test", _opened(alert))

    def _about(self, reason: Reason, incident: Incident) -> Draft:
        return Draft(MESSAGE_ID, self.now, reason, (incident,))

    def _alert(self, kind: str, moment: float) -> Alert:
        sample = specimen(kind)
        information = None if kind else failure()
        made = record(sample, sample.arguments, "preview", information, alert=kind or None)
        return self.handler.alert_of(made)._replace(created=moment, context=_before(self.handler, moment))

    def _lasting(self, until: float) -> Incident:
        """An incident that two mails have told of."""
        began = until - _LASTING
        sample = specimen(self.kind)
        again = self._later(sample, sample.again, until - 60)
        told: dict[str, Any] = {"count": 38, "accounted": 13, "mails": 2, "thread": _ROOT, "news": until - _LASTING / 2}
        return replace(_opened(self._alert(self.kind, began)), last=until, samples=(again,), **told)

    def _later(self, sample: Specimen, arguments: tuple[object, ...], moment: float, **steering: object) -> Alert:
        made = record(sample, arguments, "preview", None, alert=self.kind or None, **steering)
        return self.handler.alert_of(made)._replace(created=moment, context=())


_MAKERS: Mapping[Occasion, Callable[[_Maker], Draft]] = MappingProxyType(
    {
        "first": _Maker.first,
        "late": _Maker.late,
        "follow-up": _Maker.follow_up,
        "digest": _Maker.digest,
        "closing": _Maker.closing,
        "resolved": _Maker.resolved,
        "test": _Maker.test,
    }
)


def specimen(kind: str) -> Specimen:
    """Return what is logged about that kind; "" for no kind."""
    if not kind:
        return Specimen("No prices for %s", ("SHOP.TO",), ("ZZZ.TO",), {"ticker": "SHOP.TO"})
    return SPECIMENS.get(kind, Specimen("A test of the alert %s", (kind,), (f"{kind}, again",)))


def record(
    sample: Specimen, arguments: tuple[object, ...], function: str, information: Any = None, **steering: object
) -> logging.LogRecord:
    """Return a CRITICAL record, as if `function` had logged it; `information` is what `sys.exc_info()` said, if any."""
    logger = logging.getLogger(_LOGGER)
    extra = {**sample.extras, **steering}
    return logger.makeRecord(
        logger.name, logging.CRITICAL, __file__, 0, sample.message, arguments, information, function, extra
    )


def failure() -> Any:
    """Return what `sys.exc_info()` says of an exception with a cause, as a pipeline's would be."""
    information = None
    try:
        _price("SHOP.TO", {})
    except LookupError:
        information = sys.exc_info()
    return information


def _price(ticker: str, prices: Mapping[str, float]) -> float:
    try:
        return prices[ticker]
    except KeyError as error:
        raise LookupError(f"a simulated failure: no price for {ticker}") from error


def _opened(alert: Alert) -> Incident:
    return Incident(
        id=1,
        fingerprint=alert.fingerprint,
        kind=alert.kind,
        level=alert.level,
        levelname=alert.levelname,
        first=alert.created,
        last=alert.created,
        count=1,
        accounted=0,
        mails=0,
        thread="",
        alert=alert,
    )


def _before(handler: AlertHandler, moment: float) -> tuple[Line, ...]:
    lines = (
        (moment - 41.2, "INFO", "portfolio_etl", "32 holdings to refresh"),
        (moment - 1.75, "WARNING", "portfolio_etl.prices", "no answer for SHOP.TO, trying once more"),
        (moment - 0.5, "ERROR", "portfolio_etl.prices", "gave up on SHOP.TO\nTimeoutError: timed out"),
    )
    wanted = min(len(lines), handler.works.arguments.context_lines)
    return lines[len(lines) - wanted :]
