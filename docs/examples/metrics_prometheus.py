"""What alertlog does, as metrics for Prometheus: collected when they are asked for, kept nowhere else."""

import logging
import sys
from collections.abc import Iterator

from prometheus_client import REGISTRY, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from alertlog import AlertHandler


class AlertMetrics(Collector):
    """Asks a handler each time that Prometheus asks; that costs a few attributes and waits for nothing."""

    def __init__(self, handler: AlertHandler) -> None:
        self._handler = handler

    def collect(self) -> Iterator[Metric]:
        stats = self._handler.stats()
        yield CounterMetricFamily("alertlog_mails_sent", "Mails that a server accepted.", value=stats.sent)
        yield CounterMetricFamily("alertlog_attempts_failed", "Attempts to send that failed.", value=stats.failed)
        yield CounterMetricFamily("alertlog_secrets_redacted", "Secrets taken out of mails.", value=stats.redacted)
        yield GaugeMetricFamily("alertlog_alerts_waiting", "Alerts that no mail has told yet.", value=stats.waiting)
        yield GaugeMetricFamily("alertlog_alerts_folded", "Alerts counted together.", value=stats.folded)
        if stats.last_success is not None:
            yield GaugeMetricFamily(
                "alertlog_last_success_timestamp_seconds", "When the last mail was accepted.", value=stats.last_success
            )


def main() -> None:
    handler = AlertHandler()
    logging.getLogger().addHandler(handler)
    REGISTRY.register(AlertMetrics(handler))
    server, _thread = start_http_server(0, addr="127.0.0.1")
    print(f"http://127.0.0.1:{server.server_port}/metrics", flush=True)
    logging.critical("Disk full", extra={"alert": "disk"})
    sys.stdin.read()  # the program's work


if __name__ == "__main__":
    main()
