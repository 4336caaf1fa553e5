"""Secrets that became known after an alert was taken, removed from what is sent or shown of it.

A dotenv file that is loaded late, or a file of secrets that rotates, makes a secret of what a journal or an outbox
holds already. What only looks like a secret was taken out when the alert was, and is not searched again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from alertlog.alert import Alert, Incident
from alertlog.draft import Draft

if TYPE_CHECKING:
    from alertlog.waiting import Waiting


class Knows(Protocol):
    """What is asked of an `alertlog.redact.Redactor`."""

    def knows_any_of(self, texts: Iterable[str]) -> bool: ...
    def known(self, text: str) -> str: ...


def clean_draft(draft: Draft, secrets: Knows) -> Draft:
    """Return the draft without what is known to be a secret by now; most often the very same."""
    incidents = tuple(clean_incident(incident, secrets) for incident in draft.incidents)
    return replace(draft, incidents=incidents) if incidents != draft.incidents else draft


def clean_waiting(waiting: Waiting, secrets: Knows) -> Waiting:
    """Return the letter likewise, with what a server said of it."""
    return replace(waiting, draft=clean_draft(waiting.draft, secrets), error=secrets.known(waiting.error))


def clean_incident(incident: Incident, secrets: Knows) -> Incident:
    """Return the incident likewise."""
    alert = clean_alert(incident.alert, secrets)
    samples = tuple(clean_alert(sample, secrets) for sample in incident.samples)
    own = (incident.kind, incident.levelname, incident.mute_reason, *incident.hosts)
    if alert is incident.alert and samples == incident.samples and not secrets.knows_any_of(own):
        return incident
    kind, levelname, reason, *hosts = map(secrets.known, own)
    return replace(
        incident, alert=alert, samples=samples, kind=kind, levelname=levelname, mute_reason=reason, hosts=tuple(hosts)
    )


def clean_alert(alert: Alert, secrets: Knows) -> Alert:
    """Return the alert likewise."""
    if not secrets.knows_any_of(_texts(alert)):
        return alert
    # Not the fingerprint: six hexadecimal digits of it may be somebody's secret, and they hold the thread together.
    return Alert._make(_without(tuple(alert), secrets.known))._replace(fingerprint=alert.fingerprint)


def _texts(value: tuple[Any, ...]) -> Iterator[str]:
    for part in value:
        if isinstance(part, str):
            yield part
        elif isinstance(part, tuple):
            yield from _texts(part)


def _without(value: Any, clean: Callable[[str], str]) -> Any:
    if isinstance(value, tuple):
        return tuple(_without(part, clean) for part in value)
    return clean(value) if isinstance(value, str) else value
