"""What users of `logging.handlers.SMTPHandler` look at: the settings in force, under the names that they have there."""

from __future__ import annotations

import logging.handlers
from typing import TYPE_CHECKING, Any

from alertlog.arguments import Arguments

if TYPE_CHECKING:
    from alertlog.works import Works

# The attribute, and the variable that it comes from.
_WHERE = {
    "mailhost": "HOST",
    "mailport": "PORT",
    "username": "USERNAME",
    "password": "PASSWORD",
    "fromaddr": "FROM",
    "toaddrs": "TO",
    "secure": "TRANSPORT",
    "timeout": "TIMEOUT_SECONDS",
}


class SettingsView(logging.handlers.SMTPHandler):
    """The settings as attributes: the environment's if those are complete, else the arguments."""

    _arguments: Arguments

    if TYPE_CHECKING:

        @property
        def works(self) -> Works: ...

    def __setattr__(self, name: str, value: object) -> None:
        """Raises AttributeError for a setting: the environment overrides it, and so it would silently do nothing."""
        if name in _WHERE or name == "subject":
            variable = f"set {self._arguments.env_prefix}{_WHERE[name]} or " if name in _WHERE else ""
            raise AttributeError(f"{name}: can't be assigned; {variable}give the handler's argument")
        super().__setattr__(name, value)

    @property
    def alert_level(self) -> int:
        """The level from which on records are mailed."""
        given = self._arguments.alert_level
        if given is not None:
            return given
        return self.level if self.level >= logging.WARNING else logging.CRITICAL

    @property
    def mailhost(self) -> str:  # type: ignore[override]
        """The server that mail goes to."""
        return str(self._effective("host", self._arguments.host))

    @property
    def mailport(self) -> int | None:  # type: ignore[override]
        port: int | None = self._effective("port", self._arguments.port)
        return port

    @property
    def fromaddr(self) -> str:  # type: ignore[override]
        return str(self._effective("sender", self._arguments.sender))

    @property
    def toaddrs(self) -> list[str]:  # type: ignore[override]
        return [str(recipient) for recipient in self._effective("recipients", self._arguments.recipients)]

    @property
    def subject(self) -> str:  # type: ignore[override]
        return self._arguments.subject

    @property
    def username(self) -> str | None:  # type: ignore[override]
        return self._effective("username", "") or None

    @property
    def password(self) -> None:  # type: ignore[override]
        """Never shown."""
        return None

    @property
    def timeout(self) -> float | None:  # type: ignore[override]
        """Seconds of wall time for one whole delivery attempt."""
        seconds: float | None = self._effective("timeout", self._arguments.timeout)
        return seconds

    @property
    def secure(self) -> tuple[str, ...] | None:  # type: ignore[override]
        """None without TLS; else the names of a client's key file and certificate file, or ()."""
        settings = self.works.settings()
        if settings is None:
            return self._arguments.secure
        return None if settings.transport == "none" else settings.client_certificate or ()

    def _effective(self, name: str, argument: Any) -> Any:
        settings = self.works.settings()
        return argument if settings is None else getattr(settings, name)
