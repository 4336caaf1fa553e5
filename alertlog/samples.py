"""The few later alerts that an incident keeps to be shown: those that say what none before them said."""

from __future__ import annotations

from collections.abc import Iterable

from alertlog.alert import Alert, Incident

SAMPLES = 5
"""Differing later alerts kept of an incident."""


def samples_of(incident: Incident, alerts: Iterable[Alert], most: int) -> list[Alert]:
    """Return the incident's samples, and as many of the alerts as differ and there is room for.

    The end of the trouble has room in any case: it says how it ended.
    """
    samples = list(incident.samples)
    known = {_said(alert) for alert in (incident.alert, *samples)}
    for alert in alerts:
        if (len(samples) < most or alert.resolved) and _said(alert) not in known:
            samples.append(alert._replace(context=()))
            known.add(_said(alert))
    return samples


def _said(alert: Alert) -> tuple[str, str, str]:
    return alert.message, alert.exception, alert.text
