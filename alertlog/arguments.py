"""The arguments of AlertHandler: checked when it is made, frozen, and never a secret among them.

What is wrong is a ValueError that names the argument, at once: later it would cost alerts. No error holds a value.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from logging import LogRecord, getLevelNamesMapping
from typing import TYPE_CHECKING, Literal

from alertlog.checks import ABOVE_ZERO, number, texts, whole
from alertlog.rules import NO_RULES, Rules

if TYPE_CHECKING:
    from alertlog.mailbox import Mailbox

Language = Literal["en", "fr"]
LANGUAGES: tuple[Language, ...] = ("en", "fr")

_YEAR = 365 * 24 * 3600
_WHOLE = {
    "context_lines": (0, 10_000),
    "outbox_incidents": (10, 1_000_000),
    "outbox_bytes": (1024 * 1024, 1024**4),
}
"""Between what each argument has to be that is a whole number."""
# A ration of less than 0.1 an hour would let alerts expire, which are kept for a week, while they wait for it.
_NUMBERS = {
    "repeat_after": (ABOVE_ZERO, _YEAR),
    "quiet_after": (ABOVE_ZERO, _YEAR),
    "mails_per_hour": (0.1, 1_000_000),
}
_NUMBERS_OR_NONE = {"timeout": (ABOVE_ZERO, 300), "shutdown_timeout": (0, 86_400)}
_SECRETS = ("pass", "pwd", "secret", "token", "credential", "user", "login", "auth", "apikey", "api_key")
"""What stands in the name of an argument that somebody wants to log in with."""


@dataclass(frozen=True, slots=True)
class Arguments:
    """What a deployment's configuration says about one handler, the environment aside.

    Attributes:
        host, port, sender, recipients, secure, timeout: what SMTPHandler's arguments say; the environment overrides.
        subject: template of the Subject header; `subjects`: templates by kind.
        environment: which deployment of the service this is; None for what ALERTLOG_ENVIRONMENT says.
        reply_to: mailboxes for those who answer; templates: a folder of the deployer's own, None for alertlog's.
        alert_level: records at this level and above are mailed; None for the handler's own level, if that is
            WARNING or above, else CRITICAL.
        context_lines: records shown that came before the alert; 0 for none.
        repeat_after, quiet_after, shutdown_timeout: seconds; see `alertlog.policy.Pace` and `AlertHandler.close`.
        outbox_incidents, outbox_bytes: see `alertlog.bounds.Bounds`.
        backups: what the names of the variables begin with of the servers that stand in for the first.
        fingerprint: the program's own grouping, or None for alertlog's.
        redact: what is a secret, in addition to alertlog's own rules.
        capture_uncaught: whether exceptions that nobody catches are alerts; see `alertlog.uncaught`.
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
    backups: tuple[str, ...] = ()
    language: Language = "en"
    environment: str | None = None
    reply_to: tuple[Mailbox, ...] = ()
    templates: str | None = None
    outbox_incidents: int = 1_000
    outbox_bytes: int = 64 * 1024 * 1024
    fingerprint: Callable[[LogRecord], str] | None = None
    redact: Rules = NO_RULES
    capture_uncaught: bool = False

    def __post_init__(self) -> None:
        """Raises ValueError, naming the argument."""
        for name, (least, most) in _WHOLE.items():
            whole(name, getattr(self, name), least, most)
        for name, (lowest, highest) in _NUMBERS.items():
            number(name, getattr(self, name), lowest, highest)
        for name, (lowest, highest) in _NUMBERS_OR_NONE.items():
            if getattr(self, name) is not None:
                number(name, getattr(self, name), lowest, highest)
        if "@" in self.host:
            raise ValueError(f"mailhost: holds no login; {_where(self.env_prefix)}")


def prefixes_of(env_prefix: object) -> tuple[str, tuple[str, ...]]:
    """Return the first prefix, and the others. Raises ValueError if no variable's name can begin so."""
    given = env_prefix if isinstance(env_prefix, (tuple, list)) else (env_prefix,)
    if not given or not all(map(_is_prefix, given)):
        raise ValueError("env_prefix: has to be the beginning of a variable's name, such as SMTP_, or a list of some")
    if len({*given}) < len(given):
        raise ValueError("env_prefix: names one prefix twice")
    return given[0], tuple(given[1:])


def _is_prefix(text: object) -> bool:
    return isinstance(text, str) and text.isascii() and text.replace("_", "").isalnum()


def refuse_credentials(credentials: object, env_prefix: str) -> None:
    """Raises ValueError: a secret's place is the environment, where it is in no configuration file and no backup."""
    if credentials is not None:
        raise ValueError(f"credentials: secrets come from the environment only; {_where(env_prefix)}")


def refuse_unknown(names: Iterable[str], env_prefix: str) -> None:
    """Raises ValueError for an argument that there is not, and says what was meant, as far as one can tell."""
    for name in names:
        if any(part in name.lower() for part in _SECRETS):
            raise ValueError(f"{name}: no argument; secrets come from the environment only; {_where(env_prefix)}")
        raise ValueError(f"{name}: no argument of AlertHandler{_meant(name)}")


def _meant(name: str) -> str:
    from difflib import get_close_matches

    own = {
        "host": "mailhost",
        "port": "mailhost",
        "sender": "fromaddr",
        "recipients": "toaddrs",
        "backups": "env_prefix",
    }
    known = [own.get(field.name, field.name) for field in fields(Arguments)]
    return "".join(f"; {argument} is one" for argument in get_close_matches(name.lower(), known, 1))


def _where(env_prefix: str) -> str:
    return f"set {env_prefix}USERNAME and {env_prefix}PASSWORD (or {env_prefix}PASSWORD_FILE)"


def language_of(language: object) -> Language:
    """Raises ValueError if mail can't be written in that language."""
    for known in LANGUAGES:
        if language == known:
            return known
    raise ValueError(f"language: has to be one of {', '.join(LANGUAGES)}")


def level_of(level: object) -> int | None:
    """Return the number of a level, which may be given by its name; None for None. Raises ValueError for any other."""
    found = getLevelNamesMapping().get(level, level) if isinstance(level, str) else level
    if found is None or (isinstance(found, int) and not isinstance(found, bool)):
        return found
    raise ValueError(f"alert_level: has to be a whole number, or one of {', '.join(getLevelNamesMapping())}")


def server_of(mailhost: object) -> tuple[str, int | None]:
    """Return host and port of SMTPHandler's `mailhost`: a host, or a pair. Raises ValueError for anything else."""
    if mailhost is None or isinstance(mailhost, str):
        return mailhost or "", None
    if isinstance(mailhost, (tuple, list)) and len(mailhost) == 2:
        host, port = mailhost
        if isinstance(host, str) and type(port) is int and 1 <= port <= 65_535:
            return host, port
    raise ValueError("mailhost: has to be a host, or a pair of host and port, a whole number from 1 to 65535")


def recipients_of(toaddrs: object) -> tuple[str, ...]:
    """Return SMTPHandler's `toaddrs` as a tuple: one address or several. Raises ValueError for anything else."""
    return () if toaddrs is None else texts("toaddrs", toaddrs)


def secure_of(secure: object) -> tuple[str, ...] | None:
    """Return SMTPHandler's `secure`: None, nothing for STARTTLS alone, or the names of key file and certificate file.

    One name is that of a file that holds both.

    Raises:
        ValueError: it is anything else, such as True.
    """
    if secure is None:
        return None
    if isinstance(secure, (tuple, list)) and len(secure) <= 2 and all(isinstance(name, str) for name in secure):
        return (secure[0], secure[-1]) if secure else ()
    raise ValueError(
        "secure: has to be a list of file names: [] for STARTTLS,"
        " [key file, certificate file] to show the server a certificate too"
    )


def path_of(name: str, value: object) -> str | None:
    """Return a path as text, None for None. Raises ValueError if it is not absolute, or no path."""
    if value is None:
        return None
    path = os.fspath(value) if isinstance(value, (str, os.PathLike)) else ""
    if isinstance(path, str) and os.path.isabs(path) and "\0" not in path:
        return path
    raise ValueError(f"{name}: has to be an absolute path")


def reply_to_of(reply_to: object) -> tuple[Mailbox, ...]:
    """Return one mailbox or several, none for None.

    Raises:
        ValueError: one is none, or only an extension of SMTP could carry it (RFC 6531), which not every server has.
    """
    if reply_to is None:
        return ()
    given = ", ".join(texts("reply_to", reply_to))
    from alertlog.mailbox import mailboxes  # costs imports that few handlers need

    try:
        found = mailboxes(given)
    except ValueError:
        found = ()
    if found and all(mailbox.address.isascii() for mailbox in found):
        return found
    raise ValueError(
        "reply_to: has to be a mailbox, such as `Ops <ops@example.org>`, or several, in ASCII before the @"
    )
