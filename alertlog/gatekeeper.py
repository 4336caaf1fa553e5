"""Whether the way to the server may be tried now: the settings, read anew each time, and the gate."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from alertlog.alert import Incident
from alertlog.clock import Clock
from alertlog.errors import ConfigError
from alertlog.events import Reports
from alertlog.gate import Gate
from alertlog.policy import CLOCK_JUMP, HOUR, LONGEST_WAIT, NEW_PROCESS

if TYPE_CHECKING:
    from alertlog.outbox import Outbox
    from alertlog.settings import SmtpSettings


class Gatekeeper:
    """Knows one handler's settings, and what became of them. To be used with the keeper's lock held.

    Attributes:
        problems: by variable, what is wrong with the settings.
    """

    def __init__(self, read_settings: Callable[[], SmtpSettings], reporter: Reports, clock: Clock) -> None:
        self._read_settings = read_settings
        self._reporter = reporter
        self._clock = clock
        self.problems: dict[str, str] = {}
        self._warned = False
        self._in_force: tuple[object, ...] | None = None
        self._tried = False

    def settings(self, incidents: Sequence[Incident]) -> SmtpSettings | None:
        """Return the settings in force; None, with an event that carries the first alert, if they are wrong."""
        try:
            settings = self._read_settings()
        except ConfigError as error:
            if error.problems != self.problems:
                self.problems = error.problems
                self._report_problems(error, incidents)
            return None
        self.problems = {}
        self._warn_of_insecure_login(settings)
        return settings

    def try_with(self, settings: SmtpSettings) -> None:
        """An attempt is about to be made with these."""
        self._in_force = _in_force(settings)
        self._tried = True

    def shut(self, outbox: Outbox) -> bool:
        """Return whether the server is to be left alone for now; open the gate if a repair may have been made.

        Raises:
            OutboxError: the outbox can't be used.
        """
        now = self._clock.wall()
        gate = outbox.gate()
        furthest = now + LONGEST_WAIT + CLOCK_JUMP  # a small step back, which nothing follows, opens no gate
        if gate.failures == 0 or not now < gate.due <= furthest:
            return False
        settings = self.settings([])
        if settings is None:
            return True
        if self._may_be_repaired(gate, settings, now):
            outbox.hurry()
            return False
        if gate.category == "refused" and now - gate.told >= HOUR:
            self._remind(gate, settings, now)
            outbox.set_gate(replace(gate, told=now))
        return True

    def _may_be_repaired(self, gate: Gate, settings: SmtpSettings, now: float) -> bool:
        """Whether this is not what failed: other settings, files or, as far as a new process can know, passwords."""
        before, self._in_force = self._in_force, _in_force(settings)
        if settings.place != gate.place or before not in (None, self._in_force):
            return True
        return gate.category == "refused" and not self._tried and now - gate.tried >= NEW_PROCESS

    def _remind(self, gate: Gate, settings: SmtpSettings, now: float) -> None:
        self._reporter.report(
            "smtp_send_failed",
            f"mail is still not accepted and waits for a repair: {gate.error}",
            category=gate.category,
            attempt=gate.failures,
            retry_in_s=round(gate.due - now),
            host=settings.host,
            port=settings.port,
            transport=settings.transport,
        )

    def _warn_of_insecure_login(self, settings: SmtpSettings) -> None:
        if settings.username and settings.transport == "none" and not self._warned:
            self._warned = True
            self._reporter.report(
                "smtp_insecure_login",
                f"credentials go to {settings.host} without TLS",
                host=settings.host,
                port=settings.port,
                transport=settings.transport,
            )

    def _report_problems(self, error: ConfigError, incidents: Sequence[Incident]) -> None:
        first = incidents[0].alert if incidents else None
        self._reporter.report(
            "smtp_config_missing" if error.missing else "smtp_config_invalid",
            f"mail can't be sent, alerts are kept: {error}",
            stage=error.stage,
            category=error.category,
            problems=error.problems,
            alert=first.to_dict() if first else None,
        )


def _in_force(settings: SmtpSettings) -> tuple[object, ...]:
    """Return what would differ if somebody had repaired the settings, or a file that they name."""
    return (settings, *map(_changed, (settings.ca_file, *(settings.client_certificate or ()))))


def _changed(path: str) -> float:
    try:
        return os.stat(path).st_mtime
    except (OSError, ValueError):
        return 0.0
