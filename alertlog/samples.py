"""The few later alerts that an incident keeps to be shown: those that say what none before them said."""

from __future__ import annotations

from collections.abc import Iterable

from alertlog.alert import Alert, Incident

SAMPLES = 5
"""Differing later alerts kept of an incident: the first ones and the newest."""


def samples_of(incident: Incident, alerts: Iterable[Alert], most: int) -> list[Alert]:
    """Return the incident's samples, and as many of the alerts as differ and there is room for.

    Where there is no more room, the last one gives way to the newest: how far it has come says more than the way there.
    The end of the trouble has room in any case, and is kept though it says nothing new: it tells when it ended.
    """
    samples = list(incident.samples)
    for alert in alerts:
        new = _said(alert) not in map(_said, (incident.alert, *samples))
        ends = [sample for sample in samples if sample.resolved]
        if alert.resolved and (new or not ends):
            samples.append(alert._replace(context=()))
        elif new and not alert.resolved and most:
            others = [sample for sample in samples if not sample.resolved]
            kept = others if len(others) < most else others[: most - 1]
            samples = [*kept, alert._replace(context=()), *ends]
    return samples


def ended(incident: Incident, otherwise: float) -> float:
    """Return when the trouble was said to be over, or what is given where no alert that says so was kept here.

    None is where only another host has said so. Both are a Unix time in seconds.
    """
    return max((sample.created for sample in incident.samples if sample.resolved), default=otherwise)


def _said(alert: Alert) -> tuple[str, str, str]:
    return alert.message, alert.exception, alert.text
