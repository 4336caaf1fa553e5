"""The table of SMTP variables: how each is called, what it means, and how its text is read, by environs.

What reads a text gets it without white space around it, and raises a ValueError that says what is wrong, such
as "is not a number": the variable's name comes before it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, cast

import environs

from alertlog import access
from alertlog.errors import ConfigError
from alertlog.hosts import host
from alertlog.mailbox import mailbox, mailboxes
from alertlog.place import variable
from alertlog.redact import Redactor

Transport = Literal["starttls", "ssl", "none"]
PORTS: Mapping[Transport, int] = {"starttls": 587, "ssl": 465, "none": 25}
"""The port where none is given, by transport (RFC 8314 section 3.3, RFC 5321)."""
MAX_TIMEOUT = 300
"""Seconds."""
REQUIRED = "is required, and not set"


def _transport(text: str) -> Transport:
    if text.lower() not in PORTS:
        raise ValueError("has to be starttls, ssl or none")
    return cast(Transport, text.lower())


def _port(text: str) -> int:
    # int() takes `5_87` and other scripts' digits, and smtplib 65536+N for N.
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65_535:
        raise ValueError("has to be a whole number from 1 to 65535")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text) if text.isascii() and "_" not in text else 0.0
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= MAX_TIMEOUT:  # False for NaN
        raise ValueError(f"has to be a number of seconds above 0, and {MAX_TIMEOUT} at most")
    return seconds


def readable_file(text: str) -> str:
    try:
        with open(text, "rb") as file:
            file.read(1)
    except (OSError, ValueError) as error:
        problem = getattr(error, "strerror", None) or "not a path"
    else:
        return text
    raise ValueError(f"names a file that can't be read: {problem}")


def _allow(text: str) -> bool:
    if text != "allow":
        raise ValueError("has to be allow, or not set")
    return True


@dataclass(frozen=True, slots=True)
class Setting:
    """One variable, without its prefix, as the documentation lists it and as `read_smtp` reads it."""

    suffix: str
    meaning: str
    parse: Callable[[str], object] = field(repr=False)
    default: str = ""
    required: bool = False
    secret: bool = False


SETTINGS = (
    Setting("HOST", "the server's name or address", host, required=True),
    Setting("TRANSPORT", "starttls, ssl or none; never downgraded", _transport, default="starttls"),
    Setting("PORT", "1 to 65535", _port, default=f"{', '.join(map(str, PORTS.values()))} by transport"),
    Setting("TIMEOUT_SECONDS", "wall time of one whole attempt, greeting to QUIT", _seconds, default="10"),
    Setting("USERNAME", "to log in with; both or neither", access.username),
    Setting("PASSWORD", "to log in with; both or neither", access.secret, secret=True),
    Setting("AUTH", f"{', '.join(access.AUTHS[:-1])} or {access.AUTHS[-1]}", access.auth, default="auto"),
    Setting("TOKEN", "for xoauth2, in the place of a password", access.token, secret=True),
    Setting("TOKEN_COMMAND", "a program that prints a token, run without a shell", access.command),
    Setting("OAUTH_TOKEN_URL", "an OAuth 2 token endpoint (extra oauth)", access.token_url),
    Setting("OAUTH_CLIENT_ID", "who asks there", access.visible),
    Setting("OAUTH_CLIENT_SECRET", "the client's own secret", access.secret, secret=True),
    Setting("OAUTH_SCOPE", "what the token is to be good for", access.visible),
    Setting("OAUTH_REFRESH_TOKEN", "instead of a grant by client credentials", access.token, secret=True),
    Setting("FROM", "one mailbox, display name allowed", mailbox, required=True),
    Setting("TO", "mailboxes, comma-separated as in a header", mailboxes, required=True),
    Setting("CA_FILE", "a private CA, in addition to the system's", readable_file),
    Setting("INSECURE_LOGIN", "allow: credentials may cross the network without TLS", _allow),
)


class _Unusable(NamedTuple):
    problem: str


class Environment(environs.Env):
    """What `environs.FileAwareEnv` is for, but over a given mapping, and strict about files.

    That one lets NAME_FILE win in silence, raises at the first file that it can't read, decodes it as the
    locale says and strips passwords or nothing.
    """

    def __init__(self, environ: Mapping[str, str], prefix: str) -> None:
        super().__init__(eager=False, expand_vars=False, prefix=prefix)
        self._given = environ
        self._said: set[str] = set()
        self._secret = {f"{prefix}{setting.suffix}" for setting in SETTINGS if setting.secret}
        self.add_parser("setting", self._parse)

    def read(self, setting: Setting, fallback: str) -> Any:
        """Return what the variable says, or else what the fallback does; None if it is wrong or nothing."""
        return self.setting(setting.suffix, fallback, setting=setting)

    def says(self, suffix: str) -> bool:
        """Whether the variable itself was set when it was read."""
        return f"{self._prefix}{suffix}" in self._said

    def problems(self) -> dict[str, str]:
        """Return by variable what was wrong with all that was read; nothing can be read after it."""
        try:
            self.seal()
        except environs.EnvValidationError as error:
            found = cast(Mapping[str, list[str]], error.error_messages)
            return {name: "; ".join(messages) for name, messages in found.items()}
        return {}

    def _get_value(self, env_key: str, default: Any) -> Any:
        try:
            text = variable(env_key, self._given)
        except ConfigError as error:
            self._said.add(env_key)
            return _Unusable(error.problems[env_key])
        if env_key not in self._secret:
            text = text.strip()
        if text:
            self._said.add(env_key)
        return text or default

    def _parse(self, text: str | _Unusable, setting: Setting) -> Any:
        if isinstance(text, _Unusable):
            raise environs.ValidationError(text.problem)
        if not text:
            if setting.required:
                raise environs.ValidationError(REQUIRED)
            return None
        try:
            return setting.parse(text)
        except ValueError:
            # Its text may show the value, so the problem is found once more, without the secrets.
            shown = text if setting.secret else Redactor.of(self._given).text(text)
        raise environs.ValidationError(_problem(setting, shown))


def _problem(setting: Setting, text: str) -> str:
    try:
        setting.parse(text)
    except ValueError as error:
        return str(error)
    return "is wrong, and holds a secret"
