"""What one argument has to be: each check returns the value as it is used, or names the argument in a ValueError.

No error holds a value: it may be a secret that somebody put in the wrong place.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from typing import Any

ABOVE_ZERO = sys.float_info.min
"""The least that a number may be for which 0 is too small."""


def text(name: str, value: object) -> str | None:
    """Return a text, or None where none is given. Raises ValueError for anything else."""
    if value is None or isinstance(value, str):
        return value
    raise ValueError(f"{name}: has to be a text, not {_kind(value)}")


def texts(name: str, value: object) -> tuple[str, ...]:
    """Return one text or several as a tuple. Raises ValueError for anything else."""
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, (tuple, list, set, frozenset)):
        raise ValueError(f"{name}: has to be a text or a list of texts, not {_kind(value)}")
    for item in value:
        if not isinstance(item, str):
            raise ValueError(f"{name}: each item has to be a text, not {_kind(item)}")
    return tuple(value)


def table(name: str, value: object) -> dict[str, str]:
    """Return a mapping of texts to texts, empty where none is given. Raises ValueError for anything else."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ValueError(f"{name}: has to be a mapping of texts to texts, not {_kind(value)}")
    for item in (part for pair in value.items() for part in pair):
        if not isinstance(item, str):  # YAML makes a number of 404 and a truth value of `on`
            raise ValueError(f"{name}: each key and each value has to be a text, in quotes in YAML, not {_kind(item)}")
    return dict(value)


def truth(name: str, value: object) -> bool:
    """Return True or False. Raises ValueError for anything else, such as a text that says so."""
    if isinstance(value, bool):
        return value
    raise ValueError(f"{name}: has to be true or false, not {_kind(value)}")


def whole(name: str, value: object, least: int, most: int) -> None:
    """Raises ValueError if the value is not a whole number between two others."""
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"{name}: has to be a whole number from {least:,} to {most:,}")


def number(name: str, value: object, least: float, most: float) -> None:
    """Raises ValueError if the value is not a number between two others."""
    given = value if isinstance(value, (int, float)) and not isinstance(value, bool) else math.nan
    if not least <= given <= most:
        start = "above 0, up" if least == ABOVE_ZERO else f"from {least:,}"
        raise ValueError(f"{name}: has to be a number {start} to {most:,}")


def function(name: str, value: object) -> Any:
    """Return a callable, also one given by its dotted name as `logging.config` resolves it; None for None.

    Raises:
        ValueError: there is none of that name, or it can't be called.
    """
    if value is None:
        return None
    found = _resolved(name, value) if isinstance(value, str) else value
    if not callable(found):
        raise ValueError(f"{name}: has to be a callable, or the dotted name of one, not {_kind(found)}")
    return found


def _resolved(name: str, dotted: str) -> object:
    from logging.config import BaseConfigurator  # who gives a name comes from there

    try:
        return BaseConfigurator({}).resolve(dotted.removeprefix("ext://"))
    except (Exception, SystemExit) as error:  # the module may be anybody's
        raise ValueError(f"{name}: there is no {dotted!a} to import ({type(error).__name__})") from error


def _kind(value: object) -> str:
    return "None" if value is None else type(value).__qualname__
