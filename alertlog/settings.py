"""From the environment to frozen settings: all problems at once, and no secret in any of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from alertlog.access import Auth, TokenSource, login_problems, token_source
from alertlog.errors import ConfigError
from alertlog.mailbox import Mailbox
from alertlog.variables import (
    PORTS,
    REQUIRED,
    SETTINGS,
    Environment,
    Setting,
    Transport,
    readable_file,
)

__all__ = [
    "NO_DEFAULTS",
    "SETTINGS",
    "Mailbox",
    "Setting",
    "SmtpDefaults",
    "SmtpSettings",
    "Transport",
    "describe",
    "read_smtp",
]

HANDLER_PORT = 25
"""The port that `logging.handlers.SMTPHandler` uses where `mailhost` has none."""
MASK = "********"

_ARGUMENTS = {
    "HOST": "mailhost",
    "PORT": "mailhost",
    "FROM": "fromaddr",
    "TO": "toaddrs",
    "TIMEOUT_SECONDS": "timeout",
}


@dataclass(frozen=True, slots=True)
class SmtpSettings:
    """How to reach the mail server, and who writes to whom.

    Attributes:
        timeout: seconds of wall time for one whole delivery attempt.
        client_certificate: names of a key file and a certificate file, to show to the server.
        plain_on_loopback: moved over from SMTPHandler: if the peer's address turns out to be a loopback one,
            speak without TLS.
        unset_transport: the variable that chooses the transport, if nobody did; "" otherwise.
        insecure_login: True if the deployer allowed credentials without TLS.
        auth: how to log in, where there are credentials.
        token_source: where the token comes from that stands for a password; None if there is none.
        prefix: what the names of its variables begin with.
        way: its number among the handler's servers; 0 is the first.
        backups: those that stand in for it, in order.
        problems: by variable, what is wrong with servers that are left out.
    """

    host: str
    port: int
    transport: Transport
    timeout: float
    sender: Mailbox
    recipients: tuple[Mailbox, ...]
    username: str = ""
    password: str = field(default="", repr=False)
    ca_file: str = ""
    client_certificate: tuple[str, str] | None = None
    plain_on_loopback: bool = False
    unset_transport: str = ""
    insecure_login: bool = False
    auth: Auth = "auto"
    token_source: TokenSource | None = None
    prefix: str = "SMTP_"
    way: int = 0
    backups: tuple[SmtpSettings, ...] = ()
    problems: Mapping[str, str] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """Where mail goes, without secrets: equal as long as nothing but a secret or a recipient changes."""
        login = "" if self.auth == "auto" else f" {self.auth} {self.token_source or ''}"
        return f"{self.host}:{self.port} {self.transport} {self.username} {self.sender.address}{login}"

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be in any text that leaves; "" among them is none."""
        own = (self.password, *(self.token_source.secrets if self.token_source else ()))
        return (*own, *(secret for backup in self.backups for secret in backup.secrets))

    @property
    def ways(self) -> tuple[SmtpSettings, ...]:
        """All servers, in the order in which they are tried."""
        return (self, *self.backups)

    @property
    def server(self) -> str:
        """Its host and port, for people to read."""
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class SmtpDefaults:
    """What the handler's arguments say, those of `logging.handlers.SMTPHandler`; the environment overrides.

    Attributes:
        port: that of `mailhost`; it does not outlive a host that the environment sets.
        secure: () for STARTTLS, or the names of a key file and a certificate file.
        timeout: seconds.
    """

    host: str = ""
    port: int | None = None
    sender: str = ""
    recipients: tuple[str, ...] = ()
    secure: tuple[str, ...] | None = None
    timeout: float | None = None

    @property
    def from_arguments(self) -> bool:
        return bool(self.host)

    def texts(self) -> dict[str, str]:
        """Return by variable, without its prefix, the text that stands in for it; "" where there is none."""
        return {
            "HOST": self.host,
            "PORT": "" if self.port is None else str(self.port),
            "TIMEOUT_SECONDS": "" if self.timeout is None else str(self.timeout),
            "FROM": self.sender,
            "TO": ", ".join(self.recipients),
        }


NO_DEFAULTS = SmtpDefaults()


def read_smtp(
    environ: Mapping[str, str],
    prefix: str = "SMTP_",
    defaults: SmtpDefaults = NO_DEFAULTS,
) -> SmtpSettings:
    """Read the variables whose names begin with `prefix`, each of them also as NAME_FILE.

    Raises:
        ConfigError: with every problem, by variable, or by argument where that is at fault.
    """
    reading = _read(environ, prefix, defaults)
    if isinstance(reading, SmtpSettings):
        return reading
    raise ConfigError(reading, missing=all(problem == REQUIRED for problem in reading.values()))


def describe(settings: SmtpSettings, prefix: str = "SMTP_") -> dict[str, str]:
    """Return by variable what is in force, for people to read; secrets are masked, "" is not set."""
    texts = {
        "HOST": settings.host,
        "TRANSPORT": settings.transport,
        "PORT": str(settings.port),
        "TIMEOUT_SECONDS": f"{settings.timeout:g}",
        "USERNAME": settings.username,
        "PASSWORD": settings.password,
        "AUTH": settings.auth,
        **(settings.token_source.texts() if settings.token_source else {}),
        "FROM": settings.sender.readable,
        "TO": ", ".join(recipient.readable for recipient in settings.recipients),
        "CA_FILE": settings.ca_file,
        "INSECURE_LOGIN": "allow" if settings.insecure_login else "",
    }
    for setting in SETTINGS:
        if setting.secret and texts.get(setting.suffix):
            texts[setting.suffix] = MASK
    return {f"{prefix}{setting.suffix}": texts.get(setting.suffix, "") for setting in SETTINGS}


def _read(environ: Mapping[str, str], prefix: str, defaults: SmtpDefaults) -> SmtpSettings | dict[str, str]:
    # ConfigError is raised a frame above this one: a tool that shows local variables would show the password.
    env = Environment(environ, prefix)
    arguments = defaults.texts()
    values: dict[str, Any] = {}
    for setting in SETTINGS:
        fallback = arguments.get(setting.suffix) or setting.default
        if setting.suffix == "PORT":
            fallback = _port(values["TRANSPORT"] or "starttls", None if env.says("HOST") else defaults)
        values[setting.suffix] = env.read(setting, fallback)
    problems = _by_argument(env, prefix, arguments)
    problems |= _secure_problems(defaults) | login_problems(values, prefix, problems)
    return problems or _settings(values, prefix, env, defaults)


def _by_argument(env: Environment, prefix: str, arguments: Mapping[str, str]) -> dict[str, str]:
    """Return the problems, by argument where that stood in for the variable."""
    named: dict[str, str] = {}
    for name, problem in env.problems().items():
        suffix = name.removeprefix(prefix)
        stood_in = suffix in _ARGUMENTS and arguments[suffix] and not env.says(suffix)
        key = _ARGUMENTS[suffix] if stood_in else name
        named[key] = f"{named[key]}; {problem}" if key in named else problem
    return named


def _port(transport: Transport, arguments: SmtpDefaults | None) -> str:
    if arguments is None or not arguments.host:
        return str(PORTS[transport])
    if arguments.port is not None:
        return str(arguments.port)
    # SMTPHandler knows no implicit TLS, so who chose that did not mean its port.
    return str(PORTS["ssl"] if transport == "ssl" else HANDLER_PORT)


def _secure_problems(defaults: SmtpDefaults) -> dict[str, str]:
    if not defaults.secure:
        return {}
    if len(defaults.secure) != 2:
        return {"secure": "has to be (), or the names of a key file and a certificate file"}
    try:
        for path in defaults.secure:
            readable_file(path)
    except ValueError as error:
        return {"secure": str(error)}
    return {}


def _settings(values: dict[str, Any], prefix: str, env: Environment, defaults: SmtpDefaults) -> SmtpSettings:
    undecided = defaults.secure is None and not env.says("TRANSPORT")
    moved_over = defaults.from_arguments and not env.says("HOST")
    return SmtpSettings(
        host=values["HOST"],
        port=values["PORT"],
        transport=values["TRANSPORT"],
        timeout=values["TIMEOUT_SECONDS"],
        sender=values["FROM"],
        recipients=values["TO"],
        username=values["USERNAME"] or "",
        password=values["PASSWORD"] or "",
        ca_file=values["CA_FILE"] or "",
        client_certificate=(defaults.secure[0], defaults.secure[1]) if defaults.secure else None,
        plain_on_loopback=moved_over and undecided and not values["USERNAME"],
        unset_transport=f"{prefix}TRANSPORT" if undecided else "",
        insecure_login=bool(values["INSECURE_LOGIN"]),
        auth=values["AUTH"],
        token_source=token_source(values),
        prefix=prefix,
    )
