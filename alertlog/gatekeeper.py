"""Whether the way to a server may be tried now: the settings, read anew each time, and the gates."""

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
from alertlog.policy import HOUR, NEW_PROCESS
from alertlog.route import is_open, next_way

if TYPE_CHECKING:
    from alertlog.outbox import Outbox
    from alertlog.settings import SmtpSettings


class Gatekeeper:
    """Knows one handler's settings, and what became of them. To be used with the keeper's lock held.

    Attributes:
        problems: by variable, what is wrong with the settings, if no server has any that are right.
    """

    def __init__(self, read_settings: Callable[[], SmtpSettings], reporter: Reports, clock: Clock) -> None:
        self._read_settings = read_settings
        self._reporter = reporter
        self._clock = clock
        self.problems: dict[str, str] = {}
        self._left_out: dict[str, str] = {}
        self._warned: set[int] = set()
        self._in_force: dict[int, tuple[object, ...]] = {}
        self._tried: set[int] = set()

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
        if settings.problems != self._left_out:
            self._left_out = dict(settings.problems)
            self._report_left_out()
        for way in settings.ways:
            self._warn_of_insecure_login(way)
        return settings

    def try_with(self, outbox: Outbox, settings: SmtpSettings) -> None:
        """An attempt is about to be made with these, by each server whose gate is open.

        Raises:
            OutboxError: the outbox can't be used.
        """
        now = self._clock.wall()
        for way in settings.ways:
            self._in_force[way.way] = _in_force(way)
            if is_open(outbox.gate(way.way), now):
                self._tried.add(way.way)

    def shut(self, outbox: Outbox) -> bool:
        """Return whether all servers are to be left alone for now; open a gate if a repair may have been made.

        Raises:
            OutboxError: the outbox can't be used.
        """
        now = self._clock.wall()
        gates = outbox.gates()
        if not gates or any(is_open(gate, now) for gate in gates):  # more is known when there is something to send
            return False
        settings = self.settings([])
        if settings is None:
            return True
        if self.way_out(outbox, settings):
            return False
        for way in settings.ways:
            gate = outbox.gate(way.way)
            if gate.category == "refused" and now - gate.told >= HOUR:
                self._remind(gate, way, now)
                outbox.set_gate(replace(gate, told=now))
        return True

    def way_out(self, outbox: Outbox, settings: SmtpSettings) -> bool:
        """Return whether a server may be tried now; open the gate of each that may have been repaired.

        Raises:
            OutboxError: the outbox can't be used.
        """
        now = self._clock.wall()
        outbox.keep_gates(way.way for way in settings.ways)
        for way in settings.ways:
            gate = outbox.gate(way.way)
            if not is_open(gate, now) and self._may_be_repaired(gate, way, now):
                outbox.reopen(way.way)
        return next_way([outbox.gate(way.way) for way in settings.ways], (), now) is not None

    def _may_be_repaired(self, gate: Gate, way: SmtpSettings, now: float) -> bool:
        """Whether this is not what failed: other settings, files or, as far as a new process can know, passwords."""
        before, self._in_force[way.way] = self._in_force.get(way.way), _in_force(way)
        if way.place != gate.place or before not in (None, self._in_force[way.way]):
            return True
        return gate.category == "refused" and way.way not in self._tried and now - gate.tried >= NEW_PROCESS

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
        if settings.username and settings.transport == "none" and settings.way not in self._warned:
            self._warned.add(settings.way)
            self._reporter.report(
                "smtp_insecure_login",
                f"credentials go to {settings.host} without TLS",
                host=settings.host,
                port=settings.port,
                transport=settings.transport,
            )

    def _report_left_out(self) -> None:
        problems = self._left_out
        if problems:
            told = "; ".join(f"{name}: {problem}" for name, problem in problems.items())
            self._reporter.report(
                "smtp_config_invalid",
                f"a server is left out, mail goes without it: {told}",
                stage="settings",
                category="refused",
                problems=problems,
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
    own = replace(settings, backups=(), problems={})
    return (own, *map(_changed, (settings.ca_file, *(settings.client_certificate or ()))))


def _changed(path: str) -> float:
    try:
        return os.stat(path).st_mtime
    except (OSError, ValueError):
        return 0.0
