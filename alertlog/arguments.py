"""The arguments of AlertHandler: checked when it is made, frozen, and never a secret among them."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from logging import LogRecord
from typing import Any, Literal

Language = Literal["en", "fr"]
LANGUAGES: tuple[Language, ...] = ("en", "fr")
Strings = str | Sequence[str]

_LEAST = {"context_lines": 0, "outbox_incidents": 10, "outbox_bytes": 1024 * 1024}
"""The least that each argument may be which is a whole number."""


@dataclass(frozen=True, slots=True)
class Arguments:
    """What a deployment's configuration says about one handler, the environment aside.

    Attributes:
        host, port, sender, recipients, secure, timeout: what SMTPHandler's arguments say; the environment overrides.
        subject: template of the Subject header; `subjects`: templates by kind.
        alert_level: records at this level and above are mailed; None for the handler's own level, if that is
            WARNING or above, else CRITICAL.
        context_lines: records shown that came before the alert; 0 for none.
        repeat_after, quiet_after, shutdown_timeout: seconds; see `alertlog.policy.Pace` and `AlertHandler.close`.
        outbox_incidents, outbox_bytes: see `alertlog.bounds.Bounds`.
        fingerprint: the program's own grouping, or None for alertlog's.
    """

    host: str
    port: int | None
    sender: str
    recipients: tuple[str, ...]
    secure: tuple[str, ...] | None
    timeout: float | None
    subject: str
    subjects: Mapping[str, str] = field(default_factory=dict)
    alert_level: int | None = None
    service: str | None = None
    context_lines: int = 50
    repeat_after: float = 300.0
    quiet_after: float = 3600.0
    mails_per_hour: float = 30.0
    shutdown_timeout: float | None = None
    outbox: str | None = None
    env_prefix: str = "SMTP_"
    language: Language = "en"
    outbox_incidents: int = 1_000
    outbox_bytes: int = 64 * 1024 * 1024
    fingerprint: Callable[[LogRecord], str] | None = None

    def __post_init__(self) -> None:
        """Raises ValueError, naming the argument."""
        for name, least in _LEAST.items():
            whole(name, getattr(self, name), least)
        for name in ("repeat_after", "quiet_after", "mails_per_hour"):
            positive(name, getattr(self, name))
        for name in ("timeout", "shutdown_timeout"):
            if getattr(self, name) is not None:
                positive(name, getattr(self, name), zero=name == "shutdown_timeout")
        if self.outbox is not None and not os.path.isabs(self.outbox):
            raise ValueError("outbox: has to be an absolute path")
        if not self.env_prefix.replace("_", "").isalnum() or not self.env_prefix.isascii():
            raise ValueError("env_prefix: has to be the beginning of a variable's name, such as SMTP_")
        if "@" in self.host:
            raise ValueError(f"mailhost: holds no login; set {self.env_prefix}USERNAME and {self.env_prefix}PASSWORD")


def refuse_credentials(credentials: object, env_prefix: str) -> None:
    """Raises ValueError: a secret's place is the environment, where it is in no configuration file and no backup."""
    if credentials is not None:
        raise ValueError(
            "credentials: secrets come from the environment only;"
            f" set {env_prefix}USERNAME and {env_prefix}PASSWORD (or {env_prefix}PASSWORD_FILE)"
        )


def whole(name: str, value: object, least: int) -> None:
    """Raises ValueError if the value is not a whole number of at least so much."""
    if type(value) is not int or value < least:
        raise ValueError(f"{name}: has to be a whole number of at least {least:,}")


def positive(name: str, value: object, *, zero: bool = False) -> None:
    """Raises ValueError if the value is not a finite number above zero (or zero, where that is allowed)."""
    number = value if isinstance(value, (int, float)) and not isinstance(value, bool) else math.nan
    if not 0 <= number <= sys.float_info.max or (number == 0 and not zero):
        raise ValueError(f"{name}: has to be a number {'of at least' if zero else 'above'} 0")


def language_of(language: str) -> Language:
    """Raises ValueError if mail can't be written in that language."""
    for known in LANGUAGES:
        if language == known:
            return known
    raise ValueError(f"language: has to be one of {', '.join(LANGUAGES)}")


def server_of(mailhost: str | Sequence[Any] | None) -> tuple[str, int | None]:
    """Return host and port of SMTPHandler's `mailhost`: a host, or a pair. Raises ValueError for anything else."""
    if mailhost is None or isinstance(mailhost, str):
        return mailhost or "", None
    if isinstance(mailhost, (tuple, list)) and len(mailhost) == 2:
        host, port = mailhost
        if isinstance(host, str) and isinstance(port, int) and not isinstance(port, bool):
            return host, port
    raise ValueError("mailhost: has to be a host, or a pair of host and port")


def recipients_of(toaddrs: Strings | None) -> tuple[str, ...]:
    """Return SMTPHandler's `toaddrs` as a tuple: one address or several. Raises ValueError for anything else."""
    if toaddrs is None:
        return ()
    if isinstance(toaddrs, str):
        return (toaddrs,)
    if not isinstance(toaddrs, (tuple, list, set, frozenset)):
        raise ValueError("toaddrs: has to be an address, or a list of addresses")
    return tuple(map(str, toaddrs))


def callable_of(name: str, value: object) -> Any:
    """Return a callable, also one given by its dotted name as `logging.config` resolves it; None for None.

    Raises:
        ValueError: there is none of that name, or it can't be called.
    """
    if isinstance(value, str):
        value = _resolved(name, value)
    elif value is None:
        return None
    if not callable(value):
        raise ValueError(f"{name}: has to be a callable, or the dotted name of one")
    return value


def _resolved(name: str, dotted: str) -> object:
    from logging.config import BaseConfigurator  # who gives a name comes from there

    try:
        return BaseConfigurator({}).resolve(dotted)
    except Exception as error:  # the module may be anybody's
        raise ValueError(f"{name}: there is no {ascii(dotted)} to import: {type(error).__name__}") from error
