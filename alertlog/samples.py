"""The few later alerts that an incident keeps to be shown: those that say what none before them said."""

from __future__ import annotations

from collections.abc import Iterable

from alertlog.alert import Alert, Incident

SAMPLES = 5
"""Differing later alerts kept of an incident."""


def samples_of(incident: Incident, alerts: Iterable[Alert], most: int) -> list[Alert]:
    """Return the incident's samples, and as many of the alerts as differ and there is room for.

    The end of the trouble has room in any case, and is kept though it says nothing new: it tells when it ended.
    """
    samples = list(incident.samples)
    known = {_said(alert) for alert in (incident.alert, *samples)}
    for alert in alerts:
        new = _said(alert) not in known or (alert.resolved and not any(sample.resolved for sample in samples))
        if new and (len(samples) < most or alert.resolved):
            samples.append(alert._replace(context=()))
            known.add(_said(alert))
    return samples


def ended(incident: Incident, otherwise: float) -> float:
    """Return when the trouble was said to be over, or what is given where no alert that says so was kept here.

    None is where only another host has said so. Both are a Unix time in seconds.
    """
    return max((sample.created for sample in incident.samples if sample.resolved), default=otherwise)


def _said(alert: Alert) -> tuple[str, str, str]:
    return alert.message, alert.exception, alert.text
