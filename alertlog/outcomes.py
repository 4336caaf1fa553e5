"""What became of each letter, as events: an operator has to be able to tell from them which mail is where, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from alertlog import policy
from alertlog.errors import AlertlogError
from alertlog.events import Reports
from alertlog.smtp import Receipt
from alertlog.waiting import Waiting

if TYPE_CHECKING:
    from alertlog.letter import Detour, Letter
    from alertlog.settings import SmtpSettings


class Outcomes:
    """Tells a reporter."""

    def __init__(self, reporter: Reports) -> None:
        self._reporter = reporter
        self._problems: Mapping[str, str] = {}

    def composed(self, letter: Letter) -> None:
        """Say what is wrong with the deployer's templates, once until it changes: each attempt composes anew."""
        if letter.problems and letter.problems != self._problems:
            said = "; ".join(f"{name}: {problem}" for name, problem in letter.problems.items())
            self._reporter.report(
                "template_failed",
                f"alertlog's own template took its place: {said}",
                message_id=letter.message_id,
                stage="compose",
                problems=dict(letter.problems),
            )
        self._problems = letter.problems

    def sent(
        self, settings: SmtpSettings, waiting: Waiting, receipt: Receipt, seconds: float, detour: Detour | None = None
    ) -> None:
        another = f"; it went through {detour.server}, as the first server failed: {detour.error}" if detour else ""
        self._reporter.report(
            "smtp_send_succeeded",
            f"{_what(waiting)} was accepted: {receipt.reply}{another}",
            smtp_code=250,
            recipients=list(receipt.accepted),
            duration_ms=round(seconds * 1000, 1),
            **_letter_fields(settings, waiting),
        )

    def refused(self, waiting: Waiting, receipt: Receipt) -> None:
        for refusal in receipt.refused:
            self._reporter.report(
                "smtp_recipient_refused",
                f"{refusal.address} did not get the mail: {refusal.code} {refusal.text}",
                message_id=waiting.draft.message_id,
                recipients=[refusal.address],
                smtp_code=refusal.code,
                category="temporary" if refusal.temporary else "permanent",
            )

    def closed(self, waiting: Waiting) -> None:
        reason = waiting.draft.reason
        for incident in waiting.draft.incidents:
            if policy.closes(reason, incident) and not (incident.alert.test or waiting.told):
                self._reporter.report(
                    "incident_closed",
                    f"{'resolved' if incident.resolved else 'told whole'}: {incident.alert.summary}",
                    kind=incident.kind,
                    fingerprint=incident.fingerprint,
                    count=incident.count,
                )

    def failed(self, settings: SmtpSettings, waiting: Waiting, error: AlertlogError, wait: float | None) -> None:
        alert = waiting.draft.incidents[0].alert
        self._reporter.report(
            "smtp_send_failed",
            f"{_what(waiting)} was not accepted: {error}",
            stage=error.stage,
            category=error.category,
            smtp_code=error.code,
            retry_in_s=None if wait is None else round(wait, 1),
            alert=alert.to_dict(),
            **_letter_fields(settings, waiting),
        )

    def detour(
        self, settings: SmtpSettings, waiting: Waiting, error: AlertlogError, wait: float | None, following: int
    ) -> None:
        """Tell that a server failed at this letter, and that the next one is tried with it and so many following."""
        others = f" and {following} more" if following else ""
        again = "" if wait is None else f"; the server is tried again in {wait:.0f} s at the earliest"
        self._reporter.report(
            "smtp_detour",
            f"the next server is tried with the {_what(waiting)}{others}: {error}{again}",
            stage=error.stage,
            category=error.category,
            smtp_code=error.code,
            retry_in_s=None if wait is None else round(wait, 1),
            **_letter_fields(settings, waiting),
        )


def _what(waiting: Waiting) -> str:
    first = waiting.draft.incidents[0].alert
    more = len(waiting.draft.incidents) - 1
    return f"{waiting.draft.reason} mail about {first.summary!r}{f' and {more} more' if more else ''}"


def _letter_fields(settings: SmtpSettings, waiting: Waiting) -> dict[str, Any]:
    incidents = waiting.draft.incidents
    single = len(incidents) == 1
    return {
        "kind": incidents[0].kind if single else "digest",
        "fingerprint": incidents[0].fingerprint if single else None,
        "message_id": waiting.draft.message_id,
        "attempt": waiting.attempts + 1,
        "host": settings.host,
        "port": settings.port,
        "transport": settings.transport,
    }
