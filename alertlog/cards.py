"""Card numbers: digits of a length and a beginning that a card's have, whose check digit is right (ISO/IEC 7812-1).

Of numbers that are none, one in ten has a right check digit by chance: so what goes before and after has to look like
a number by itself, and times in milliseconds, which begin with a 1, are no card's.
"""

from __future__ import annotations

import re

LEAST = 13
"""Digits of the shortest."""

_SIGN = re.compile(r"[2-6][0-9]{3}[ -]?[0-9]{4}[ -]?[0-9]{2}[0-9 -][0-9]")
_NO_DIGITS = bytes(code for code in range(256) if not 48 <= code < 58)
# Alone, in groups of four, or as American Express and Diners Club print it. A group before it makes it a part of
# something longer, as an IBAN's digits are; the date that often follows a card's number does not.
_FORM = re.compile(
    r"(?<![\w.+])"
    r"(?:(?<![0-9]-)[2-6][0-9]{12,18}"
    r"|(?<![0-9][ -])(?:[2-6][0-9]{3}([ -])[0-9]{4}\1[0-9]{4}\1[0-9]{4}(?:\1[0-9]{3})?"
    r"|3[0-9]{3}([ -])[0-9]{6}\2[0-9]{4,5}))"
    r"(?!\w|\.[0-9])"
)
_ISSUERS = re.compile(
    r"4(?:[0-9]{12}|[0-9]{15}|[0-9]{18})"  # Visa
    r"|5[1-5][0-9]{14}|(?:222[1-9]|22[3-9][0-9]|2[3-6][0-9]{2}|27[01][0-9]|2720)[0-9]{12}"  # Mastercard
    r"|3[47][0-9]{13}"  # American Express
    r"|3(?:0[0-5]|[689][0-9])[0-9]{11}"  # Diners Club
    r"|35[0-9]{14,17}|308[0-9]{13}"  # JCB
    r"|6(?:011|2[0-9]{2}|4[4-9][0-9]|5[0-9]{2})[0-9]{12,15}"  # Discover, UnionPay
    r"|(?:5018|5020|5038|5893|6304|6759|676[1-3])[0-9]{9,15}"  # Maestro
)
_DOUBLED = bytes.maketrans(b"0123456789", b"\x00\x02\x04\x06\x08\x01\x03\x05\x07\x09")
_SINGLE = bytes.maketrans(b"0123456789", bytes(range(10)))


def may_hold_cards(text: str) -> bool:
    """Whether to search a text: quick, for the thread that logs asks it of each new alert."""
    # Most texts have no dozen digits in all, and these two methods find that out ten times as fast as a pattern.
    digits = text.encode("utf-8", "surrogatepass").translate(None, _NO_DIGITS)
    return len(digits) >= LEAST and _SIGN.search(text) is not None


def without_cards(text: str, mark: str) -> str:
    """Return the text with a mark in the place of each card number."""
    return _FORM.sub(lambda match: mark if _is_card(match[0]) else match[0], text)


def _is_card(text: str) -> bool:
    digits = text.replace(" ", "").replace("-", "")
    return _ISSUERS.fullmatch(digits) is not None and _checks(digits.encode("ascii"))


def _checks(digits: bytes) -> bool:
    """Whether the last digit is the one that goes with the others (Luhn)."""
    return (sum(digits[-2::-2].translate(_DOUBLED)) + sum(digits[::-2].translate(_SINGLE))) % 10 == 0
