"""What alertlog does, as OpenTelemetry metrics: observed when they are exported."""

import logging
from collections.abc import Iterable

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, PeriodicExportingMetricReader

from alertlog import AlertHandler


def observe(handler: AlertHandler) -> None:
    """Make the instruments; each asks the handler when the reader asks it."""
    meter = metrics.get_meter("alertlog")

    def sent(_options: CallbackOptions) -> Iterable[Observation]:
        yield Observation(handler.stats().sent)

    def failed(_options: CallbackOptions) -> Iterable[Observation]:
        yield Observation(handler.stats().failed)

    def redacted(_options: CallbackOptions) -> Iterable[Observation]:
        yield Observation(handler.stats().redacted)

    def waiting(_options: CallbackOptions) -> Iterable[Observation]:
        yield Observation(handler.stats().waiting)

    def folded(_options: CallbackOptions) -> Iterable[Observation]:
        yield Observation(handler.stats().folded)

    def last_success(_options: CallbackOptions) -> Iterable[Observation]:
        time = handler.stats().last_success
        if time is not None:
            yield Observation(time)

    meter.create_observable_counter("alertlog.mails.sent", [sent], unit="{mail}")
    meter.create_observable_counter("alertlog.attempts.failed", [failed], unit="{attempt}")
    meter.create_observable_counter("alertlog.secrets.redacted", [redacted], unit="{secret}")
    meter.create_observable_gauge("alertlog.alerts.waiting", [waiting], unit="{alert}")
    meter.create_observable_gauge("alertlog.alerts.folded", [folded], unit="{alert}")
    meter.create_observable_gauge("alertlog.last_success", [last_success], unit="s")


def main() -> None:
    reader = PeriodicExportingMetricReader(ConsoleMetricExporter())  # yours exports to a collector, by OTLP
    metrics.set_meter_provider(MeterProvider([reader]))
    handler = AlertHandler()
    logging.getLogger().addHandler(handler)
    observe(handler)
    logging.critical("Disk full", extra={"alert": "disk"})
    handler.flush()
    reader.collect()


if __name__ == "__main__":
    main()
