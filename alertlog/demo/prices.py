"""The price API, as the pipeline sees it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from http.client import HTTPException
from typing import Any, TypeVar
from urllib.error import HTTPError
from urllib.parse import quote, urlencode
from urllib.request import urlopen

from .quota import Quota

T = TypeVar("T")


class PriceApiError(Exception):
    """The API could not be reached, or what it answered makes no sense."""


class UnknownTicker(PriceApiError):
    """The API has no price for this ticker (HTTP 404)."""


class QuotaUsedUp(PriceApiError):
    """The API will answer no more this month (HTTP 429)."""


@dataclass(frozen=True, slots=True)
class Price:
    """What one share is worth, in its currency."""

    amount: Decimal
    currency: str


class PriceClient:
    """A client of the API at a URL.

    Args:
        url: such as https://prices.example.org
        timeout: how long to wait for each answer, in seconds.

    Attributes:
        calls: how many calls were made that count against the quota.
    """

    def __init__(self, url: str, timeout: float = 10.0) -> None:
        self.calls = 0
        self._url = url.rstrip("/")
        self._timeout = timeout

    def quota(self, day: date) -> Quota:
        """Return the count of the day's month; asking costs no call.

        Raises:
            PriceApiError: there is no telling.
        """
        return self._get("/v1/quota", day, _quota)

    def price(self, ticker: str, day: date) -> Price:
        """Return a ticker's price on a day; asking costs a call, also for a ticker that is unknown.

        Raises:
            UnknownTicker: the API does not have it.
            QuotaUsedUp: this would have been one call too many.
            PriceApiError: anything else that went wrong.
        """
        self.calls += 1
        try:
            return self._get(f"/v1/prices/{quote(ticker, safe='')}", day, _price)
        except QuotaUsedUp:
            self.calls -= 1
            raise

    def _get(self, path: str, day: date, read: Callable[[Any], T]) -> T:
        url = f"{self._url}{path}?{urlencode({'day': day.isoformat()})}"
        try:
            with urlopen(url, timeout=self._timeout) as response:
                return read(json.load(response))
        except HTTPError as error:
            error.close()
            kind = {404: UnknownTicker, 429: QuotaUsedUp}.get(error.code, PriceApiError)
            raise kind(f"{path}: HTTP {error.code} {error.reason}") from None
        except (OSError, HTTPException, LookupError, TypeError, ValueError) as error:
            raise PriceApiError(f"{path}: {type(error).__name__}: {error}") from error


def _quota(data: Any) -> Quota:
    return Quota(
        provider=str(data["provider"]),
        limit=int(data["limit"]),
        used=int(data["used"]),
        resets_on=date.fromisoformat(data["resets_on"]),
    )


def _price(data: Any) -> Price:
    return Price(finite(str(data["price"])), str(data["currency"]))


def finite(text: str) -> Decimal:
    """Raises ValueError for what is no number; Decimal itself takes NaN and Infinity for some."""
    try:
        amount = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"not a number: {text!r}") from None
    if not amount.is_finite():
        raise ValueError(f"not a finite number: {text!r}")
    return amount
